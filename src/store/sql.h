/*
 * sql.h
 *		The engine's own SQL: prepared once, run as the extension's owner.
 *
 * A statement is a static DurableSql with its text and parameter types; the
 * plan is prepared at first use and kept for the life of the process.  Running
 * it switches to the owner of the extension and a pinned search_path for just
 * that statement, and back, also on error.  Names in the text are qualified,
 * operators are those of pg_catalog, and no user function runs in it.
 * Nested-loop and index plans are forced: these statements touch rows by key,
 * and a plan made while a table was empty must not be kept when it is large.
 */
#ifndef DURABLE_SQL_H
#define DURABLE_SQL_H

#include "durable.h"
#include "executor/spi.h"

#define DURABLE_SQL_MAX_ARGS	32

typedef struct DurableSql
{
	const char *text;
	int			nargs;
	Oid			argtypes[DURABLE_SQL_MAX_ARGS];
	SPIPlanPtr	plan;			/* NULL until first use */
	uint64		generation;		/* which creation of the extension it was prepared for: its OID */
}			DurableSql;

/*
 * Runs the statement; nulls as for SPI ("n" marks NULL, or NULL for none).
 * Returns the number of rows; SPI_tuptable holds them in the SPI context.  The
 * current memory context is the same as before.
 * The caller has connected to SPI.  A fresh snapshot is taken (read committed),
 * unless read_only, when the active one is used.  The caller's memory context stays
 * current.
 */
extern uint64 durable_sql_run(DurableSql *sql, Datum *values, const char *nulls,
							  bool read_only, long limit);

/* SPI_connect / SPI_finish with a snapshot pushed when there is none. */
extern void durable_sql_connect(void);
extern void durable_sql_finish(void);

/*
 * Run several statements as the extension's owner under the pinned search_path;
 * nestable.  On error the abort of the (sub)transaction undoes it.  No user code
 * may run in between.
 */
typedef struct DurableRole
{
	Oid			user;
	int			context;
	int			level;			/* of the pinned search_path */
	bool		entered;		/* false: it was already so */
}			DurableRole;
extern void durable_role_enter(DurableRole *saved);
extern void durable_role_leave(const DurableRole *saved);

/* OIDs of the extension and its owner; InvalidOid when it is not in this database. */
extern Oid	durable_extension_oid(void);
extern Oid	durable_extension_owner(void);

/* The owner; raises 42704 when the extension is not in this database. */
extern Oid	durable_extension_require(void);

/* Typed getters over SPI_tuptable; they raise XX000 on an unexpected NULL. */
extern int64 durable_sql_int8(uint64 row, int col);
extern int32 durable_sql_int4(uint64 row, int col);
extern char durable_sql_char(uint64 row, int col);
extern Oid	durable_sql_oid(uint64 row, int col);
extern TimestampTz durable_sql_timestamptz(uint64 row, int col, bool *isnull);
extern char *durable_sql_text(uint64 row, int col); /* NULL if NULL; copied to CurrentMemoryContext */
extern Jsonb *durable_sql_jsonb(uint64 row, int col);	/* same, detoasted */
extern Datum durable_sql_datum(uint64 row, int col, bool *isnull);

#endif							/* DURABLE_SQL_H */
