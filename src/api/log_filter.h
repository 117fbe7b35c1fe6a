/*-------------------------------------------------------------------------
 * log_filter.h
 *		Statements that set a secret, kept out of the server's log.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LOG_FILTER_H
#define INTEGRATION_LOG_FILTER_H

/* Called once from _PG_init().  The hook it sets throws for want of memory only. */
extern void log_filter_install(void);

#endif							/* INTEGRATION_LOG_FILTER_H */
