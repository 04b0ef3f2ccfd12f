/*-------------------------------------------------------------------------
 *
 * doctor_server.c
 *		The checks of durable.doctor for the server: whether a standby has a primary,
 *		and which snapshots keep VACUUM from cleaning the queues.
 *
 * Owns:	nothing
 * Called by: doctor.c, doctor_tables.c
 * Locks:	those of reading
 * Memory:	the context of the check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "doctor.h"
#include "shmem.h"
#include "sql.h"
#include "xid_time.h"

/* A snapshot older than this is reported, because it keeps VACUUM from removing rows. */
#define OLD_SNAPSHOT_MINUTES	10

/* --- replication ------------------------------------------------------------------------ */

void
durable_doctor_check_standby(Doctor *doctor)
{
	static const char *const text =
		"SELECT (SELECT r.status FROM pg_stat_wal_receiver r), current_setting('restore_command') <> '', "
		"pg_is_wal_replay_paused(), "
		"pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint";
	char	   *receiver;
	bool		isnull;
	bool		from_archive;
	bool		paused;
	Datum		behind;

	if (!RecoveryInProgress())
	{
		durable_doctor_say(doctor, "recovery", true, "this server is a primary", NULL);
		return;
	}
	durable_doctor_query(text, 0, NULL, NULL);
	receiver = durable_sql_text(0, 1);
	from_archive = DatumGetBool(durable_sql_datum(0, 2, &isnull));
	paused = DatumGetBool(durable_sql_datum(0, 3, &isnull));
	behind = durable_sql_datum(0, 4, &isnull);

	if (paused)
		durable_doctor_say(doctor, "recovery", false, "this server is a standby, and replay is paused",
						   "The tables show an earlier state. SELECT pg_wal_replay_resume(); resumes replay.");
	else if (receiver == NULL && !from_archive)
		durable_doctor_say(doctor, "recovery", false, "this server is a standby, and it is not receiving WAL from a primary",
						   "No workflow runs while all servers are standbys. If there is no primary, SELECT pg_promote(); makes this server one; "
						   "if there is one, check primary_conninfo and the server log.");
	else
		durable_doctor_say(doctor, "recovery", true,
						   psprintf("this server is a standby; %s%s",
									receiver ? psprintf("its WAL receiver is %s", receiver) : "it reads WAL from an archive",
									!isnull && DatumGetInt64(behind) > 0 ?
									psprintf(", " INT64_FORMAT " bytes remain to be replayed", DatumGetInt64(behind)) : ""),
						   NULL);
}

/*
 * The state of a standby is that of the last commit that it has replayed, or the present one
 * if it has replayed all WAL that it has received.
 */
TimestampTz
durable_doctor_known_until(void)
{
	static const char *const text =
		"SELECT pg_last_xact_replay_timestamp() "
		"WHERE pg_is_wal_replay_paused() OR pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()";
	bool		isnull;
	TimestampTz until;

	if (!RecoveryInProgress() || durable_doctor_query(text, 0, NULL, NULL) == 0)
		return durable_clock_now();
	until = durable_sql_timestamptz(0, 1, &isnull);
	return isnull ? durable_clock_now() : until + durable_clock_offset();
}

/* --- snapshots that keep VACUUM from cleaning the queues ------------------------------- */

/*
 * The server shows since when a session or a prepared transaction has held its snapshot.
 * For a standby with hot_standby_feedback and for a replication slot it shows only the
 * xmin.  Its age is found with the transaction ids that shared memory records every ten
 * seconds.
 */
void
durable_doctor_check_oldest_snapshot(Doctor *doctor)
{
	static const char *const sessions =
		"SELECT holder, held_for, hint FROM ("
		"  SELECT format('pid %s (%s%s) keeps a snapshot', pid, backend_type, ', ' || state), durable.clock() - xact_start, "
		"    format('If the session is not needed, SELECT pg_terminate_backend(%s); ends it.', pid) "
		"  FROM pg_stat_activity "
		"  WHERE coalesce(backend_xid, backend_xmin) IS NOT NULL AND pid <> pg_backend_pid() AND xact_start IS NOT NULL "
		"    AND (datid = (SELECT oid FROM pg_database WHERE datname = current_database()) OR datid IS NULL) "
		"  UNION ALL "
		"  SELECT format('prepared transaction %L keeps a snapshot', gid), durable.clock() - prepared, "
		"    format('COMMIT PREPARED %L; or ROLLBACK PREPARED %1$L; ends it.', gid) "
		"  FROM pg_prepared_xacts WHERE database = current_database()) AS h (holder, held_for, hint) "
		"ORDER BY held_for DESC LIMIT 1";
	static const char *const horizons =
		"SELECT holder, xmin, hint FROM ("
		"  SELECT format('a session on standby %L (%s) keeps a snapshot, through hot_standby_feedback', application_name, coalesce(host(client_addr), 'local')), "
		"    backend_xmin, "
		"    'On that standby, SELECT pid, state, xact_start, query FROM pg_stat_activity ORDER BY xact_start; shows which session it is. Set idle_in_transaction_session_timeout or statement_timeout there.' "
		"  FROM pg_stat_replication WHERE backend_xmin IS NOT NULL "
		"  UNION ALL "
		"  SELECT format('replication slot %L%s keeps a snapshot', slot_name, CASE WHEN active THEN '' ELSE ', which nobody uses,' END), xmin, "
		"    CASE WHEN active THEN 'The standby that uses the slot has a long transaction: SELECT pid, state, xact_start, query FROM pg_stat_activity ORDER BY xact_start; shows it there.' "
		"    ELSE format('If no standby needs it any more, SELECT pg_drop_replication_slot(%L); drops the slot.', slot_name) END "
		"  FROM pg_replication_slots WHERE xmin IS NOT NULL) AS h (holder, xmin, hint) "
		"ORDER BY age(xmin) DESC LIMIT 1";
	int64		held_for = 0;
	char	   *holder = NULL;
	char	   *hint = NULL;

	if (durable_doctor_query(sessions, 0, NULL, NULL) > 0)
	{
		Interval   *interval;
		bool		isnull;

		interval = DatumGetIntervalP(durable_sql_datum(0, 2, &isnull));
		held_for = interval->time + interval->day * USECS_PER_DAY;
		holder = durable_sql_text(0, 1);
		hint = durable_sql_text(0, 3);
	}
	if (!RecoveryInProgress() && durable_shmem_available() && durable_doctor_query(horizons, 0, NULL, NULL) > 0)
	{
		bool		isnull;
		TransactionId xmin = DatumGetTransactionId(durable_sql_datum(0, 2, &isnull));
		TimestampTz since = durable_xid_horizon_time(xmin);

		if (since != 0 && durable_clock_now() - since > held_for)
		{
			held_for = durable_clock_now() - since;
			holder = durable_sql_text(0, 1);
			hint = durable_sql_text(0, 3);
		}
	}

	if (held_for <= OLD_SNAPSHOT_MINUTES * USECS_PER_MINUTE)
		durable_doctor_say(doctor, "oldest_snapshot", true,
						   psprintf("none is older than %d minutes", OLD_SNAPSHOT_MINUTES), NULL);
	else
		durable_doctor_say(doctor, "oldest_snapshot", false,
						   psprintf("%s; VACUUM cannot remove rows deleted in the last " INT64_FORMAT " minutes, so the queues grow",
									holder, held_for / USECS_PER_MINUTE),
						   hint);
}

void
durable_doctor_check_autovacuum(Doctor *doctor)
{
	bool		on;

	on = strcmp(GetConfigOption("autovacuum", false, false), "on") == 0 &&
		strcmp(GetConfigOption("track_counts", false, false), "on") == 0;
	durable_doctor_say(doctor, "autovacuum", on, on ? "on" : "off",
					   "The queues need frequent VACUUM runs: ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();");
}
