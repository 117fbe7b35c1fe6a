/*-------------------------------------------------------------------------
 * library.h
 *		Whether the libcurl that is here can serve.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LIBRARY_H
#define INTEGRATION_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* Start libcurl in this process; false with a sentence when it can't serve.  Does not throw. */
extern bool library_start(char *problem, size_t problem_size);

#endif							/* INTEGRATION_LIBRARY_H */
