/*-------------------------------------------------------------------------
 * sqlcomment_test.c
 *		Values in the comment that sqlcommenter puts behind a statement.
 *-------------------------------------------------------------------------
 */
#include "message/sqlcomment.h"
#include "tap.h"

static const struct
{
	const char *statement;
	const char *value;			/* of the key k; NULL: none */
}			statements[] =

{
	{"SELECT 1 /*k='v'*/", "v"},
	{"SELECT 1 /*k='v'*/;\n", "v"},
	{"SELECT 1 /*a='1',k='v',z='2'*/", "v"},
	{"SELECT 1 /* a='1' , k='v' */", "v"},
	{"SELECT 1 /*k='a%3Db%2Cc'*/", "a=b,c"},
	{"SELECT 1 /*k='it\\'s'*/", "it's"},
	{"SELECT 1 /*a='\\',k=\\'x',k='v'*/", "v"},
	{"SELECT /*k='w'*/ 1 /*k='v'*/", "v"},
	{"/*k='v'*/", "v"},
	{"/*k=''*/", ""},
	{"SELECT 1", NULL},
	{"SELECT 1 /*k='v'*/ + 1", NULL},
	{"SELECT 1 /*kk='v'*/", NULL},
	{"SELECT 1 /*k=v*/", NULL},
	{"SELECT 1 /*k='v*/", NULL},
	{"SELECT 1 /*k='%4'*/", NULL},
	{"SELECT 1 /*k='%xx'*/", NULL},
	{"SELECT 1 /*k='%00'*/", NULL},
	{"SELECT 1 /*k='longer than it may be'*/", NULL},
	{"SELECT 1 /*a='1'k='v'*/", NULL},
	{"SELECT 1 /*a*/", NULL},
	{"SELECT 1 /**/", NULL},
	{"SELECT 1 /*/", NULL},
	{"*/", NULL},
	{"", NULL},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
	{
		char		value[12];
		bool		is_there = sqlcomment_value(statements[i].statement, "k", value, sizeof(value));

		tap_text(is_there ? value : NULL, statements[i].value, statements[i].statement);
	}
	return tap_done();
}
