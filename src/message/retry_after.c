/*-------------------------------------------------------------------------
 * retry_after.c
 *		When the other side wants to be asked again.
 *
 * Own parser, since libcurl's can't tell an absent header from 0 and returns
 * negative values in some versions.
 *-------------------------------------------------------------------------
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "message/retry_after.h"

#define DIGITS "0123456789"

typedef struct DateParts
{
	int			year;
	int			month;			/* from 1 */
	int			day;
	int			hour;
	int			minute;
	int			second;
} DateParts;

static bool read_seconds(const char *text, int *seconds);
static bool scan_date(const char *text, int64_t now_s, DateParts *parts);
static int	month_number(const char *name);
static int	full_year(int two_digits, int64_t now_s);
static bool parts_are_valid(const DateParts *parts);
static int64_t unix_seconds(const DateParts *parts);
static int64_t days_from_civil(int year, int month, int day);

int
retry_after_seconds(const char *retry_after, const char *date, int64_t now_s)
{
	int			seconds;
	int64_t		then;
	int64_t		base;

	if (!retry_after)
		return -1;
	retry_after += strspn(retry_after, " \t");
	if (read_seconds(retry_after, &seconds))
		return seconds;
	if (!retry_after_read_date(retry_after, now_s, &then))
		return -1;

	/* the answer's own clock cancels the error of ours */
	if (!date || !retry_after_read_date(date, now_s, &base))
		base = now_s;
	if (then <= base)
		return 0;
	return then - base > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (int) (then - base);
}

bool
retry_after_read_date(const char *text, int64_t now_s, int64_t *unix_s)
{
	DateParts	parts;

	text += strspn(text, " \t");
	if (!scan_date(text, now_s, &parts) || !parts_are_valid(&parts))
		return false;
	*unix_s = unix_seconds(&parts);
	return true;
}

static bool
read_seconds(const char *text, int *seconds)
{
	size_t		digits = strspn(text, DIGITS);
	size_t		fraction = 0;
	size_t		end = digits;
	int			whole = 0;

	if (digits == 0)
		return false;
	if (text[end] == '.')
	{
		fraction = strspn(text + end + 1, DIGITS);
		end += 1 + fraction;
	}
	if (text[end + strspn(text + end, " \t\r\n")] != '\0')
		return false;
	for (size_t i = 0; i < digits && whole < RETRY_AFTER_MAX_S; i++)
		whole = whole * 10 + (text[i] - '0');

	/* a fraction is rounded up: never earlier than asked for */
	if (fraction > strspn(text + digits + (fraction > 0), "0"))
		whole++;
	*seconds = whole > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : whole;
	return true;
}

static bool
scan_date(const char *text, int64_t now_s, DateParts *parts)
{
	char		month[4];
	int			used = 0;

	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
			   &parts->day, month, &parts->year,
			   &parts->hour, &parts->minute, &parts->second, &used) != 6 || used == 0)
	{
		used = 0;
		if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
				   &parts->day, month, &parts->year,
				   &parts->hour, &parts->minute, &parts->second, &used) == 6 && used > 0)
			parts->year = full_year(parts->year, now_s);
		else
		{
			used = 0;
			if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n",
					   month, &parts->day, &parts->hour, &parts->minute,
					   &parts->second, &parts->year, &used) != 6)
				return false;
		}
	}
	parts->month = month_number(month);
	return used > 0 && text[used + (int) strspn(text + used, " \t\r\n")] == '\0';
}

static int
month_number(const char *name)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (strncmp(months + i * 3, name, 3) == 0)
			return i + 1;
	return 0;
}

/* RFC 9110 §5.6.7: more than 50 years ahead means the last century */
static int
full_year(int two_digits, int64_t now_s)
{
	int			this_year = 1970 + (int) (now_s / 31556952);
	int			year = this_year - this_year % 100 + two_digits;

	return year > this_year + 50 ? year - 100 : year;
}

static bool
parts_are_valid(const DateParts *parts)
{
	return parts->year >= 1970 && parts->month >= 1 &&
		parts->day >= 1 && parts->day <= 31 &&
		parts->hour >= 0 && parts->hour <= 23 &&
		parts->minute >= 0 && parts->minute <= 59 &&
		parts->second >= 0 && parts->second <= 60;
}

static int64_t
unix_seconds(const DateParts *parts)
{
	int64_t		days = days_from_civil(parts->year, parts->month, parts->day);

	return ((days * 24 + parts->hour) * 60 + parts->minute) * 60 + parts->second;
}

/* Days since 1970-01-01, counted in years that begin in March. */
static int64_t
days_from_civil(int year, int month, int day)
{
	int64_t		shifted_year = month <= 2 ? year - 1 : year;
	int64_t		era = shifted_year / 400;
	int64_t		year_of_era = shifted_year - era * 400;
	int64_t		day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t		day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}
