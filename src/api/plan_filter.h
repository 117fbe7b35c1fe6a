/*-------------------------------------------------------------------------
 * plan_filter.h
 *		Plans that read our tables, kept from being compiled.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PLAN_FILTER_H
#define INTEGRATION_PLAN_FILTER_H

/* Called once from _PG_init(). */
extern void plan_filter_install(void);

#endif							/* INTEGRATION_PLAN_FILTER_H */
