# The program "dungeon console": every line once, whatever happens to the server, to the connection, and to the order in
# which lines are committed. The argument is in clients/dungeon/feed.c; this tries to break it.

use strict;
use warnings;
use ClientTest;
use DurableTest;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 0
max_prepared_transactions = 5
CONF
$node->start;
create_dungeon($node, 'postgres');
$node->safe_psql('postgres', "CREATE ROLE pat LOGIN; SELECT dungeon.grant_play('pat')");
my @as_pat = ('-d', $node->connstr('postgres') . ' user=pat');

sub told { return $node->safe_psql('postgres', "SELECT dungeon.say('$_[0]', '$_[1]')"); }

# Whoever watches is listening.
sub watched
{
	my ($how_many) = @_;

	return $node->poll_query_until('postgres',
		"SELECT count(*) = $how_many FROM pg_stat_activity WHERE usename = 'pat' AND state = 'idle' AND query ~ 'dungeon.console'");
}

# Its connections end, while it is stopped, so that it cannot be back before we want it to.
sub cut
{
	my ($console) = @_;

	kill 'STOP', $console->{pid};
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'pat'");
	return;
}

# Nobody asks any more: the programs know that nothing is left to come, and have forgotten the ids that they have seen.
sub settled
{
	my ($name) = @_;
	my $asked = "SELECT query_start FROM pg_stat_activity WHERE usename = 'pat'";
	my ($before, $after) = ('', ' ');

	ok(comes_true(sub { $before = $after; $after = $node->safe_psql('postgres', $asked); sleep(8) if $before ne $after; return $before eq $after; }), $name);
	return;
}

# ids_are_complete(console, ids to leave out, name): the table and what was printed are the same, each once.
sub ids_are_complete
{
	my ($console, $after, $name) = @_;
	my $last = told('nobody', 'the last line');

	ok(console_wait($console, qr/^\{"id": $last,/m), "$name: the last line has come");
	my @table = split /\n/, $node->safe_psql('postgres', "SELECT id FROM dungeon.console WHERE id > $after ORDER BY id");
	my @printed = sort { $a <=> $b } console_ids($console);
	is_deeply(\@printed, \@table, "$name: all " . @table . ' lines once');
	return;
}

# Where it begins.
my $first = told('Ada', 'before');
my $second = told('Bob', 'before');
my $all = console_open('all', @as_pat, '--json', '--since', 'all');
my $since = console_open('since', @as_pat, '--json', '--since', $first);
my $now = console_open('now', @as_pat, '--json');
my $ada = console_open('ada', @as_pat, '--json', '--since', 'all', '--player', 'Ada');
ok(watched(4), 'four are watching');
my $third = told('Ada', 'after');
my $fourth = told('Bob', 'after');
ok(console_wait($_, qr/^\{"id": $fourth,/m), 'the last line has come') foreach ($all, $since, $now);
ok(console_wait($ada, qr/^\{"id": $third,/m), '... and the last of one player');
is_deeply([ console_ids($all) ], [ $first, $second, $third, $fourth ], '--since all');
is_deeply([ console_ids($since) ], [ $second, $third, $fourth ], '--since ID');
is_deeply([ console_ids($now) ], [ $third, $fourth ], 'from now on');
is_deeply([ console_ids($ada) ], [ $first, $third ], '--player');
my $line = JSON::PP::decode_json((split /\n/, slurp_file($all->{out}))[2]);
is_deeply([ $line->{player}, $line->{message} ], [ 'Ada', 'after' ], 'JSON');
is($line->{created}, $node->safe_psql('postgres',
	qq{SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM dungeon.console WHERE id = $third}), '... with its time');
$_->{process}->kill_kill foreach ($since, $now, $ada);

# What people read. A line without a player, one too long for a notification, and one that means harm.
my $plain = console_open('plain', @as_pat, '--no-color');
ok(watched(2), 'one more is watching');
told('Ada', 'plain words');
$node->safe_psql('postgres', "SELECT dungeon.say(NULL, 'to nobody')");
$node->safe_psql('postgres', "SELECT dungeon.say('Long', repeat('long ', 5000) || 'end')");
$node->safe_psql('postgres', <<'SQL');
SELECT dungeon.say(E'M\x1b[2Jallory', E'a\nb\tc\u009b31m\u202ed\x7f' || '"id": 1 {"id": 1}');
SELECT dungeon.say('"id"', 'the end');
SQL
ok(console_wait($plain, qr/the end$/m), 'all of them have come');
my $text = slurp_file($plain->{out});
like($text, qr/^\d\d:\d\d:\d\d  Ada  plain words$/m, 'time, player, message');
like($text, qr/^\d\d:\d\d:\d\d  -  to nobody$/m, 'no player');
like($text, qr/^\d\d:\d\d:\d\d  Long  (long ){5000}end$/m, 'a long line is fetched from the table');
like($text, qr/^\d\d:\d\d:\d\d  M\\x1b\[2Jallory  a\\nb\\tc\\u\{009b\}31m\\u\{202e\}d\\x7f"id": 1 \{"id": 1\}$/m, 'harm is written out');
unlike($text, qr/[^ -~\n]/, '... and nothing of it is left');
is(() = $text =~ /\n/g, 5, 'five lines');
$plain->{process}->kill_kill;

# Lines that are committed in another order than they were written in.
my $late = session_open($node, 'postgres');
my $late_id = (split /\n/, session_say($late, "BEGIN; SELECT dungeon.say('Late', 'written first');"))[0];
my $early_id = told('Early', 'committed first');
cmp_ok($late_id, '<', $early_id, 'written first');
ok(console_wait($all, qr/^\{"id": $early_id,/m), 'the second line has come');
session_say($late, 'COMMIT;');
ok(console_wait($all, qr/^\{"id": $late_id,/m), 'and then the first');

# The same over an outage, when nobody hears the notification; and with a transaction that cannot even send one.
session_say($late, "BEGIN; SELECT dungeon.say('Late', 'committed during an outage');");
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO dungeon.console (player, message) VALUES ('Prepared', 'committed during an outage');
PREPARE TRANSACTION 'late';
SQL

# Long enough for the horizon to move twice, which it must not beyond these two.
my $until = time() + 14;
while (time() < $until)
{
	told('Busy', 'meanwhile');
	sleep(0.2);
}
cut($all);
session_say($late, 'COMMIT;');
$node->safe_psql('postgres', "COMMIT PREPARED 'late'");
told('Busy', 'during the outage');
kill 'CONT', $all->{pid};
ok(console_wait($all, qr/"Late", "message": "committed during an outage"/), 'a line that was late for many seconds');
ok(console_wait($all, qr/"Prepared", "message": "committed during an outage"/), '... and a prepared one');
session_close($late);
ids_are_complete($all, 0, 'after an outage');

# When nothing is left to come, nobody asks any more.
settled('a quiet dungeon is left in peace');

# Many who write, some of whom change their minds, while connections and servers come and go.
my $quiet_id = $node->safe_psql('postgres', 'SELECT max(id) FROM dungeon.console');
my @writers;
my $script = "$PostgreSQL::Test::Utils::tmp_check/writer.sh";
append_to_file($script, <<'SH');
end=$(($(date +%s) + 600)) n=0
until [ -e "$2" ] || [ $(date +%s) -gt $end ]; do
	n=$((n + 1))
	case $((n % 4)) in 0) last=ROLLBACK ;; *) last=COMMIT ;; esac
	psql -Xq -d "$1" -c "BEGIN" -c "SELECT dungeon.say('writer', 'first')" -c "SELECT pg_sleep(random() * 0.5)" \
		-c "SELECT dungeon.say('writer', 'second')" -c "$last" >/dev/null 2>&1 || sleep 0.1
done
SH
my $enough = "$PostgreSQL::Test::Utils::tmp_check/enough";
push @writers, IPC::Run::start([ 'sh', $script, $node->connstr('postgres'), $enough ], '<', \undef) foreach 1 .. 4;
foreach my $round (1 .. 3)
{
	sleep(1.5);
	cut($all);
	sleep(0.5);
	kill 'CONT', $all->{pid};
	sleep(1.5);
	$node->stop($round == 2 ? 'fast' : 'immediate');
	$node->start;
}
ok($node->poll_query_until('postgres', "SELECT count(*) > 40 FROM dungeon.console WHERE id > $quiet_id"), 'they have written');
append_to_file($enough, '');
$_->finish foreach @writers;
ids_are_complete($all, 0, 'after crashes');
like(slurp_file($all->{err}), qr/^\.\.\. waiting for the server\n\.\.\. the server is back$/m, 'it says that it waits');

# The last lines are deleted while nobody listens: what is left has been told, and what comes has not.
settled('quiet');
my $told_before = () = console_ids($all);
cut($all);
$node->safe_psql('postgres', 'DELETE FROM dungeon.console WHERE id > (SELECT max(id) - 3 FROM dungeon.console)');
kill 'CONT', $all->{pid};
sleep(2);
told('Next', 'after the deleted lines');
ok(console_wait($all, qr/"Next", "message": "after the deleted lines"/), 'a line after deleted ones');
is(scalar(() = console_ids($all)), $told_before + 1, '... and none of those before');

# Ids that begin again are new lines.
settled('quiet again');
cut($all);
$node->safe_psql('postgres', 'TRUNCATE dungeon.console RESTART IDENTITY');
told('Again', 'the first of all');
kill 'CONT', $all->{pid};
ok(console_wait($all, qr/"Again", "message": "the first of all"/), 'the first line after a truncation');

# A game that is installed anew begins with the first line again.
$node->safe_psql('postgres', 'DROP EXTENSION durable_dungeon CASCADE; DROP SCHEMA IF EXISTS dungeon CASCADE');
$node->safe_psql('postgres', "CREATE EXTENSION durable_dungeon; SELECT dungeon.grant_play('pat')");
my $anew = told('Anew', 'the first line');
cmp_ok($anew, '<', $quiet_id, 'ids begin again');
ok(console_wait($all, qr/"Anew", "message": "the first line"/), 'the first line of a new game');
cut($all);
my $more = told('Anew', 'the second line');
kill 'CONT', $all->{pid};
ok(console_wait($all, qr/"Anew", "message": "the second line"/), 'and the second');
is(() = slurp_file($all->{out}) =~ /"Anew", "message"/g, 2, 'each once');
$all->{process}->kill_kill;

# Whoever has read enough is noticed even if nothing happens.
my $started = time();
is(qx{dungeon -d '$as_pat[1]' --since all console | head -n 1 | wc -l}, "1\n", 'a reader that goes away');
cmp_ok(time() - $started, '<', patience(20), '... is noticed at once');

{
	my $pid = open(my $out, '-|', 'dungeon', @as_pat, '-q', '--since', 'all', 'console') or die "cannot fork: $!";

	ok(defined <$out>, 'somebody reads');
	$node->stop;
	# This closes the pipe and waits for the process.
	local $SIG{ALRM} = sub { kill 'KILL', $pid };
	alarm $PostgreSQL::Test::Utils::timeout_default;
	close $out;
	alarm 0;
	is($?, 1 << 8, 'a reader that goes away is noticed without a server, too');
	$node->start;
}

# On a terminal, dots show that it lives; a line takes them away.
my ($screen, $terminal) = ('');
$terminal = eval
{
	local $ENV{TERM} = 'vt100';
	IPC::Run::start([ 'dungeon', @as_pat, 'console' ], '<pty<', \my $keys, '>pty>', \$screen, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
};
SKIP:
{
	skip 'no pseudo terminals', 6 unless $terminal;
	$terminal->pump until $screen =~ /\.\.\.\./;
	like($screen, qr/^The story of all players\. While nothing happens a dot appears each half second; Ctrl-C leaves\.\r\n\.+/,
		'dots on a terminal, which are explained');
	told('Ada', 'no dots');
	$terminal->pump until $screen =~ /no dots/;
	like($screen, qr/\.\r\e\[K\e\[2m\d\d:\d\d:\d\d\e\[0m  \e\[1mAda\e\[0m  no dots\r\n/, '... and a line in colours instead');

	# Lines are broken between words, below the player's name.
	$_->set_winsize(24, 40) foreach values %{ $terminal->{PTYS} };
	$screen = '';
	told('Ada', 'a story of so many words that it takes two lines');
	$terminal->pump until $screen =~ /two lines/;
	like($screen, qr/Ada\e\[0m  a story of so many words\r\n {10}that it takes two lines\r\n/, 'a long line is broken between words');

	# A note about the connection comes from another stream, and must not be written behind the dots.
	$screen = '';
	$terminal->pump until $screen =~ /\.\./;
	$node->stop('immediate');
	$terminal->pump until $screen =~ /waiting for the server/;
	like($screen, qr/\.\r\e\[K\.\.\. waiting for the server\r\n/, '... and a note instead');
	$node->start;
	$terminal->kill_kill;

	# Dots that could not be taken away are not drawn.
	local $ENV{TERM} = 'dumb';
	$screen = '';
	$terminal = IPC::Run::start([ 'dungeon', @as_pat, '--since', 'all', 'console' ], '<pty<', \my $keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$terminal->pump until $screen =~ /no dots/;
	sleep(1);
	told('Ada', 'still none');
	$terminal->pump until $screen =~ /still none/;
	like($screen, qr/two lines\r\n\d\d:\d\d:\d\d  Ada  still none\r\n/, 'no dots on a terminal that cannot take them away');
	unlike($screen, qr/\e/, '... and nothing else that it would not understand');
	$terminal->kill_kill;
}

done_testing();
