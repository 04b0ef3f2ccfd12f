/*
 * The settings, among them the word lists, and the makers that draw names from
 * the lists.  The settings are read by activities only: an orchestration may not
 * read tables, because a later replay could find something else in them.
 */

-- Names of items are joined with commas in dd_status, so words have none.
CREATE FUNCTION dungeon.is_word_list(words text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_ndims($1) = 1, false)
       AND NOT EXISTS (SELECT FROM unnest($1) AS w (word) WHERE w.word IS NULL OR w.word !~ '\S' OR w.word ~ ',')
$$;
COMMENT ON FUNCTION dungeon.is_word_list(text[]) IS
    'true for a list of at least one word, none of them null, blank or with a comma';

CREATE TABLE dungeon.settings (
    singleton         boolean   PRIMARY KEY DEFAULT true CHECK (singleton),
    confirm_timeout   interval  NOT NULL DEFAULT '2 minutes' CHECK (confirm_timeout > '0'),
    monitor_interval  interval  NOT NULL DEFAULT '20 seconds' CHECK (monitor_interval > '0'),
    monitor_timeout   interval  NOT NULL DEFAULT '1 hour' CHECK (monitor_timeout > '0'),
    world             text      NOT NULL DEFAULT 'tables' CHECK (world IN ('tables', 'entities')),
    orchestrations    text      NOT NULL DEFAULT 'sql' CHECK (orchestrations IN ('sql', 'external')),

    -- a monster is an adjective, a colour and a beast
    adjectives text[] NOT NULL CHECK (dungeon.is_word_list(adjectives)) DEFAULT ARRAY[
        'Bashful', 'Bellowing', 'Brooding', 'Clumsy', 'Cross-Eyed', 'Disgruntled', 'Drowsy', 'Fretful', 'Gloomy',
        'Grinning', 'Haughty', 'Hiccuping', 'Lopsided', 'Melancholy', 'Mumbling', 'Nearsighted', 'Overfed', 'Peckish',
        'Quarrelsome', 'Ravenous', 'Sleepwalking', 'Snoring', 'Soggy', 'Spiteful', 'Unemployed', 'Yodelling'],
    colours text[] NOT NULL CHECK (dungeon.is_word_list(colours)) DEFAULT ARRAY[
        'Amber', 'Beige', 'Bronze', 'Charcoal', 'Cobalt', 'Copper', 'Coral', 'Crimson', 'Emerald', 'Indigo', 'Ivory',
        'Jade', 'Khaki', 'Lavender', 'Magenta', 'Maroon', 'Mustard', 'Ochre', 'Olive', 'Pink', 'Plaid', 'Scarlet',
        'Teal', 'Turquoise', 'Violet', 'Zebra-Striped'],
    beasts text[] NOT NULL CHECK (dungeon.is_word_list(beasts)) DEFAULT ARRAY[
        'Badger', 'Basilisk', 'Bog Hag', 'Bugbear', 'Cave Squid', 'Centipede', 'Chimera', 'Cockatrice', 'Gargoyle',
        'Ghoul', 'Griffin', 'Harpy', 'Hydra', 'Imp', 'Kobold', 'Lindworm', 'Manticore', 'Mimic', 'Moth King', 'Ogre',
        'Owl Knight', 'Scarecrow', 'Slime', 'Sphinx', 'Tax Collector', 'Toad', 'Troll', 'Vampire Hare'],

    -- a weapon or a treasure is a condition and a thing
    conditions text[] NOT NULL CHECK (dungeon.is_word_list(conditions)) DEFAULT ARRAY[
        'Battered', 'Bent', 'Blessed', 'Borrowed', 'Charred', 'Cursed', 'Dented', 'Dusty', 'Engraved', 'Ever-Humming',
        'Forgotten', 'Frosty', 'Gleaming', 'Glued-Together', 'Half-Eaten', 'Haunted', 'Heirloom', 'Legendary',
        'Mildewed', 'Oversized', 'Polished', 'Secondhand', 'Singing', 'Sticky', 'Suspicious', 'Tarnished', 'Wobbly'],
    weapons text[] NOT NULL CHECK (dungeon.is_word_list(weapons)) DEFAULT ARRAY[
        'Battleaxe', 'Blowpipe', 'Boomerang', 'Broomstick', 'Candlestick', 'Catapult', 'Claymore', 'Crossbow', 'Cudgel',
        'Cutlass', 'Dagger', 'Frying Pan', 'Glaive', 'Halberd', 'Harpoon', 'Lance', 'Longbow', 'Morning Star',
        'Pitchfork', 'Quarterstaff', 'Rapier', 'Rolling Pin', 'Sabre', 'Sling', 'Spear', 'Trident', 'Warhammer'],
    treasures text[] NOT NULL CHECK (dungeon.is_word_list(treasures) AND NOT treasures && weapons) DEFAULT ARRAY[
        'Amulet', 'Astrolabe', 'Cake Recipe', 'Chalice', 'Crown', 'Crystal Skull', 'Diadem', 'Fiddle', 'Goblet',
        'Golden Goose', 'Hourglass', 'Idol', 'Lamp', 'Library Card', 'Map of Atlantis', 'Music Box', 'Opal', 'Pearl',
        'Phoenix Egg', 'Punch Card', 'Rubber Duck', 'Sceptre', 'Signet Ring', 'Snow Globe', 'Spyglass', 'Tapestry'],

    -- a room is a mood and a chamber, with walls and contents
    moods text[] NOT NULL CHECK (dungeon.is_word_list(moods)) DEFAULT ARRAY[
        'Abandoned', 'Bottomless', 'Crooked', 'Draughty', 'Echoing', 'Flooded', 'Forbidden', 'Hidden', 'Humid',
        'Lamplit', 'Leaning', 'Moonlit', 'Narrow', 'Nameless', 'Overgrown', 'Peculiar', 'Revolving', 'Silent',
        'Sunken', 'Unfinished', 'Upside-Down', 'Whispering'],
    chambers text[] NOT NULL CHECK (dungeon.is_word_list(chambers)) DEFAULT ARRAY[
        'Alcove', 'Antechamber', 'Armoury', 'Attic', 'Bakery', 'Ballroom', 'Bathhouse', 'Catacomb', 'Cellar', 'Chapel',
        'Cistern', 'Crypt', 'Gallery', 'Granary', 'Grotto', 'Laboratory', 'Larder', 'Mine Shaft', 'Observatory',
        'Oubliette', 'Scriptorium', 'Stable', 'Vault', 'Waiting Room'],
    walls text[] NOT NULL CHECK (dungeon.is_word_list(walls)) DEFAULT ARRAY[
        'basalt that sweats', 'bookshelves without books', 'bricks signed by their bricklayer', 'chalk covered in sums',
        'cobwebbed oak', 'dripping limestone', 'fading frescoes of heroes running away', 'glass with something behind it',
        'ice that never melts', 'iron plates and rivets', 'mirrors that lag a little', 'mossy granite',
        'mud and good intentions', 'packed earth and roots', 'patient grey stone', 'peeling wallpaper',
        'quilted velvet', 'sandstone full of names', 'slate with a shopping list on it', 'stacked barrels',
        'tiles with one missing', 'warm marble', 'wattle and daub', 'wet clay with fingerprints'],
    contents text[] NOT NULL CHECK (dungeon.is_word_list(contents)) DEFAULT ARRAY[
        'a bathtub full of leaves', 'a birdcage with its door open', 'a bucket that is listening',
        'a chessboard in the middle of a game', 'a clock that runs backwards', 'a heap of left boots',
        'a map of a different dungeon', 'a rocking chair that has not stopped yet', 'a row of identical doormats',
        'a snoring suit of armour', 'a stuffed pheasant with a monocle', 'a table laid for thirteen',
        'a trapdoor nailed shut from below', 'a well with a sign saying NO WISHES', 'an anvil on a silk cushion',
        'an empty throne and a queue', 'an organ with its pipes stolen', 'candles that light themselves',
        'crates stamped RETURN TO SENDER', 'half a rowing boat', 'nothing but an echo', 'one very large egg cup',
        'seven keys and no door', 'three ladders leading nowhere']
);
COMMENT ON TABLE dungeon.settings IS
    'one row: how long things take, and the words that names are drawn from; INSERT ... DEFAULT VALUES brings the defaults back';
COMMENT ON COLUMN dungeon.settings.confirm_timeout IS 'how long a new player has to confirm before he dies';
COMMENT ON COLUMN dungeon.settings.monitor_interval IS 'how often UserMonitorWorkflow looks in';
COMMENT ON COLUMN dungeon.settings.monitor_timeout IS 'after how long UserMonitorWorkflow gives up';
COMMENT ON COLUMN dungeon.settings.world IS 'where games that begin from now on keep their things: tables or entities';
COMMENT ON COLUMN dungeon.settings.orchestrations IS 'where the workflows of games that begin from now on are run: sql (40_orchestrations.sql), or external, by a worker of the queue dungeon';

-- The row that comes last counts.  So the row of a dump replaces the one that
-- CREATE EXTENSION has just made, and the defaults can be inserted again.
CREATE FUNCTION dungeon.replace_settings() RETURNS trigger
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM dungeon.settings;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION dungeon.replace_settings() IS 'trigger: a new row of settings takes the place of the old one';

CREATE TRIGGER replace_settings BEFORE INSERT ON dungeon.settings
    FOR EACH ROW EXECUTE FUNCTION dungeon.replace_settings();

INSERT INTO dungeon.settings DEFAULT VALUES;

/* --- makers ------------------------------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.draw(words text[]) RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT $1[array_lower($1, 1) + floor(random() * cardinality($1))::integer]
$$;
COMMENT ON FUNCTION dungeon.draw(text[]) IS 'one of the words, each as likely as the others';

CREATE FUNCTION dungeon.make_monster() RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.adjectives), dungeon.draw(s.colours), dungeon.draw(s.beasts))
    FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_monster() IS 'a monster''s name: adjective, colour, beast';

CREATE FUNCTION dungeon.make_weapon() RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.conditions), dungeon.draw(s.weapons)) FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_weapon() IS 'a weapon''s name: condition, weapon';

CREATE FUNCTION dungeon.make_treasure() RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.conditions), dungeon.draw(s.treasures)) FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_treasure() IS 'a treasure''s name: condition, treasure';

CREATE FUNCTION dungeon.make_room(OUT name text, OUT description text)
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.moods), dungeon.draw(s.chambers)),
           format('The walls are %s. In the middle: %s.', dungeon.draw(s.walls), dungeon.draw(s.contents))
    FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_room() IS 'a room''s name, mood and chamber, and what it looks like: walls and contents';

/* --- wording ------------------------------------------------------------------------------------------------------ */

-- 2 minutes; 1 minute 30 seconds; 0.5 seconds.  Does not depend on IntervalStyle.
CREATE FUNCTION dungeon.spell_out(span interval) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(trim_scale(part.amount) || ' ' || part.unit
                               || CASE WHEN part.amount = 1 THEN '' ELSE 's' END, ' ' ORDER BY part.place),
                    '0 seconds')
    FROM (SELECT extract(epoch FROM $1) AS seconds) AS total
    CROSS JOIN LATERAL (VALUES
        (1, div(total.seconds, 3600), 'hour'),
        (2, mod(div(total.seconds, 60), 60), 'minute'),
        (3, mod(total.seconds, 60), 'second')) AS part (place, amount, unit)
    WHERE part.amount > 0
$$;
COMMENT ON FUNCTION dungeon.spell_out(interval) IS 'an interval in words';

-- Quotes the input of a player on the console, shortened if it is long.
CREATE FUNCTION dungeon.clip(words text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN length($1) > 200 THEN left($1, 200) || '...' ELSE $1 END
$$;
COMMENT ON FUNCTION dungeon.clip(text) IS 'the first 200 characters';
