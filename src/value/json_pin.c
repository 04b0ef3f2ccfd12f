/*
 * json_pin.c
 *		Fixes the settings on which the result of to_jsonb depends, while it runs.
 *
 * For a few types, the result of to_jsonb depends on the session.  For these types the
 * settings are pinned in a GUC nest level, which an error undoes with the
 * (sub)transaction.  Only those that differ are set, and only when the type can depend
 * on them.
 *
 * In the other direction, the meaning of a text depends on the session, too, such as
 * '01/02/2026' as a date.  Such a value is stored as it was read, and not as it was
 * written.
 *
 * Owns:		nothing
 * Called by:	json.c, handler.c, handler_call.c, handler_function.c
 * Locks:		none
 * Memory:		none
 */
#include "postgres.h"

#include "json.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* How a text of a type is read. */
#define READ_SAME		0
#define READ_BY_SETTINGS 1		/* or by the search_path */
#define READ_UNKNOWN	2		/* the type's input function may not accept the output of to_jsonb */

/* The settings on which the text of a type depends. */
#define PIN_NOTHING		0
#define PIN_SETTINGS	1		/* DateStyle, TimeZone, ... */
#define PIN_PATH		2		/* search_path: names of tables, types, functions */

static int	pins_of_value(Datum value, Oid type);
static int	pins_of_type(Oid type);
static int	pins_of_row(TupleDesc row);
static int	pin_settings(int pins);
static int	reading_of_type(Oid type);
static bool has_cast_to_json(Oid type);
static int	reading_of_row(TupleDesc row);
static void set_pinned(const char *name, const char *value);

int
durable_json_pin(Datum value, Oid type)
{
	return pin_settings(pins_of_value(value, type));
}

int
durable_json_pin_settings(void)
{
	return pin_settings(PIN_SETTINGS);
}

static int
pins_of_value(Datum value, Oid type)
{
	TupleDesc	row;
	HeapTupleHeader tuple;
	int			pins;

	if (type != RECORDOID)
		return pins_of_type(type);

	tuple = DatumGetHeapTupleHeader(value);
	row = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(tuple),
								 HeapTupleHeaderGetTypMod(tuple));
	pins = pins_of_row(row);
	ReleaseTupleDesc(row);
	return pins;
}

static int
pins_of_type(Oid type)
{
	Oid			element;
	char		typtype;

	check_stack_depth();

	switch (type)
	{
		case BOOLOID:
		case BITOID:
		case BPCHAROID:
		case CHAROID:
		case CIDROID:
		case INETOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case JSONBOID:
		case JSONOID:
		case MACADDROID:
		case NAMEOID:
		case NUMERICOID:
		case OIDOID:
		case PG_LSNOID:
		case TEXTOID:
		case TSQUERYOID:
		case TSVECTOROID:
		case UUIDOID:
		case VARBITOID:
		case VARCHAROID:
			return PIN_NOTHING;

		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGOPERATOROID:
		case REGOPEROID:
		case REGPROCEDUREOID:
		case REGPROCOID:
		case REGTYPEOID:
			return PIN_PATH;

		case RECORDOID:
			return PIN_SETTINGS | PIN_PATH;
	}

	element = get_element_type(type);
	if (OidIsValid(element))
		return pins_of_type(element);

	typtype = get_typtype(type);
	if (typtype == TYPTYPE_DOMAIN)
		return pins_of_type(getBaseType(type));
	if (typtype == TYPTYPE_ENUM)
		return PIN_NOTHING;
	if (typtype == TYPTYPE_COMPOSITE)
	{
		TupleDesc	row = lookup_rowtype_tupdesc(type, -1);
		int			pins = pins_of_row(row);

		ReleaseTupleDesc(row);
		return pins;
	}

	return PIN_SETTINGS;
}

static int
pins_of_row(TupleDesc row)
{
	int			pins = PIN_NOTHING;

	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(row, i);

		if (!column->attisdropped)
			pins |= pins_of_type(column->atttypid);
	}

	return pins;
}

/* Returns the GUC nest level to leave afterwards; 0 if no setting was changed. */
static int
pin_settings(int pins)
{
	bool		settings = (pins & PIN_SETTINGS) != 0;
	bool		datestyle = settings && DateStyle != USE_ISO_DATES;
	bool		intervalstyle = settings && IntervalStyle != INTSTYLE_POSTGRES;
	bool		digits = settings && extra_float_digits < 1;
	bool		bytes = settings && bytea_output != BYTEA_OUTPUT_HEX;
	bool		timezone = settings && strcmp(pg_get_timezone_name(session_timezone), "UTC") != 0;
	bool		path = (pins & PIN_PATH) != 0;
	int			level;

	if (!(datestyle || intervalstyle || digits || bytes || timezone || path))
		return 0;

	level = NewGUCNestLevel();
	if (datestyle)
		set_pinned("DateStyle", "ISO");
	if (intervalstyle)
		set_pinned("IntervalStyle", "postgres");
	if (digits)
		set_pinned("extra_float_digits", "1");
	if (bytes)
		set_pinned("bytea_output", "hex");
	if (timezone)
		set_pinned("TimeZone", "UTC");
	if (path)
		set_pinned("search_path", "pg_catalog, pg_temp");
	return level;
}

static void
set_pinned(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

bool
durable_json_must_pin(Oid type)
{
	return reading_of_type(type) == READ_BY_SETTINGS;
}

static int
reading_of_type(Oid type)
{
	Oid			element;

	check_stack_depth();

	switch (type)
	{
		case FLOAT4OID:
		case FLOAT8OID:
		case BYTEAOID:
			return READ_SAME;
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return READ_BY_SETTINGS;
	}
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return reading_of_type(getBaseType(type));
		case TYPTYPE_ENUM:
			return READ_SAME;
		case TYPTYPE_RANGE:
			return reading_of_type(get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return reading_of_type(get_multirange_range(type));
		case TYPTYPE_COMPOSITE:
			{
				TupleDesc	row = lookup_rowtype_tupdesc(type, -1);
				int			reading = reading_of_row(row);

				ReleaseTupleDesc(row);
				return reading;
			}
	}
	element = get_element_type(type);
	if (OidIsValid(element))
		return reading_of_type(element);

	switch (pins_of_type(type))
	{
		case PIN_NOTHING:
			return READ_SAME;
		case PIN_PATH:
			return READ_BY_SETTINGS;
		default:
			return has_cast_to_json(type) ? READ_UNKNOWN : READ_SAME;
	}
}

/* to_jsonb uses this cast for types that are not built in; without a cast it uses their output function. */
static bool
has_cast_to_json(Oid type)
{
	return type >= FirstNormalObjectId &&
		SearchSysCacheExists2(CASTSOURCETARGET, ObjectIdGetDatum(type), ObjectIdGetDatum(JSONOID));
}

/* If one member cannot be written safely, the whole value is left unchanged. */
static int
reading_of_row(TupleDesc row)
{
	int			reading = READ_SAME;

	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(row, i);

		if (!column->attisdropped)
			reading |= reading_of_type(column->atttypid);
	}
	return reading;
}
