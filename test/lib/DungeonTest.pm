# What the game's Perl tests share: names that are known beforehand, crashes, a console that is read to the end, and the
# story each player must have been told.
#
# Owns: the console programs it starts. Locks, memory: none.

package DungeonTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use DurableTest;

our @EXPORT = qw(fix_words told processes crash console_start console_is_complete stories_are active_users_are quiet_log $WON $DEAD);

# A game that was won, and one that ended at the trapdoor, as story_of_all writes them.
our $WON = 'kmmmmhycdwasgpflv';
our $DEAD = 'kmmmmhxt';

# Processes that were started and not finished.
my @consoles;

# Every name that is drawn is the same one. Whatever else is set comes from the caller.
sub fix_words
{
	my ($node, $database, %settings) = @_;
	my $others = join '', map { ", $_ = '$settings{$_}'" } sort keys %settings;

	$node->safe_psql($database, <<SQL);
UPDATE dungeon.settings SET
	adjectives = '{Grumpy}', colours = '{Grey}', beasts = '{Goblin}',
	conditions = '{Rusty}', weapons = '{Spoon}', treasures = '{Teapot}',
	moods = '{Tiny}', chambers = '{Closet}', walls = '{paper}', contents = '{a chair}'$others
SQL
	return;
}

# told(node, database, pattern, players, number): wait until so many lines like that are on the console about players
# like that.
sub told
{
	my ($node, $database, $pattern, $players, $number) = @_;
	my $ok = $node->poll_query_until($database,
		"SELECT count(*) >= $number FROM dungeon.console WHERE player ~ '$players' AND message ~ '$pattern'");

	ok($ok, "$players: $pattern") or die 'there is no point in going on';
	return;
}

# active_users_are(node, database, active, total): what the UserCounter of games in entities says in the end, when its
# signals have been applied. Games in tables have none.
sub active_users_are
{
	my ($node, $database, $active, $total) = @_;

	return unless ($ENV{DUNGEON_WORLD} // '') eq 'entities';
	ok($node->poll_query_until($database,
			"SELECT (state->>'active')::integer = $active AND (state->>'total')::integer = $total
			 FROM durable.entities WHERE name = 'usercounter' AND key = 'User'"),
		"active users: $active of $total");
	return;
}

# What crash needs to know of a running server. A caller who wants to interrupt something asks before it begins.
sub processes
{
	my ($node) = @_;
	my %pids;

	foreach my $line (split /\n/, $node->safe_psql('postgres',
			"SELECT pid, backend_type FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
	{
		my ($pid, $type) = split /\|/, $line;
		push @{ $pids{$type} }, $pid;
	}
	return \%pids;
}

# crash(node, how, processes): worker and coordinator kill one such process, whereupon the postmaster throws everybody
# out and recovers; server is an immediate stop; postmaster its sudden death. Returns when there is a server again.
sub crash
{
	my ($node, $how, $pids) = @_;

	$pids = processes($node) unless $pids;
	if ($how eq 'server')
	{
		$node->stop('immediate');
		$node->start;
	}
	elsif ($how eq 'postmaster')
	{
		kill_server($node);
		$node->start;
	}
	else
	{
		# A worker is there when there is work for it.
		for (my $tries = 1000; !$pids->{"durable $how"} && $tries > 0; $tries--)
		{
			Time::HiRes::sleep(0.01);
			$pids = processes($node);
		}
		ok(kill_and_recover($node, 'KILL', $pids->{"durable $how"}[0], $pids->{'durable launcher'}[0]), "a $how is killed");
	}
	return;
}

# The program "dungeon console" in a process of its own, from the first line on; what it prints goes to a file.
sub console_start
{
	my ($node, $database) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/console-" . $node->name . ".json";
	my @command = ('dungeon', '-d', $node->connstr($database), '--quiet', '--json', '--since', 'all', 'console');
	my $process = IPC::Run::start(\@command, '<', \undef, '>', $file, '2>', "$file.err");

	push @consoles, $process;
	return { process => $process, file => $file };
}

# A test that dies leaves no process behind.
END
{
	my $status = $?;

	$_->kill_kill foreach grep { $_->pumpable } @consoles;
	$? = $status;
}

# Wait until the console program has printed as many lines as there are; then it has printed every line, as it is in the
# table, once. Nobody may be telling anything any more.
sub console_is_complete
{
	my ($console, $node, $database, $name) = @_;
	my %expected = map { $_->{id} => $_ }
	  map { JSON::PP::decode_json($_) }
	  split /\n/, $node->safe_psql($database,
		"SELECT json_build_object('id', id, 'player', player, 'message', message) FROM dungeon.console");
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my %printed;

	Time::HiRes::sleep(0.1) while (slurp_file($console->{file}) =~ tr/\n//) < keys(%expected) && time < $deadline;

	# What is printed too much would come now, or has come already.
	$console->{process}->signal('INT');
	IPC::Run::finish($console->{process});
	foreach my $line (split /\n/, slurp_file($console->{file}))
	{
		my $row = JSON::PP::decode_json($line);

		push @{ $printed{ $row->{id} } }, $row;
	}

	my @lost = grep { !$printed{$_} } keys %expected;
	my @twice = grep { @{ $printed{$_} } > 1 } keys %printed;
	my @invented = grep { !$expected{$_} } keys %printed;
	my @garbled = grep {
		my ($is, $should) = ($printed{$_}[0], $expected{$_});
		$should && ($is->{message} ne $should->{message} || ($is->{player} // '') ne ($should->{player} // ''))
	} keys %printed;

	cmp_ok(scalar(keys %expected), '>', 0, "$name: there is something to tell");
	is_deeply({ lost => \@lost, twice => \@twice, invented => \@invented, garbled => \@garbled },
		{ lost => [], twice => [], invented => [], garbled => [] },
		"$name: the console has told all " . keys(%expected) . ' lines once');
	return;
}

# One letter for each line, in the order in which a player was told it. What is made side by side is told in any order
# (m). The gatekeeper closes his file while the next workflow already runs (o), and the watchman goes home when he has
# seen the end (n): both are looked at by themselves.
my $STORY = <<'SQL';
SELECT player, string_agg(letter, '' ORDER BY id) FILTER (WHERE letter NOT IN ('o', 'n')) AS story,
	count(DISTINCT message) FILTER (WHERE letter = 'm') AS made,
	count(*) FILTER (WHERE letter = 'o') AS over,
	count(*) FILTER (WHERE letter = 'n') AS gone_home,
	min(id) FILTER (WHERE letter = 'o') > min(id) FILTER (WHERE letter IN ('c', 'x')) AS over_after_decision,
	min(id) FILTER (WHERE letter = 'n') > min(id) FILTER (WHERE letter IN ('t', 'l')) AS gone_home_after_end
FROM (
	SELECT id, player, message, CASE
		WHEN message ~ 'knocks at the gate of' THEN 'k'
		WHEN message ~ 'visitors'' book of|creaks open|masons finish|storekeeper counts' THEN 'm'
		WHEN message ~ 'turns an hourglass' THEN 'h'
		WHEN message ~ 'calls out to the gatekeeper' THEN 'y'
		WHEN message ~ 'has confirmed' THEN 'c'
		WHEN message ~ 'has not confirmed' THEN 'x'
		WHEN message ~ 'The trapdoor under' THEN 't'
		WHEN message ~ 'closes the file' THEN 'o'
		WHEN message ~ 'climbs down' THEN 'd'
		WHEN message ~ 'clatters down' THEN 'w'
		WHEN message ~ 'is not alone any more' THEN 'a'
		WHEN message ~ 'sits down on' THEN 's'
		WHEN message ~ 'The game is on' THEN 'g'
		WHEN message ~ 'picks up the' THEN 'p'
		WHEN message ~ 'falls, and the' THEN 'f'
		WHEN message ~ 'lifts up the' THEN 'l'
		WHEN message ~ 'has won!' THEN 'v'
		WHEN message ~ 'goes home' THEN 'n'
		ELSE '?' END AS letter
	FROM dungeon.console
	WHERE message !~ '^The watchman looks in'
) AS told
GROUP BY player
SQL

# stories_are(node, database, players, story, number): so many players like that were told that story, each step once.
sub stories_are
{
	my ($node, $database, $players, $story, $number) = @_;

	is($node->safe_psql($database, <<SQL), "$story|4|1|1|t|t|$number", "$players: the same story, each step once");
SELECT story, made, over, gone_home, over_after_decision, gone_home_after_end, count(*)
FROM ($STORY) AS story WHERE player ~ '$players' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1
SQL
	return;
}

# Crashes are told of as LOG, WARNING and FATAL; nothing of ours has any reason to say ERROR, and nobody to panic.
sub quiet_log
{
	my ($node, $name, $except) = @_;
	my @bad = grep { /(ERROR|PANIC|TRAP): / && !($except && /$except/) } split /\n/, slurp_file($node->logfile);

	is(join("\n", @bad), '', $name);
	return;
}

1;
