/*-------------------------------------------------------------------------
 *
 * error_origin.c
 *		Decides whether the server or the code that ran has caused an error.
 *
 * An error of the server's, such as a deadlock, a cancel or a full disk, does not
 * depend on the code: the code is run again, and no attempt is used up.  The SQLSTATE
 * does not distinguish the two kinds: RAISE can use any code, dblink passes on those of
 * another server, and a file that pg_read_file() does not find has the class of a disk
 * failure.  So the place counts as well.  Every error has the name of the source file in
 * which it was raised, and the server raises each of these errors in few files.  An
 * error from another file is an error of the code.
 *
 * PL/pgSQL passes an error on as it is.  PL/Python raises it anew, and a foreign
 * server's conflict is raised by the library that has received it.  In these cases the
 * origin of a conflict, whose SQLSTATE means that the transaction is to be repeated, is
 * not known: the caller repeats the code a limited number of times.
 *
 * This file also adds hints to errors that are due to the way in which the engine runs code.
 *
 * Owns:		nothing
 * Called by:	activity.c, turn.c, activity_calls.c, start_calls.c, orchestration_code.c,
 *				entity_run.c, external.c
 * Locks:		none
 * Memory:		none
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "error_origin.h"

#include "miscadmin.h"
#include "utils/builtins.h"

/*
 * Source files.  The lists come from a search of the sources of PostgreSQL 15.18 and 18.6 for
 * each of these codes, and for errcode_for_file_access().  Files that both releases have
 * are assumed to be in the releases between them.  Left out are files whose errors a worker
 * cannot get (recovery, replication, whole commands that no function can call) and files that
 * raise the code because of their caller's arguments: genfile.c, dfmgr.c, copyto.c,
 * formatting.c, and contrib.
 */
typedef const char *const *Files;

static const char *const locking[] = {"deadlock.c", NULL};
static const char *const cancelling[] = {"postgres.c", NULL};

/* "could not serialize access", and a row that has moved to another partition */
static const char *const serializing[] = {
	"nodeModifyTable.c", "nodeLockRows.c", "heapam_handler.c", "trigger.c", "predicate.c",
	"postgres.c", "entity_api.c", NULL
};

/* class 53, and 58030: no space, no file descriptor, or a disk failure; the cluster's files */
static const char *const storing[] = {
	"md.c", "bufmgr.c", "localbuf.c", "fd.c", "buffile.c", "logtape.c", "tuplestore.c",
	"sharedtuplestore.c", "nodeHashjoin.c", "nodeAgg.c", "slru.c", "xlog.c", "xlogutils.c",
	"relmapper.c", "relcache.c", "rewriteheap.c", "snapmgr.c", "dsm.c", "dsm_impl.c", NULL
};

/*
 * 58P01 and 58P02: a file of the cluster is missing, or exists already.  fd.c is not in the
 * list, because it reports the directories that pg_ls_dir() does not find.
 */
static const char *const missing[] = {
	"md.c", "slru.c", "xlog.c", "xlogutils.c", "relmapper.c", "buffile.c", "sharedtuplestore.c",
	"dsm_impl.c", NULL
};

/* memory of the process, or shared memory */
static const char *const allocating[] = {
	"mcxt.c", "aset.c", "generation.c", "slab.c", "bump.c", "dsa.c", "dshash.c", "dynahash.c",
	"shmem.c", "shm_toc.c", "dsm.c", "dsm_impl.c", "pgstat_shmem.c", "lock.c", "predicate.c",
	"localbuf.c", "fd.c", "guc.c", "postgres.c", "dfmgr.c", "pg_locale.c", "pg_locale_icu.c",
	"pg_locale_libc.c", "cryptohash_openssl.c", "hmac_openssl.c", NULL
};

/* corrupt pages and rows */
static const char *const reading[] = {
	"md.c", "bufmgr.c", "bufpage.c", "storage.c", "heapam.c", "heapam_handler.c", "heaptoast.c",
	"toast_compression.c", "multixact.c", "relmapper.c", "relcache.c", "inv_api.c",
	"nbtinsert.c", "nbtpage.c", "nbtree.c", "nbtsearch.c", "hashutil.c", "gistutil.c",
	"brin_revmap.c", NULL
};

/* These files raise the errors that the code asks for. */
static const char *const raising[] = {"pl_exec.c", "plpy_plpymodule.c", NULL};

static Files files_that_raise(int sqlerrcode);
static bool is_among(const char *file, Files files);

ErrorOrigin
durable_error_origin(const ErrorData *error)
{
	Files		files = files_that_raise(error->sqlerrcode);

	if (files == NULL || error->filename == NULL)
		return ERROR_OF_CODE;
	if (is_among(error->filename, files))
		return ERROR_OF_SERVER;
	if ((error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		 error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED) &&
		!is_among(error->filename, raising))
		return ERROR_OF_EITHER;
	return ERROR_OF_CODE;
}

bool
durable_error_is_infrastructure(const ErrorData *error)
{
	return durable_error_origin(error) == ERROR_OF_SERVER;
}

/*
 * Returns the files in which the server raises errors with that SQLSTATE; NULL if such
 * errors are always caused by the code, as when it exceeds temp_file_limit.
 */
static Files
files_that_raise(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			return locking;
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			return serializing;
		case ERRCODE_QUERY_CANCELED:
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CRASH_SHUTDOWN:
			return cancelling;
		case ERRCODE_DATA_CORRUPTED:
		case ERRCODE_INDEX_CORRUPTED:
			return reading;
		case ERRCODE_OUT_OF_MEMORY:
			return allocating;
		case ERRCODE_UNDEFINED_FILE:
		case ERRCODE_DUPLICATE_FILE:
			return missing;
		case ERRCODE_CONFIGURATION_LIMIT_EXCEEDED:
			return NULL;
	}
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:	/* class 53 */
		case ERRCODE_SYSTEM_ERROR:	/* class 58 */
			return storing;
	}
	return NULL;
}

static bool
is_among(const char *file, Files files)
{
	for (; *files != NULL; files++)
		if (strcmp(file, *files) == 0)
			return true;
	return false;
}

void
durable_error_explain(ErrorData *error, const char *kind)
{
	if (error->hint != NULL)
		return;
	switch (error->sqlerrcode)
	{
		case ERRCODE_INVALID_TRANSACTION_TERMINATION:
			error->hint = psprintf("An %s cannot commit or roll back, and cannot call a procedure that does. The engine commits its effects when it has ended.", kind);
			break;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			error->hint = psprintf("The %s ran as role %s, the owner of the instance. GRANT it the privilege, and use durable.rewind() to repeat what has failed.",
								   kind, quote_identifier(GetUserNameFromId(GetUserId(), false)));
			break;
	}
}
