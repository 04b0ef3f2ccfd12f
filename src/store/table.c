/*
 * table.c
 *		Opens the engine's tables without SQL, and finds their columns by name.
 *
 * A statement that reads one row through an index costs about fifteen times as much in
 * the executor as in the table itself: the plan is checked and copied, and its nodes are
 * set up and shut down.  A unit of work for a single instance would need six such
 * statements.  So the rows that every unit reads are read in the way of the executor's
 * scan nodes, with the same locks, snapshots and visibility.
 *
 * A column is known by its name.  Cached information about a table is valid until an
 * invalidation message for the table, or for all tables, arrives.
 *
 * Owns: the list of tables that are known in this process.
 * Called by: table_scan.c, table_write.c
 * Locks: those that the caller asks for, on the table and its index.
 * Memory: only the callers' static structs.
 */
#include "durable.h"
#include "sql.h"
#include "table.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

static DurableTable *tables = NULL;

static void watch(DurableTable *table);
static void forget(Datum arg, Oid relation);
static bool concerns(const DurableTable *table, Oid relation);
static Oid	find(const char *name);
static AttrNumber column_of(Relation rel, const char *name);

Relation
durable_table_open(DurableTable *table, LOCKMODE mode)
{
	if (!table->watched)
		watch(table);
	for (;;)
	{
		bool		known = table->known && OidIsValid(table->oid);
		Oid			oid = table->oid;
		Relation	rel;

		if (!known)
		{
			durable_extension_require();

			/*
			 * The table is added to the list before it is examined, so that a concurrent
			 * invalidation is not lost.  It has no OID until the examination has succeeded.
			 */
			table->known = true;
			table->version++;
			table->oid = InvalidOid;
			oid = find(table->name);
			for (int i = 0; i < DURABLE_TABLE_MAX_INDEXES; i++)
				table->index_oids[i] = table->indexes[i] ? find(table->indexes[i]) : InvalidOid;
		}
		rel = try_table_open(oid, mode);
		if (rel == NULL)
		{
			table->known = false;	/* dropped just now */
			continue;
		}
		if (!known)
		{
			for (int i = 0; i < table->ncolumns; i++)
				table->attnums[i] = column_of(rel, table->columns[i]);
			table->oid = oid;
		}
		if (table->known)
			return rel;
		table_close(rel, mode); /* it has changed since */
	}
}

Relation
durable_table_open_index(DurableTable *table, int which)
{
	return index_open(table->index_oids[which], AccessShareLock);
}

static void
watch(DurableTable *table)
{
	Assert(table->ncolumns <= DURABLE_TABLE_MAX_COLUMNS);
	if (tables == NULL)
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	table->next = tables;
	tables = table;
	table->watched = true;
}

/* InvalidOid means that any table may have changed, or that the table is being examined. */
static void
forget(Datum arg, Oid relation)
{
	for (DurableTable *table = tables; table != NULL; table = table->next)
		if (!OidIsValid(relation) || !OidIsValid(table->oid) || concerns(table, relation))
			table->known = false;
}

static bool
concerns(const DurableTable *table, Oid relation)
{
	if (relation == table->oid)
		return true;
	for (int i = 0; i < DURABLE_TABLE_MAX_INDEXES; i++)
		if (relation == table->index_oids[i])
			return true;
	return false;
}

static Oid
find(const char *name)
{
	Oid			namespace = get_namespace_oid("durable", true);
	Oid			oid = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;

	if (!OidIsValid(oid))
		elog(ERROR, "relation durable.%s does not exist", name);
	return oid;
}

static AttrNumber
column_of(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute->attnum;
	}
	elog(ERROR, "table durable.%s has no column \"%s\"", RelationGetRelationName(rel), name);
}
