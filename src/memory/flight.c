/*-------------------------------------------------------------------------
 *
 * flight.c
 *		The flight recorder: a file that records which user code each process runs.
 *
 * User code can end its process, and with it the server: a C function with a bug, an
 * out-of-memory kill, a library that calls exit().  All code that ran is tried again
 * after the restart, and the culprit ends the server again.  So each worker and each
 * companion has a record in a file that is mapped into memory, and stores there which
 * code it is about to run.  That costs a few instructions, no system call and no commit,
 * and outlives the process and the server as long as the kernel runs.  A power failure loses
 * the records, but then no code is to blame.
 *
 * The postmaster reads the records of the server's last life when it sets up shared memory.
 * Where one process has crashed, the postmaster has sent SIGQUIT to the others, and their
 * handler has marked their records: the record without the mark is the culprit's.  The
 * same can be seen when the postmaster ended after the crash (restart_after_crash = off).
 * Where all records are marked (an immediate stop), or no process got a signal (kill -9
 * of the postmaster, the end of a container), the whole server has ended and no record is
 * guilty; such an end counts for a fifth of a crash, because code that takes the whole
 * server down each time looks like this too.
 *
 * A process that ends by itself while the server lives, with FATAL or exit(), reports its own
 * record.  It does so before it releases its locks: otherwise another process could run the
 * same code before the report is there.  A process that another one told to end with SIGTERM
 * reports nothing.
 *
 * A record belongs to its process until its exit, and is not tied to a slot.  A process that
 * has released its slot can live for a while, and the postmaster may send it SIGQUIT, when
 * the next process of that slot has crashed: its handler must not mark the next one's record.
 *
 * The file is in pg_stat_tmp, which base backups and pg_rewind leave out.  A server in
 * single-user mode leaves it alone: Patroni recovers that way before it starts a crashed
 * server.  A file that is missing, short, or of another version or machine is ignored.
 *
 * Owns:	the file, its records
 * Called by: shmem.c (the postmaster), slot.c, companion_main.c, coordinator.c,
 *			launcher.c, usercall.c; flight_report.c and flight_parallel.c (the file)
 * Locks:	none: only the process itself writes its record, and it takes one that is free
 *			with an atomic operation
 * Memory:	the mapping, made by the postmaster and inherited
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"

#include "flight_file.h"

#define FILE_NAME	PG_STAT_TMP_DIR "/durable.flight"

static FlightFile *file = NULL;
static FlightRecord no_record;	/* of a process that has no record in the file */
static FlightRecord *record = &no_record;

static volatile sig_atomic_t told_to_terminate = false;
static pqsigfunc terminate_handler = NULL;
static bool ended_by_code = false;

static bool read_file(FlightFile *last);
static FlightFile *map_file(const FlightFile *next);
static void report_last_life(FlightFile *next, const FlightFile *last, bool same_postmaster);
static bool is_record(const FlightRecord *old);
static bool was_told(const FlightRecord *old);
static void get_boot_id(char *boot_id, Size size);
static void on_quit(int signo, siginfo_t *info, void *context);
static void on_terminate(int signo, siginfo_t *info, void *context);
static void report_at_exit(int code, Datum arg);
static void release_record(int code, Datum arg);

/* --- around user code ------------------------------------------------------------- */

FlightRun
durable_flight_enter(const FlightRun *run)
{
	FlightRun	before = record->run;

	if (run->kind != FLIGHT_NOTHING)
	{
		record->since = GetCurrentTransactionStartTimestamp();
		durable_flight_leave(run);
	}
	return before;
}

/* The kind is stored last, so that the record is complete whenever it says that code runs. */
void
durable_flight_leave(const FlightRun *before)
{
	record->run.kind = FLIGHT_NOTHING;
	pg_compiler_barrier();
	record->run.execution = before->execution;
	record->run.task = before->task;
	record->run.key = before->key;
	record->run.task_id = before->task_id;
	pg_compiler_barrier();
	record->run.kind = before->kind;
}

/* --- a process with a record -------------------------------------------------------- */

bool
durable_flight_attach(Oid database, pqsigfunc terminate)
{
	FlightRecord *mine = NULL;

	Assert(record == &no_record);
	for (int i = 0; i < lengthof(file->records) && mine == NULL; i++)
	{
		uint32		expected = 0;

		if (pg_atomic_compare_exchange_u32(&file->records[i].pid, &expected, MyProcPid))
			mine = &file->records[i];
	}
	if (mine == NULL)
		return false;
	mine->told = false;
	mine->database = database;
	mine->timeline = GetWALInsertionTimeLine();
	pg_atomic_write_u32(&mine->parallel, 0);
	record = mine;
	terminate_handler = terminate;
	durable_flight_set_handler(SIGTERM, on_terminate);
	durable_flight_watch_quit();
	before_shmem_exit(release_record, (Datum) 0);
	return true;
}

void
durable_flight_connected(void)
{
	before_shmem_exit(report_at_exit, (Datum) 0);
}

void
durable_flight_watch_quit(void)
{
	durable_flight_set_handler(SIGQUIT, on_quit);
}

void
durable_flight_set_handler(int signo, void (*handler) (int, siginfo_t *, void *))
{
	struct sigaction action = {0};

	action.sa_sigaction = handler;
	action.sa_flags = SA_RESTART | SA_SIGINFO;
	sigemptyset(&action.sa_mask);
	if (sigaction(signo, &action, NULL) != 0)
		elog(FATAL, "could not install a signal handler: %m");
}

/*
 * Like PostgreSQL's own handler for processes without a client, this does nothing but
 * store values, and exits without callbacks.  A signal that the process has sent to
 * itself does not mark its record.
 */
static void
on_quit(int signo, siginfo_t *info, void *context)
{
	if (info->si_pid != MyProcPid)
		record->told = true;
	if (info->si_pid == PostmasterPid)
		file->told = true;
	_exit(2);
}

static void
on_terminate(int signo, siginfo_t *info, void *context)
{
	int			save_errno = errno;

	if (info->si_pid != MyProcPid)
		told_to_terminate = true;
	durable_call_handler(terminate_handler, signo, info->si_pid, info->si_uid);
	errno = save_errno;
}

/*
 * The process ends in the middle of user code, with an exit that runs callbacks.  When
 * the postmaster has gone, the record is left for the next life.
 */
static void
report_at_exit(int code, Datum arg)
{
	if (record->run.kind == FLIGHT_NOTHING || !PostmasterIsAlive())
		return;
	if (!told_to_terminate)
	{
		ended_by_code = true;
		durable_report_add(file, record, FLIGHT_CRASH);
	}
	record->run.kind = FLIGHT_NOTHING;
}

/* From now on the signals that this process gets mark no record in the file. */
static void
release_record(int code, Datum arg)
{
	FlightRecord *mine = record;

	record = &no_record;
	pg_compiler_barrier();
	if (mine->run.kind == FLIGHT_NOTHING)
		pg_atomic_write_u32(&mine->pid, 0);
}

bool
durable_flight_ended_by_code(void)
{
	return ended_by_code;
}

/* --- the postmaster --------------------------------------------------------------- */

FlightFile *
durable_flight_file(void)
{
	return file;
}

FlightRecord *
durable_flight_record_of(int pid)
{
	for (int i = 0; i < lengthof(file->records); i++)
		if (pg_atomic_read_u32(&file->records[i].pid) == (uint32) pid)
			return &file->records[i];
	return NULL;
}

void
durable_flight_start_life(FlightFile *without_file)
{
	static FlightFile *mapped = NULL;
	static FlightFile last;
	static FlightFile next;
	bool		same_postmaster = mapped != NULL;
	bool		known;

	StaticAssertStmt(sizeof(FlightRecord) == 64, "a record is one cache line");
	file = without_file;
	if (!IsPostmasterEnvironment || IsBinaryUpgrade)
		return;

	if (same_postmaster)
		last = *mapped;
	known = same_postmaster || read_file(&last);

	memset(&next, 0, sizeof(next));
	strlcpy(next.magic, FLIGHT_MAGIC, sizeof(next.magic));
	next.version = FLIGHT_VERSION;
	next.size = sizeof(next);
	get_boot_id(next.boot_id, sizeof(next.boot_id));
	if (known && strcmp(last.boot_id, next.boot_id) == 0)
		report_last_life(&next, &last, same_postmaster);

	if (same_postmaster)
		*mapped = next;
	else
		mapped = map_file(&next);
	if (mapped != NULL)
		file = mapped;
	else
		*file = next;
}

/* Returns false if there is no file, or none that is valid. */
static bool
read_file(FlightFile *last)
{
	int			fd = BasicOpenFile(FILE_NAME, O_RDONLY | PG_BINARY);
	ssize_t		length;

	if (fd < 0)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", FILE_NAME)));
		return false;
	}
	length = read(fd, last, sizeof(FlightFile));
	close(fd);
	if (length == sizeof(FlightFile) && strncmp(last->magic, FLIGHT_MAGIC, sizeof(last->magic)) == 0 &&
		last->version == FLIGHT_VERSION && last->size == sizeof(FlightFile) &&
		memchr(last->boot_id, '\0', sizeof(last->boot_id)) != NULL)
		return true;
	ereport(LOG,
			(errmsg("ignoring file \"%s\" because it was not written by this version of durable", FILE_NAME),
			 errdetail("The activities and turns that were running when the server terminated are unknown.")));
	return false;
}

/*
 * The whole file is written, so that a full file system causes an error here, and not a
 * signal when a page is touched.
 */
static FlightFile *
map_file(const FlightFile *next)
{
	int			fd = BasicOpenFile(FILE_NAME, O_RDWR | O_CREAT | PG_BINARY);
	void	   *mapped = MAP_FAILED;

	errno = fd < 0 ? errno : 0;
	if (fd >= 0 && write(fd, next, sizeof(FlightFile)) == sizeof(FlightFile) &&
		ftruncate(fd, sizeof(FlightFile)) == 0)
		mapped = mmap(NULL, sizeof(FlightFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
	{
		errno = errno ? errno : ENOSPC;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not map file \"%s\": %m", FILE_NAME),
				 errdetail("Code that terminates the server will run again after each restart.")));
	}
	if (fd >= 0)
		close(fd);
	return mapped == MAP_FAILED ? NULL : mapped;
}

/* Reports the code that ended the last life, and keeps the reports that have not been counted before. */
static void
report_last_life(FlightFile *next, const FlightFile *last, bool same_postmaster)
{
	bool		one_process = same_postmaster;
	int			weight;

	for (int i = 0; i < FLIGHT_MAX_REPORTS; i++)
	{
		const FlightReport *report = &last->reports[i];

		if (OidIsValid(report->database) && report->weight > 0 && report->weight <= FLIGHT_CRASH &&
			report->run.kind > FLIGHT_NOTHING && report->run.kind <= FLIGHT_TASK)
			next->reports[i] = *report;
	}
	for (int i = 0; i < lengthof(last->records); i++)
		one_process |= is_record(&last->records[i]) && last->told && !was_told(&last->records[i]);

	weight = one_process ? FLIGHT_CRASH : 1;
	for (int i = 0; i < lengthof(last->records); i++)
		if (is_record(&last->records[i]) && !(one_process && was_told(&last->records[i])))
			durable_report_add(next, &last->records[i], weight);
}

static bool
is_record(const FlightRecord *old)
{
	return old->run.kind > FLIGHT_NOTHING && old->run.kind <= FLIGHT_TASK && OidIsValid(old->database);
}

/* A process whose parallel worker has crashed gets SIGQUIT like all others. */
static bool
was_told(const FlightRecord *old)
{
	return old->told && pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &old->parallel)) == 0;
}

/* The machine's power may have failed since the file was written. */
static void
get_boot_id(char *boot_id, Size size)
{
	int			fd = BasicOpenFile("/proc/sys/kernel/random/boot_id", O_RDONLY);
	ssize_t		length;

	memset(boot_id, 0, size);
	if (fd < 0)
		return;
	length = read(fd, boot_id, size - 1);
	boot_id[Max(length, 0)] = '\0';
	close(fd);
}
