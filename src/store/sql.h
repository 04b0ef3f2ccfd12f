/*
 * sql.h
 *		The engine's own SQL, prepared once in a process and run as the extension's owner.
 *
 * A statement is a static DurableSql with its text and parameter types.  Its plan is prepared
 * at first use and kept.  Each run switches to the owner of the extension and a pinned
 * search_path, and back, also on error.  Names in the text are qualified, operators are those
 * of pg_catalog, and no user function is called.  Nested-loop and index plans are forced,
 * because these statements access rows by key, and a plan that was made while a table was
 * empty must not be used when it is large.
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
	uint64		generation;		/* OID of the extension for which it was prepared */
}			DurableSql;

/*
 * Runs the statement; nulls as for SPI ("n" marks NULL; NULL: there are none).  Returns the
 * number of rows; they are in SPI_tuptable, in the SPI context.  The caller has connected to
 * SPI.  A new snapshot is taken, unless read_only, which uses the active one.  The current
 * memory context does not change.
 */
extern uint64 durable_sql_run(DurableSql *sql, Datum *values, const char *nulls,
							  bool read_only, long limit);

/* SPI_connect / SPI_finish with a snapshot pushed when there is none. */
extern void durable_sql_connect(void);
extern void durable_sql_finish(void);

/*
 * Between enter and leave, statements run as the extension's owner with the pinned search_path.
 * Can be nested.  On error the abort of the (sub)transaction restores both.  No user code may
 * run in between.
 */
typedef struct DurableRole
{
	Oid			user;
	int			context;
	int			level;			/* of the pinned search_path */
	bool		entered;		/* false: an outer call has entered */
}			DurableRole;
extern void durable_role_enter(DurableRole *saved);
extern void durable_role_leave(const DurableRole *saved);

/* OIDs of the extension and its owner; InvalidOid if the database does not have the extension. */
extern Oid	durable_extension_oid(void);
extern Oid	durable_extension_owner(void);

/* The owner; raises 42704 if the database does not have the extension. */
extern Oid	durable_extension_require(void);

/* Typed getters over SPI_tuptable; they raise XX000 on an unexpected NULL. */
extern int64 durable_sql_int8(uint64 row, int col);
extern int32 durable_sql_int4(uint64 row, int col);
extern char durable_sql_char(uint64 row, int col);
extern Oid	durable_sql_oid(uint64 row, int col);
extern TimestampTz durable_sql_timestamptz(uint64 row, int col, bool *isnull);
extern char *durable_sql_text(uint64 row, int col); /* NULL if NULL; copied to CurrentMemoryContext */
extern Jsonb *durable_sql_jsonb(uint64 row, int col);	/* the same, detoasted */
extern Datum durable_sql_datum(uint64 row, int col, bool *isnull);

#endif							/* DURABLE_SQL_H */
