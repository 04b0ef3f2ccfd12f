/*
 * From 0.1 to 0.2.0, before functions are replaced.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

DROP FUNCTION @extschema@.dd_check_status(text, text);
