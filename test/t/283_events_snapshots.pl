# Server-sent events of a client that continues from an id, while a new event is committed: the answer with the old events comes from a
# snapshot without the new one, and it comes after the new one has been sent to the other clients.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
$node->start;
create_durable($node, 'postgres');
gateway_roles($node);
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE TABLE app.news (id bigint PRIMARY KEY, word text);
INSERT INTO app.news SELECT n, 'old ' || n FROM generate_series(1, 5) n;
-- The events after 2 are read, and returned when a lock is free.
CREATE FUNCTION app.feed(method text, path text, query text, body text, headers jsonb) RETURNS durable.http_response LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	last bigint := (durable.url_query(query) ->> 'after')::bigint;
	answer text;
BEGIN
	SELECT concat_ws(' ', '#', pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot()), (SELECT max(id) FROM app.news)) || E'\n' ||
		coalesce(string_agg(id || ' - ' || to_json(word) || E'\n', '' ORDER BY id), '') INTO answer FROM app.news WHERE id > last;
	IF last = 2 THEN
		PERFORM pg_advisory_xact_lock(7);
	END IF;
	RETURN ROW(200, '{"Content-Type": "text/plain"}'::jsonb, answer)::durable.http_response;
END $$;
SELECT durable.mount_http('/feed', 'app.feed(text, text, text, text, jsonb)', 'app_news');
SQL

my $gateway = gateway_start($node, '--pool', 3);
my $other = sse_open($gateway, 'mount=/feed');
sse_read($other, qr/retry/);

my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(7)');
my $client = sse_open($gateway, 'mount=/feed', 'Last-Event-ID' => 2);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)") or BAIL_OUT('the client is not answered');
$node->safe_psql('postgres', "INSERT INTO app.news VALUES (6, 'new'); NOTIFY app_news");
like(sse_read($other, qr/"new"/), qr/"new"/, 'a client that is there already gets a new event');
$holder->quit;
my $text = sse_read($client, qr/"old 5"/);
like($text, qr/"old 3".*"old 4".*"old 5"/s, 'one that continues from an id gets the old events');
like(sse_read($client, qr/"new"/, 20), qr/"new"/, '... and the new one, which its snapshot did not have');

# It was sent before the old ones. If the client is cut off then, it continues from the id with which it came.
my @ids = $client->{text} =~ /^id: (\d+)\nevent: \w+\ndata: "new"/mg;
is($ids[0], 2, '... with the id from which it continues');
$node->safe_psql('postgres', "INSERT INTO app.news VALUES (7, 'last'); NOTIFY app_news");
like(sse_read($client, qr/"last"/), qr/id: \d+\nevent: \w+\ndata: "last"/, 'after that it gets each event');

gateway_stop($gateway);
$node->stop;
done_testing();
