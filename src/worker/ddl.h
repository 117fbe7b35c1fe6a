/*-------------------------------------------------------------------------
 * ddl.h
 *		Steps aside for statements that a connected worker would block.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_DDL_H
#define INTEGRATION_DDL_H

/* Watch utility statements; called once from _PG_init().  What it watches may throw as ever. */
extern void ddl_install(void);

#endif							/* INTEGRATION_DDL_H */
