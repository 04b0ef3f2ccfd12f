--
-- A name is a value, whatever is in it.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS durable_dungeon CASCADE;
RESET client_min_messages;
SELECT getdatabaseencoding() = 'UTF8' AS utf8;

CREATE TEMP TABLE guest (n int, name text);
INSERT INTO guest VALUES
    (1, 'Robert''); DROP TABLE dungeon.player; --'),
    (2, '<img src=x onerror="alert(1)">'),
    (3, 'a "quoted" \ back\\slash %s %I %1$s {}[]:,;$1 $$'),
    (4, U&'\+01F409\+01F525 dragon \+01F468\200D\+01F469\200D\+01F467'),
    (5, repeat('sixty-three bytes and more ', 7)),
    (6, repeat(U&'\+01F9D9', 200)),
    (7, E'two\nlines\tand a tab\rand a bell\a'),
    (8, 'NULL'), (9, 'null'), (10, '0'), (11, '{"name": "json"}'), (12, ' Pat'), (13, 'Pat '), (14, '../../etc/passwd'),
    (15, 'UserMonitorWorkflow:Pat-000000000000'), (16, U&'\0627\0644\0639\0631\0628\064A\0629'), (17, 'O''Brien'),
    (18, U&'caf\00E9'), (19, U&'cafe\0301'), (20, 'CAFE'), (21, 'cafe'), (22, '-'), (23, '%'), (24, repeat('_', 200));

SELECT count(*) FILTER (WHERE (dd_new_user(name)).ok) AS let_in, count(*) AS came FROM guest;
SELECT count(*) FILTER (WHERE (dd_new_user(name)).ok) AS let_in_again FROM guest;
CALL durable.drain('1 minute');
SELECT count(*) FILTER (WHERE (dd_confirm(name)).ok) AS confirmed FROM guest;
CALL durable.drain('1 minute');
SELECT n, dd_status(name) #>> '{user,name}' = name AS same_name, dd_status(name) #> '{user,isAlive}' AS alive,
       (SELECT status FROM dd_check_status(name, 'GameMonitorWorkflow')) AS game
FROM guest ORDER BY n;
SELECT count(*) FILTER (WHERE (dd_action(name, 'get', dd_status(name) #>> '{room,inventoryItems}')).ok) AS armed FROM guest;
SELECT count(*) FILTER (WHERE (dd_action(name, 'kill', dd_status(name) #>> '{monster,name}',
                                         dd_status(name) #>> '{user,inventoryItems}')).ok) AS victorious FROM guest;
SELECT count(*) FILTER (WHERE (dd_action(name, 'get', dd_status(name) #>> '{room,inventoryItems}')).ok) AS rich FROM guest;
CALL durable.drain('1 minute');
SELECT (SELECT status FROM dd_check_status(name, 'GameMonitorWorkflow')) AS game, count(*) FROM guest GROUP BY 1;

-- everybody's story is his own
SELECT n, count(*) AS lines, count(*) FILTER (WHERE position(g.name IN c.message) > 0) AS about_him,
       count(*) FILTER (WHERE c.message LIKE '%has won%') AS won
FROM guest g JOIN dungeon.console c ON c.player = g.name
WHERE c.message !~ 'watchman' GROUP BY n ORDER BY n;

-- ids of instances keep letters and digits, and are short
SELECT n, regexp_replace(game_key, '[0-9a-f]{12}$', 'key') AS game_key
FROM guest JOIN dungeon.game ON player = name WHERE n NOT IN (4, 6, 16, 18, 19) ORDER BY n;
SELECT max(octet_length(instance_id)) < 256 AS short, count(*) = count(DISTINCT instance_id) AS unique
FROM durable.instances JOIN guest ON input = to_jsonb(guest.name);

-- what is asked for is a value as well
SELECT message FROM dd_action('O''Brien', 'get', '''); DROP TABLE dungeon.item; --');
SELECT message FROM dd_action('O''Brien', '%s %n %1$s', '%s');
SELECT message FROM dd_action('O''Brien', 'kill', '%', '_');
SELECT count(*) FROM dd_check_status('O''Brien', '%');
SELECT message FROM dd_confirm('%');
SELECT message FROM dd_confirm('__');

SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain('1 minute');
