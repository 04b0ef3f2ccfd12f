# durable.doctor on a standby: work that nobody does, and a cluster that nobody leads. On a primary: the snapshot of a
# standby that keeps VACUUM from its work.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('primary', init => { allows_streaming => 1 }, conf => "durable.enabled = off\ndurable.testing = on\n");
$primary->start;
create_durable($primary, 'postgres');
$primary->safe_psql('postgres', <<'SQL');
CREATE FUNCTION nap(n int) RETURNS void LANGUAGE sql AS '';
SELECT durable.start('nap', 1, 'overdue');
UPDATE durable.inbox SET sent_at = sent_at - interval '2 minutes';
SQL
$primary->backup('base');
my $standby = new_node('standby', init => 0);
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1s\n");
$standby->start;
$primary->wait_for_catchup($standby);

sub says
{
	my ($node, $check) = @_;

	return $node->safe_psql('postgres', "SELECT ok, detail, hint FROM durable.doctor() WHERE check_name = '$check'");
}

# --- the snapshot of a standby ---------------------------------------------------------------------------------------------

like(says($primary, 'oldest_snapshot'), qr/^t\|/, 'nobody keeps an old snapshot');
my $reader = $standby->background_psql('postgres', on_error_stop => 0);
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->query_safe('SELECT count(*) FROM durable.instance');
ok($primary->poll_query_until('postgres', 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication'), 'a standby tells of its snapshot');
$primary->safe_psql('postgres', 'CREATE TABLE t (n int)');
$primary->safe_psql('postgres', "INSERT INTO t VALUES ($_)") foreach 1 .. 5;

# The launcher writes down every ten seconds which transaction id is next. From then on eleven minutes pass.
$primary->safe_psql('postgres', "SELECT durable.advance_clock('11 minutes')");
ok($primary->poll_query_until('postgres', "SELECT NOT ok FROM durable.doctor() WHERE check_name = 'oldest_snapshot'"), '... and its age becomes known');
like(says($primary, 'oldest_snapshot'), qr/^f\|a session on standby 'standby' \(.*\) keeps a snapshot, through hot_standby_feedback; VACUUM cannot .* last \d+ minutes.*\|On that standby, SELECT/,
	'then the doctor of the primary names the standby');
$reader->query_safe('COMMIT');
ok($primary->poll_query_until('postgres', "SELECT ok FROM durable.doctor() WHERE check_name = 'oldest_snapshot'"), '... until the snapshot is gone');
$reader->quit;

# --- a primary at which nothing runs ------------------------------------------------------------------------------------------

ok($standby->poll_query_until('postgres', "SELECT NOT ok FROM durable.doctor() WHERE check_name = 'queue'"), 'a standby sees work that is overdue');
like(says($standby, 'queue'), qr/^f\|one message, .*\|.*no primary runs the workflows.*pg_promote/, '... and says what to do');
like(says($standby, 'recovery'), qr/^t\|this server is a standby; its WAL receiver is streaming/, 'it has a primary');

# Timers alone, too.
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE messages AS TABLE durable.inbox;
DELETE FROM durable.inbox;
INSERT INTO durable.timer SELECT owner, now() - interval '2 minutes', key, 1, 1 FROM durable.instance;
SQL
$primary->wait_for_catchup($standby);
like(says($standby, 'queue'), qr/^f\|0 messages, one timer and 0 activities due, the oldest for 1\d\d s\|.*no primary runs the workflows/, '... and a timer that is overdue');
$primary->safe_psql('postgres', "DELETE FROM durable.timer; INSERT INTO durable.inbox TABLE messages");
$primary->wait_for_catchup($standby);

# A standby that lags behind does not know what is overdue.
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
like(says($standby, 'recovery'), qr/^f\|.*replay is paused\|.*pg_wal_replay_resume/, 'a paused replay is a finding');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');

# --- a cluster that nobody leads ------------------------------------------------------------------------------------------------

$primary->stop;
ok($standby->poll_query_until('postgres', "SELECT NOT ok FROM durable.doctor() WHERE check_name = 'recovery'"), 'without a primary the doctor of the standby says so');
like(says($standby, 'recovery'), qr/it is not receiving WAL from a primary\|No workflow runs while all servers are standbys\..*SELECT pg_promote\(\)/, '... and how to make it one');
$standby->promote;
like(says($standby, 'recovery'), qr/^t\|this server is a primary/, 'after the promotion it is well');
$standby->stop;
done_testing();
