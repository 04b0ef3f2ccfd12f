# The program "durable": its commands in a script, hostile ids and payloads, wrong usage and exit codes, and a server that
# is killed while somebody follows a history, waits, or starts.

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

$ENV{LC_ALL} = 'C.UTF-8';
my $dir = $PostgreSQL::Test::Utils::tmp_check;
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
timezone = 'UTC'
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE DATABASE without;
CREATE ROLE ann LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE nobody_here LOGIN;
SELECT durable.grant_usage('ann'), durable.grant_usage('bob');
GRANT CREATE ON SCHEMA public TO ann;
CREATE FUNCTION double(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
CREATE FUNCTION boom(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % today', n USING ERRCODE = 'P0042'; END $$;
CREATE FUNCTION quadruple(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('double', durable.call_activity('double', n));
END $$;
CREATE FUNCTION failing(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('boom', n); END $$;
CREATE FUNCTION asking(who text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
BEGIN
	PERFORM durable.call_activity('double', 1);
	answer := durable.wait_for_external_event('answer', '1 day');
	PERFORM durable.call_activity('double', 2);
	RETURN answer;
END $$;
CREATE FUNCTION echo(x jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN x; END $$;
SQL
my @ann = ('-d', $node->connstr('postgres') . ' user=ann');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub ann { return durable([ @ann, @_ ]); }

# Which exit code; and what was said has to match.
sub exits
{
	my ($code, $pattern, $name, @arguments) = @_;
	my ($got, $out, $err) = durable(\@arguments);

	is($got, $code, $name) or diag("$out$err");
	like("$out$err", $pattern, '... and says why') if $pattern;
	return;
}

# Starting and waiting.
my ($code, $out, $err) = ann('start', 'quadruple', '5', '--wait');
is("$code $out", "0 20\n", 'start --wait prints the output');
($code, $out, $err) = ann('start', 'quadruple', '5');
like("$code $out", qr/^0 [0-9a-f]{32}\n$/, 'start prints an id');
chomp(my $id = $out);
($code, $out, $err) = ann('wait', $id);
is("$code $out", "0 $id  Completed  20\n", 'wait');
($code, $out, $err) = ann('start', 'failing', '7', '--wait');
is($code, 1, 'a failure is exit code 1');
like($err, qr/is Failed: P0042 no 7 today/, '... with its message');
($code, $out, $err) = ann('start', 'asking', '"x"', '--id', 'a1', '--tags', '{"team": "blue"}', '-q');
is("$code $out $err", "0 a1\n ", 'an id of its own');
exits(1, qr/already exists.*WF002/, 'an id that is taken', @ann, 'start', 'asking', '"x"', '--id', 'a1');
exits(1, qr/has not ended: it is/, 'wait with a timeout', @ann, 'wait', '--timeout', '1', 'a1');
exits(2, qr/not valid JSON.*double quotes/s, 'a text is no JSON', @ann, 'start', 'asking', 'Pat');
exits(2, qr/not valid JSON/, '... nor for an event', @ann, 'event', 'a1', 'answer', '{');
($code, $out) = ann('start', 'quadruple', '5', '--id', 'later', '--at', '2099-01-01');
is(sql("SELECT runtime_status FROM durable.instances WHERE instance_id = 'later'"), 'Pending', '--at');
($code, $out) = durable([ @ann, 'start', 'echo', '-', '--wait' ], '{"from": "stdin"}');
is($out, qq({"from": "stdin"}\n), 'input from standard input');
append_to_file("$dir/input.json", '{"from": "a file"}');
is((ann('start', 'echo', "\@$dir/input.json", '--wait'))[1], qq({"from": "a file"}\n), '... and from a file');

# Events, and the timeline before and after.
($code, $out, $err) = ann('history', 'a1');
like($out, qr/^asking  a1  Running|^public\.asking  a1  Running/, 'the head of a timeline');
like($out, qr/▶ started "x"\n.*■ double 1 = 2\n.*◇ event answer +waits\n/s, '... its lines');
like($err, qr/It waits for: event answer/, '... and what it waits for');
is((ann('event', 'a1', 'answer', '{"yes": true}'))[0], 0, 'event');
is((ann('wait', 'a1'))[1], qq(a1  Completed  {"yes": true}\n), '... arrives');
($code, $out) = ann('history', 'a1');
like($out, qr/◆ answer \{"yes": true\}.*✓ completed \{"yes": true\}\n$/s, '... and is in the timeline');
unlike($out, qr/waits/, '... where nothing waits any more');
{
	local $ENV{LC_ALL} = 'C';
	($code, $out) = ann('history', 'a1');
	unlike($out, qr/[^\x00-\x7f]/, 'in the C locale it is ASCII');
	like($out, qr/\+ completed/, '... with other signs');
}
my @events = map { JSON::PP::decode_json($_) } split /\n/, (ann('history', 'a1', '--json'))[1];
is(join(' ', map { $_->{seq} } @events), join(' ', 0 .. $#events), 'history --json: each event is an object');
like((ann('history', 'a1', '--mermaid'))[1], qr/^sequenceDiagram/, 'history --mermaid');
like((ann('explain', 'a1'))[1], qr/Completed/, 'explain');
ok(JSON::PP::decode_json((ann('explain', 'a1', '--json'))[1]), 'explain --json');
like((ann('history', $1))[1], qr/✗ boom 7: P0042 no 7 today/, 'a failure in the timeline')
  if sql("SELECT instance_id FROM durable.instances WHERE name ~ 'failing'") =~ /(\w+)/;

# Lists.
sql("SET ROLE ann; SELECT durable.start('asking', 'x', format('many-%s', i), tags => jsonb_build_object('n', i, 's', i::text)) FROM generate_series(1, 1200) i");
is(scalar(split /\n/, (ann('list', '-q', '--prefix', 'many-'))[1]), 1200, 'list: all pages when the output is no terminal');
is(scalar(split /\n/, (ann('list', '-q', '--prefix', 'many-', '--limit', 1100))[1]), 1100, '... or as many as are wanted');
is((ann('list', '-q', '--tag', 'n=17'))[1], "many-17\n", 'a tag that is a number');
is((ann('list', '-q', '--tag', 's="18"'))[1], "many-18\n", '... or a string');
is((ann('list', '-q', '--failed', '--name', 'public.failing', '--since', '1 hour'))[1] =~ tr/\n//, 1, 'failed ones of an hour');
is((ann('list', '-q', '--failed', '--since', '2099-01-01'))[1], '', '... and of the future');
is((ann('list', '--status', 'completed,failed', '-q', '--name', 'public.asking', '--prefix', 'a1'))[1], "a1\n", 'words for a status in any case');
($code, $out, $err) = ann('list', '--limit', 3, '--prefix', 'many-');
my ($cursor) = $err =~ /--after (\S+)/;
like($out, qr/^ID +STATUS +NAME/, 'a table');
isnt((ann('list', '-q', '--limit', 1, '--prefix', 'many-', '--after', $cursor))[1], (ann('list', '-q', '--limit', 1, '--prefix', 'many-'))[1], 'the next page');
my @rows = map { JSON::PP::decode_json($_) } split /\n/, (ann('list', '--json', '--prefix', 'many-', '--limit', 5))[1];
is(join(' ', map { $_->{runtime_status} =~ /^(Running|Pending)$/ ? 1 : 0 } @rows), '1 1 1 1 1', 'list --json');
exits(1, qr/error/, 'a status that there is not', @ann, 'list', '--status', 'sleeping');

# Controlling, with ids from standard input too.
is((durable([ @ann, 'suspend', '-', '--reason', 'peak' ], "many-1\nmany-2\n"))[0], 0, 'suspend ids from standard input');
ok(comes_true(sub { (ann('list', '-q', '--status', 'Suspended'))[1] =~ /many-2\nmany-1\n/ }), '... it has happened');
is((ann('resume', 'many-1', 'many-2'))[0], 0, 'resume');
($code, $out, $err) = ann('terminate', 'many-1', 'nothing', 'many-2', '--reason', 'enough');
is($code, 1, 'one of three does not exist');
like($err, qr/"nothing" does not exist/, '... which is said');
is((ann('wait', 'many-1', 'many-2'))[0], 1, '... and the others are terminated');
like((ann('wait', 'many-2'))[1], qr/Terminated  enough/, '... with the reason');
is((ann('purge', 'many-1'))[0], 0, 'purge');
exits(1, qr/WF003/, '... and it is gone', @ann, 'history', 'many-1');
is((ann('restart', 'many-2'))[1], "many-2\n", 'restart');
like((ann('restart', 'a1', '--new-id'))[1], qr/^[0-9a-f]{32}\n$/, '... under a new id');
sql('CREATE OR REPLACE FUNCTION boom(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n $$');
is((ann('rewind', '--all', '--name', 'public.failing'))[1], "Instances that were rewound: 1\n", 'rewind --all');
ok(comes_true(sub { (ann('list', '-q', '--failed'))[1] eq '' }), '... continues what had failed');
is((ann('purge', '--older-than', '0', '--status', 'Completed', '--name', 'public.quadruple', '-q'))[1], "2\n", 'purge --older-than');
exits(2, qr/either ids/, 'purge of nothing', @ann, 'purge');
exits(2, qr/either ids/, 'rewind of everything needs --all', @ann, 'rewind');

# Other lists.
is((ann('schedules'))[0], 0, 'schedules');
is((ann('queues', '--json'))[0], 0, 'queues');
sql("SET ROLE ann; SELECT durable.register_queue('q1', rate => 5)");
like((ann('queues'))[1], qr/^q1 .* 5 in 00:00:01/m, 'a queue');
is((ann('queues', 'pause', 'q1'))[0], 0, 'queues pause');
like((ann('queues'))[1], qr/^q1 .* paused/m, '... is paused');
is((ann('queues', '-q'))[1], "q1\n", '-q: names only');
exits(2, qr/no action "stop"/, 'no such action', @ann, 'queues', 'stop', 'q1');
($code, $out) = durable([ '-d', $node->connstr('postgres'), 'doctor' ]);
like($out, qr/^ok   preloaded /m, 'doctor');
is($code, ($out =~ /^FAIL /m ? 1 : 0), '... its exit code');
is((ann('verify', 'asking'))[0], 0, 'verify: the code fits');
sql(q(CREATE FUNCTION asking_otherwise(who text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.sleep('1 s'); RETURN NULL; END $$));
ok(comes_true(sub { sql("SELECT count(*) FROM durable.waiting WHERE detail = 'answer'") > 1000 }), 'all have begun');
($code, $out) = ann('verify', 'asking', '--code', 'asking_otherwise(text)', '-q');
is($code, 1, '... or it does not');
like($out, qr/^many-\d+$/m, '... and for which');

# --echo shows what psql can run.
($code, $out, $err) = ann('--echo', 'event', 'many-3', "it's \\ \x1b[31m", '"\u001b"');
is($code, 0, 'an event with an odd name');
my ($statement) = $err =~ /^(SELECT durable\.raise_event.*;)$/m;
unlike($err, qr/\x1b/, 'its echo has no control characters');
is($node->psql('postgres', "SET ROLE ann; $statement"), 0, '... and runs in psql');
is(sql("SELECT count(*) FROM durable.buffered_events WHERE instance_id = 'many-3' AND event = E'it''s \\\\ \\x1b[31m'"), 2, '... and does the same');

# Ids are hostile, payloads are large.
my $evil = "e'v\"i\\l \x1b[2J\x{e2}\x{80}\x{ae}\$(touch $dir/no)%s\nnext";
is((ann('start', 'asking', '"\u001b[31m"', '--id', $evil, '--json'))[0], 0, 'a hostile id');
ok(comes_true(sub { (ann('history', $evil))[1] =~ /waits/ }), '... has a history');
foreach my $command ([ 'list', '--prefix', "e'v" ], [ 'history', $evil ], [ 'explain', $evil ], [ 'top' ], [ 'wait', '-t', 0, $evil ], [ 'list', '--json', '--prefix', "e'v" ])
{
	unlike(join('', (ann(@$command))[ 1, 2 ]), qr/[\x00-\x09\x0b-\x1f]|\xe2\x80\xae/, "$command->[0] shows it without harm");
}
is((ann('list', '-q', '-0', '--prefix', "e'v"))[1], "$evil\0", '... and list -0 as it is');
is(JSON::PP::decode_json((ann('list', '--json', '--prefix', "e'v"))[1])->{instance_id}, do { my $text = $evil; utf8::decode($text); $text }, '... and --json as well');
is((ann('terminate', $evil))[0], 0, '... and can be terminated');
my $big = '"' . 'y' x 1_000_000 . '"';
($code, $out) = durable([ @ann, 'start', 'echo', '-', '--wait', '--id', 'big' ], $big);
is($out eq "$big\n" ? 1 : 0, 1, 'a megabyte there and back');
cmp_ok(length((ann('history', 'big'))[1]), '<', 5000, '... of which the timeline shows the beginning');

# Roles.
sql("SET ROLE ann; SELECT durable.start('asking', 'x', 'both'); RESET ROLE; SET ROLE bob; SELECT durable.start('asking', 'x', 'both')");
my @super = ('-d', $node->connstr('postgres'));
exits(1, qr/SET ROLE.*--role/s, 'an ambiguous id', @super, 'history', 'both');
exits(0, undef, '--role', @super, '--role', 'bob', 'history', 'both');
exits(4, qr/role/, 'a role that there is not', @super, '--role', 'no_such', 'list');

# Exit codes, and what is missing.
exits(2, undef, 'no command');
exits(2, qr/no command "lost"/, 'a wrong command', 'lost');
exits(2, undef, 'a wrong option', 'list', '--wrong');
exits(2, qr/missing: ID NAME/, 'a missing argument', 'event', 'x');
exits(2, qr/too many arguments \(first is "z"\)/, 'an argument too many', 'history', 'y', 'z');
exits(3, qr/"durable" is not installed in database "without".*CREATE EXTENSION/s, 'no extension', '-d', $node->connstr('without'), 'list');
exits(3, qr/permission denied.*grant_usage\('nobody_here'\)/s, 'no privilege', '-d', $node->connstr('postgres') . ' user=nobody_here', 'list');
exits(4, qr/error/, 'no server', '-h', "$dir/nowhere", 'list');
exits(0, qr/^Usage.*--tag/s, 'help', 'list', '--help');
exits(0, qr/^durable operates.*worker/s, 'help for all', '--help');
exits(0, qr/^durable \d/, 'the version', '--version');
exits(0, qr/--pool/, 'serve has options of its own', 'serve', '--help');
exits(0, qr/many-/, 'a conninfo string before the command', $node->connstr('postgres') . ' user=ann', 'list', '--limit', 5);
{
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	local $ENV{PGUSER} = 'ann';
	local $ENV{DURABLE_DUNGEON_STATE} = "$dir/somewhere";
	mkdir "$dir/somewhere";
	append_to_file("$dir/somewhere/connection", "host=$dir/nowhere\n");
	exits(0, qr/many-/, "libpq's variables come before the server of make play", 'list', '--limit', 5);
}

# Readers that go away, and standard descriptors that are closed.
is(system("durable -d '" . $node->connstr('postgres') . " user=ann' list 2>/dev/null | head -n 1 >/dev/null"), 0, 'a reader that goes away');
isnt(system("durable -d '" . $node->connstr('postgres') . " user=ann' list >&- 2>/dev/null") >> 8, 139, 'closed standard output');
is(system("timeout 20 durable -d '" . $node->connstr('postgres') . " user=ann' history both --follow 2>/dev/null | head -n 1 >/dev/null"), 0, '... of somebody who follows');

# A crash of the server while somebody follows, and others wait.
ann('start', 'asking', '"x"', '--id', 'followed');
my $follower = program_open('follower', @ann, 'history', 'followed', '--follow');
my $json = program_open('json', @ann, 'history', 'followed', '--follow', '--json');
my $waiter = program_open('waiter', @ann, 'wait', 'followed');
my $any = program_open('any', @ann, 'wait', '--any', 'both', 'followed');
ok(comes_true(sub { slurp_file($follower->{out}) =~ /event answer/ && slurp_file($json->{out}) =~ /EventWaitCreated/ }), 'somebody follows');
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE usename = 'ann' AND query ~ 'wait_(for|any)' AND state = 'active'");
kill_server($node);
ok(comes_true(sub { !grep { slurp_file($_->{err}) !~ /waiting for the server/ } $follower, $json, $waiter, $any }), 'all wait for the server');
$node->start;
is((ann('event', 'followed', 'answer', '"late"'))[0], 0, 'the server is back');
is(program_end($follower), 0, '--follow shows the end');
is(program_end($json), 0, '... in JSON too');
is(program_end($waiter), 0, 'wait returns the output');
is(program_end($any), 0, '... and who waits for any');
like(slurp_file($waiter->{out}), qr/^followed  Completed  "late"$/m, '... the right one');
$out = slurp_file($follower->{out});
is(() = $out =~ /started "x"/g, 1, 'nothing was drawn twice');
like($out, qr/◇ event answer.*◆ answer "late".*✓ completed "late"/s, '... and nothing is missing');
my @seqs = map { JSON::PP::decode_json($_)->{seq} } split /\n/, slurp_file($json->{out});
is(join(' ', @seqs), join(' ', 0 .. $#seqs), '... nor in JSON');

# A start while the server is away happens once.
kill_server($node);
my $starter = program_open('starter', @ann, 'start', 'quadruple', '3', '--wait');
is(program_end($starter), 4, 'the first connection has to succeed');
$node->start;

# At a terminal: top.
SKIP:
{
	skip 'IO::Pty is needed to imitate a terminal', 9 unless eval { require IO::Pty; IO::Pty->new };
	local $ENV{TERM} = 'xterm';
	my ($keys, $screen) = ('', '');
	my $terminal = IPC::Run::start([ 'durable', @ann, 'top' ], '<pty<', \$keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my $shown = sub {
		my ($pattern, $name) = @_;
		eval { $terminal->pump until $screen =~ $pattern; 1 } or diag($@);
		like($screen, $pattern, $name);
		$screen = '';
	};
	my $type = sub { $keys .= $_[0]; $terminal->pump_nb; };

	$shown->(qr/\e\[\?1049h.*durable top.*running \d+.*STATUS +ID.*Running.*asking/s, 'top shows what runs');
	$type->("/many-3\r");
	$shown->(qr/that fit many-3/, 'a filter');
	$type->("\r");
	$shown->(qr/started.*event answer/s, 'the history of an instance');
	$type->('q');
	$shown->(qr/STATUS +ID/, '... and back');
	$type->("/many-300\r");
	$shown->(qr/that fit many-300,.*many-300/s, 'another filter');
	$type->("t");
	$shown->(qr/Type yes/, 'a question');
	$type->("yes\r");
	ok(comes_true(sub { $terminal->pump_nb; sql("SELECT runtime_status FROM durable.status('many-300')") eq 'Terminated' }), 'terminated by key');
	$node->stop('immediate');
	$shown->(qr/Waiting for the server/, 'no server');
	$node->start;
	$type->("a");
	$shown->(qr/all instances/, '... and back');
	$type->("q");
	$terminal->finish;
	is($terminal->full_result(0) >> 8, 0, 'q ends it');
}

done_testing();
