--
-- The dungeon's world by itself: settings, word lists, makers, console.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS durable_dungeon CASCADE;
RESET client_min_messages;

-- settings: one row; the one that is inserted last counts
SELECT confirm_timeout, monitor_interval, monitor_timeout FROM dungeon.settings;
UPDATE dungeon.settings SET confirm_timeout = '5 seconds', beasts = ARRAY['Goblin'];
SELECT dungeon.read_settings();
SET intervalstyle = iso_8601;
SELECT dungeon.read_settings();
RESET intervalstyle;
INSERT INTO dungeon.settings DEFAULT VALUES;
SELECT count(*), min(confirm_timeout) AS confirm_timeout, min(cardinality(beasts)) > 1 AS beasts FROM dungeon.settings;
BEGIN;
DELETE FROM dungeon.settings;
SELECT dungeon.read_settings();
ROLLBACK;

-- settings that make no sense
\set VERBOSITY terse
UPDATE dungeon.settings SET confirm_timeout = '0';
UPDATE dungeon.settings SET monitor_interval = '-1 second';
UPDATE dungeon.settings SET monitor_timeout = NULL;
UPDATE dungeon.settings SET colours = ARRAY[]::text[];
UPDATE dungeon.settings SET weapons = ARRAY['Spoon', NULL];
UPDATE dungeon.settings SET treasures = ARRAY['Teapot, Slightly Used'];
UPDATE dungeon.settings SET walls = ARRAY['paper', '  '];
UPDATE dungeon.settings SET treasures = weapons;
\set VERBOSITY default
SELECT dungeon.is_word_list(ARRAY['a', 'b']) AS yes, dungeon.is_word_list(ARRAY[['a'], ['b']]) AS no;

-- the lists are long enough to be fun, and no word is in one of them twice
CREATE TEMP VIEW word_list AS
    SELECT l.key AS list, w.word
    FROM dungeon.settings s, jsonb_each(to_jsonb(s)) AS l, jsonb_array_elements_text(l.value) AS w (word)
    WHERE jsonb_typeof(l.value) = 'array';
SELECT list, count(*) >= 20 AS long_enough, count(*) = count(DISTINCT lower(word)) AS all_different
FROM word_list GROUP BY list ORDER BY list;

-- every word is drawn, whatever the list's subscripts, and nothing else is
SELECT setseed(0.25);
WITH list AS (SELECT list, array_agg(word) AS words FROM word_list GROUP BY list),
     drawn AS MATERIALIZED (SELECT list.list, dungeon.draw(list.words) AS word FROM list, generate_series(1, 1500))
SELECT list.list,
       (SELECT count(DISTINCT d.word) FROM drawn d WHERE d.list = list.list) = cardinality(list.words) AS every_word,
       (SELECT bool_and(d.word = ANY (list.words)) FROM drawn d WHERE d.list = list.list) AS nothing_else
FROM list ORDER BY list.list;
WITH drawn AS MATERIALIZED (SELECT dungeon.draw('[5:7]={a,b,c}') AS word FROM generate_series(1, 200))
SELECT word, count(*) > 30 AS fair FROM drawn GROUP BY word ORDER BY word;

-- and every word gets into a name
SELECT setseed(0.5);
CREATE TEMP TABLE made AS
    SELECT dungeon.make_monster() AS monster, dungeon.make_weapon() AS weapon, dungeon.make_treasure() AS treasure,
           r.name AS room, r.description
    FROM generate_series(1, 1500) AS n, LATERAL (SELECT (dungeon.make_room()).* FROM (VALUES (n)) AS again (n)) AS r;
SELECT l.list, l.word
FROM word_list l
WHERE NOT EXISTS (
    SELECT FROM made m
    WHERE CASE l.list
        WHEN 'adjectives' THEN m.monster LIKE l.word || ' %'
        WHEN 'colours'    THEN m.monster LIKE '% ' || l.word || ' %'
        WHEN 'beasts'     THEN m.monster LIKE '% ' || l.word
        WHEN 'conditions' THEN m.weapon LIKE l.word || ' %'
        WHEN 'weapons'    THEN m.weapon LIKE '% ' || l.word
        WHEN 'treasures'  THEN m.treasure LIKE '% ' || l.word
        WHEN 'moods'      THEN m.room LIKE l.word || ' %'
        WHEN 'chambers'   THEN m.room LIKE '% ' || l.word
        WHEN 'walls'      THEN m.description LIKE 'The walls are ' || l.word || '. %'
        WHEN 'contents'   THEN m.description LIKE '% In the middle: ' || l.word || '.' END)
ORDER BY l.list, l.word;

-- intervals in words
SELECT span, dungeon.spell_out(span) FROM (VALUES
    ('2 minutes'::interval), ('1 hour'), ('20 seconds'), ('90 seconds'), ('1 second'), ('0.5 seconds'),
    ('1 day 1 minute 1.25 seconds'), ('0')) AS given (span);

-- the console's notification is under 8,000 bytes, whatever the line
SELECT dungeon.console_payload(7, 'Pat "the Hat"', E'says\n\t\\o/');
SELECT dungeon.console_payload(7, NULL, 'somebody');
SELECT n, octet_length(dungeon.console_payload(7, 'Pat', repeat('x', n))) AS bytes,
       left(dungeon.console_payload(7, 'Pat', repeat('x', n)), 30) AS payload
FROM (VALUES (7858), (7859), (7860), (100000)) AS given (n);
SELECT dungeon.console_payload(9223372036854775807, 'Pat', repeat('"', 5000));

-- lines over that length are written all the same
SELECT dungeon.say('Long John', repeat('long ', 4000)) > 0 AS said;
SELECT player, length(message), created_at <= clock_timestamp() AS past FROM dungeon.console WHERE player = 'Long John';

-- what players type is not repeated at any length
SELECT length(dungeon.clip(repeat('x', 200))), length(dungeon.clip(repeat('x', 10000))), dungeon.clip(NULL) IS NULL;
