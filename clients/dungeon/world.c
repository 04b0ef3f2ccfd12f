/*
 * world.c - finds the players' functions and looks at the game through them.
 *
 * The functions are in whatever schema the extension was created in, so that is
 * looked up by the extension's name; nothing is found through a search_path,
 * where somebody else's dd_action might stand first.  JSON is taken apart by the
 * server's operators, in the same statement.
 *
 * A look also knows which phase the game is in.  dd_status tells what is where,
 * and the states of the workflows tell what is still going to happen by itself;
 * waiting ends when nothing is.
 *
 * Called by: game.c, commands.c, auto.c, terminal.c.
 * Memory: a World keeps its PGresult, and all its texts are in there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "print.h"
#include "world.h"

struct Dungeon
{
	char	   *deed_sql[DEEDS];
	char	   *look_sql;
};

const char *const workflow_names[WORKFLOWS] = {
	"RunUserParallelWorkflow", "UserMonitorWorkflow", "UserConfirmationWorkflow",
	"RunUserSequentialWorkflow", "GameMonitorWorkflow"
};

static const struct
{
	const char *format;
	int			nparams;
}			deeds[DEEDS] = {
	[DEED_NEW_USER] = {"SELECT ok, http_status, message FROM %1$s.dd_new_user($1)", 1},
	[DEED_CONFIRM] = {"SELECT ok, http_status, message FROM %1$s.dd_confirm($1)", 1},
	[DEED_ACTION] = {"SELECT ok, http_status, message FROM %1$s.dd_action($1, $2, $3, $4)", 4},
};

/* dd_status is called once: a volatile or costly function in FROM with OFFSET 0 is not repeated for each column. */
static const char look_format[] =
"SELECT s #>> '{user,name}', s #>> '{user,isAlive}', s #>> '{user,currentRoom}', s #>> '{user,inventoryItems}',"
" s #>> '{monster,name}', s #>> '{monster,isAlive}', s #>> '{monster,currentRoom}', s #>> '{monster,inventoryItems}',"
" s #>> '{room,name}', s #>> '{room,description}', s #>> '{room,inventoryItems}',"
" jsonb_path_query_first(s, '$.inventory[*] ? (@.isTreasure == false).name') #>> '{}',"
" jsonb_path_query_first(s, '$.inventory[*] ? (@.isTreasure == true).name') #>> '{}',"
" s::text, %2$s,"
" w0.status, w0.created, w0.ended, w1.status, w1.created, w1.ended, w2.status, w2.created, w2.ended,"
" w3.status, w3.created, w3.ended, w4.status, w4.created, w4.ended"
" FROM (SELECT %1$s.dd_status($1) AS s OFFSET 0) look"
" LEFT JOIN LATERAL (SELECT * FROM %1$s.dd_check_status($1, $2) LIMIT 1) w0 ON true"
" LEFT JOIN LATERAL (SELECT * FROM %1$s.dd_check_status($1, $3) LIMIT 1) w1 ON true"
" LEFT JOIN LATERAL (SELECT * FROM %1$s.dd_check_status($1, $4) LIMIT 1) w2 ON true"
" LEFT JOIN LATERAL (SELECT * FROM %1$s.dd_check_status($1, $5) LIMIT 1) w3 ON true"
" LEFT JOIN LATERAL (SELECT * FROM %1$s.dd_check_status($1, $6) LIMIT 1) w4 ON true";

/* Dungeons from before dd_time_left, and roles that were let in before, do without the countdown. */
static const char time_left_format[] = "(extract(epoch FROM %1$s.dd_time_left($1)) * 1000)::bigint";

static Phase find_phase(const World *world);
static const char *text_or_null(const PGresult *res, int column);
static char *format_sql(const char *format, const char *schema, const char *time_left) __attribute__((format(printf, 1, 0)));

Dungeon *
dungeon_find(Conn *c, int *exit_code)
{
	PGresult   *res = conn_query(c, "SELECT n.nspname, pg_catalog.current_database(),"
								 " pg_catalog.has_function_privilege(pg_catalog.to_regprocedure("
								 "  pg_catalog.quote_ident(n.nspname) || '.dd_time_left(text)'), 'EXECUTE')"
								 " FROM (VALUES (1)) one LEFT JOIN pg_catalog.pg_extension e ON e.extname = 'durable_dungeon'"
								 " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace", 0, NULL);
	Dungeon    *d = NULL;

	if (!conn_ok(res))
	{
		conn_report(res);
		*exit_code = conn_alive(c) ? EXIT_FAILED : EXIT_CONNECTION;
	}
	else if (PQgetisnull(res, 0, 0))
	{
		print_error("extension \"durable_dungeon\" is not installed in database \"%s\"", PQgetvalue(res, 0, 1));
		print_hint("CREATE EXTENSION durable_dungeon CASCADE; or let \"make play\" make a server with everything.");
		*exit_code = EXIT_SETUP;
	}
	else
	{
		char	   *time_left;
		char	   *schema = PQescapeIdentifier(c->pg, PQgetvalue(res, 0, 0), strlen(PQgetvalue(res, 0, 0)));

		d = calloc(1, sizeof(Dungeon));
		if (d == NULL || schema == NULL)
			abort();
		for (int i = 0; i < DEEDS; i++)
			d->deed_sql[i] = format_sql(deeds[i].format, schema, "");
		time_left = strcmp(PQgetvalue(res, 0, 2), "t") == 0 ? format_sql(time_left_format, schema, "") : strdup("NULL");
		d->look_sql = format_sql(look_format, schema, time_left);
		free(time_left);
		PQfreemem(schema);
	}
	PQclear(res);
	return d;
}

static char *
format_sql(const char *format, const char *schema, const char *time_left)
{
	char	   *sql;

	if (asprintf(&sql, format, schema, time_left) < 0)
		abort();
	return sql;
}

void
dungeon_free(Dungeon *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < DEEDS; i++)
		free(d->deed_sql[i]);
	free(d->look_sql);
	free(d);
}

PGresult *
world_do(Conn *c, const Dungeon *d, Deed deed, const char *const *values)
{
	return conn_query(c, d->deed_sql[deed], deeds[deed].nparams, values);
}

bool
world_look(Conn *c, const Dungeon *d, const char *player, World *world)
{
	const char *values[1 + WORKFLOWS] = {player};
	PGresult   *res;
	const char **texts[] = {
		&world->user, NULL, &world->user_room, &world->user_items,
		&world->monster, NULL, &world->monster_room, &world->monster_items,
		&world->room, &world->room_description, &world->room_items,
		&world->weapon, &world->treasure, &world->json, NULL
	};
	const int	ntexts = sizeof(texts) / sizeof(texts[0]);

	memset(world, 0, sizeof(*world));
	for (int i = 0; i < WORKFLOWS; i++)
		values[1 + i] = workflow_names[i];
	res = conn_query(c, d->look_sql, 1 + WORKFLOWS, values);
	if (!conn_ok(res) || PQntuples(res) == 0)
	{
		if (conn_alive(c))
			conn_report(res);
		PQclear(res);
		return false;
	}

	world->res = res;
	for (int i = 0; i < ntexts; i++)
	{
		if (texts[i] != NULL)
			*texts[i] = text_or_null(res, i);
	}
	world->user_alive = strcmp(PQgetvalue(res, 0, 1), "true") == 0;
	world->monster_alive = strcmp(PQgetvalue(res, 0, 5), "true") == 0;
	for (int i = 0; i < WORKFLOWS; i++)
	{
		world->status[i] = text_or_null(res, ntexts + 3 * i);
		world->created[i] = text_or_null(res, ntexts + 3 * i + 1);
		world->ended[i] = text_or_null(res, ntexts + 3 * i + 2);
	}
	world->phase = find_phase(world);
	if (world->phase == PHASE_UNCONFIRMED && !PQgetisnull(res, 0, 14))
		world->confirm_by = conn_now() + strtoll(PQgetvalue(res, 0, 14), NULL, 10);
	return true;
}

void
world_countdown(const World *world, char *text)
{
	int64_t		left = (world->confirm_by - conn_now() + 999) / 1000;

	if (left < 0)
		left = 0;
	if (left < 3600)
		snprintf(text, COUNTDOWN_SIZE, "%d:%02d", (int) left / 60, (int) left % 60);
	else
		snprintf(text, COUNTDOWN_SIZE, "%lld:%02d:%02d", (long long) left / 3600, (int) (left / 60 % 60), (int) (left % 60));
}

void
world_free(World *world)
{
	PQclear(world->res);
	memset(world, 0, sizeof(*world));
}

/*
 * The phase of a game. A transient phase is returned only if a workflow that runs or is about to
 * start will end it, so that callers do not wait for a failed or terminated workflow.
 */
static Phase
find_phase(const World *world)
{
	const char *const *status = world->status;

	if (world->user == NULL)
		return workflow_runs(world, RUN_USER_PARALLEL) ? PHASE_MAKING : PHASE_NOBODY;
	if (!world->user_alive)
		return PHASE_DEAD;
	if (status[GAME_MONITOR] != NULL && strcmp(status[GAME_MONITOR], "Completed") == 0)
		return PHASE_WON;
	if (status[USER_CONFIRMATION] == NULL)
		return workflow_runs(world, RUN_USER_PARALLEL) ? PHASE_MAKING : PHASE_PLAYING;
	if (workflow_runs(world, USER_CONFIRMATION) && status[RUN_USER_SEQUENTIAL] == NULL)
		return PHASE_UNCONFIRMED;
	if (status[RUN_USER_SEQUENTIAL] == NULL)
		return strcmp(status[USER_CONFIRMATION], "Completed") == 0 ? PHASE_PLACING : PHASE_PLAYING;
	if (workflow_runs(world, RUN_USER_SEQUENTIAL) ||
		(status[GAME_MONITOR] == NULL && strcmp(status[RUN_USER_SEQUENTIAL], "Completed") == 0))
		return PHASE_PLACING;
	if (workflow_runs(world, GAME_MONITOR) && !world->monster_alive &&
		world->treasure != NULL && world_carries(world, world->treasure))
		return PHASE_WINNING;
	return PHASE_PLAYING;
}

bool
workflow_runs(const World *world, Workflow workflow)
{
	const char *status = world->status[workflow];

	return status != NULL &&
		(strcmp(status, "Pending") == 0 || strcmp(status, "Running") == 0 || strcmp(status, "ContinuedAsNew") == 0);
}

bool
phase_passes(Phase phase)
{
	return phase == PHASE_MAKING || phase == PHASE_PLACING || phase == PHASE_WINNING;
}

bool
world_carries(const World *world, const char *item)
{
	Names		items = names_split(world->user_items);
	bool		found = false;

	for (int i = 0; i < items.n && !found; i++)
		found = strcmp(items.name[i], item) == 0;
	names_free(&items);
	return found;
}

static const char *
text_or_null(const PGresult *res, int column)
{
	return PQgetisnull(res, 0, column) ? NULL : PQgetvalue(res, 0, column);
}
