# What is written about the programs: every command and option that --help lists is in the manual page and in
# docs/clients.md, the manual pages are well-formed, and the completion of bash knows commands, options and instance ids.

use strict;
use warnings;
use ClientTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$ENV{LC_ALL} = 'C.UTF-8';
my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
my $document = slurp_file("$top/docs/clients.md");
my $manual = slurp_file("$top/clients/man/durable.1");
$manual =~ s/\\-/-/g;
my $help = (durable(['--help']))[1];
my ($part) = $help =~ /\n\n(  .*?)\n\n/s;
my @commands = $part =~ /^  ([a-z]+) /mg;
cmp_ok(scalar @commands, '>=', 19, 'the commands');
my ($chapter) = $document =~ /^## The program durable\n(.*?)^## The program dungeon/ms;
foreach my $command (grep { $_ ne 'serve' } @commands)
{
	my $text = (durable([ $command, '--help' ]))[1];
	my @options = $text =~ /^ +(?:-\w, )?(--[a-z-]+)/mg;

	cmp_ok(scalar @options, '>=', 7, "$command --help lists options");
	like($text, qr/^Usage: durable \[OPTION\]\.\.\. $command/, '... and its usage');
	is(join(' ', grep { $manual !~ /\Q$_\E\b/ && !/^--(host|port|username|dbname|help|version)$/ } @options), '', '... which are in the manual page');
	is(join(' ', grep { $chapter !~ /\Q$_\E\b/ && !/^--(host|port|username|dbname|jobs|queue|mermaid)$/ } @options), '', '... and in docs/clients.md');
	like($manual, qr/\b$command\b/, '... as is the command');
	like($chapter, qr/`$command\b/, '... here too');
}

SKIP:
{
	skip 'man is needed', 2 if system('command -v man >/dev/null 2>&1') != 0;
	foreach my $page ('durable', 'dungeon')
	{
		my $said = `MANWIDTH=80 man --warnings -l $top/clients/man/$page.1 2>&1 >/dev/null`;
		is($said, '', "$page.1 is well-formed");
	}
}

SKIP:
{
	skip 'bash is needed', 8 if system('command -v bash >/dev/null 2>&1') != 0;
	my $node = new_node('main', conf => "durable.max_workers = 0\n");
	$node->start;
	create_durable($node, 'postgres');
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT durable.start('f', instance_id => id) FROM unnest(ARRAY['order-1', 'order-2', 'other', 'with "a" quote $(x)']) id;
SELECT durable.register_queue('mail');
SQL
	my $complete = sub {
		my (@words) = @_;
		local $ENV{PGHOST} = $node->host;
		local $ENV{PGPORT} = $node->port;
		local $ENV{PGDATABASE} = 'postgres';
		my $list = join ' ', map { "'$_'" } @words;
		return join ' ', sort split /\n/,
		  `bash -c "source $top/clients/completion/durable.bash; COMP_WORDS=($list); COMP_CWORD=$#words; _durable; printf '%s\\n' \\"\\\${COMPREPLY[\@]}\\""`;
	};

	is($complete->('durable', 'he'), '', 'no command begins so');
	is($complete->('durable', 're'), 'restart resume rewind', 'commands');
	is($complete->('durable', '-d', 'postgres', 'hi'), 'history', '... after options');
	is($complete->('durable', 'list', '--s'), '--since --status', 'options of a command');
	is($complete->('durable', 'list', '--status', 'Fa'), 'Failed', 'words for a status');
	is($complete->('durable', 'history', 'order'), 'order-1 order-2', 'instance ids');
	is($complete->('durable', 'history', 'with'), 'with\ \"a\"\ quote\ \$\(x\)', '... quoted if they have to be');
	is($complete->('durable', 'worker', '--queue', 'm'), 'mail', 'queues');
}

done_testing();
