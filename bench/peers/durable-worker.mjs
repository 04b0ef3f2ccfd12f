// durable, with activities outside of the database: this process fetches and completes them in SQL, as a program in any language
// can. The workflows are functions in SQL.
//
// Configuration: one connection, which fetches up to 1,000 activities and completes them in one call, and waits for work when
// there is none. Several connections take the work from each other: with four, half of the fetches were empty, and the others had 80
// activities, so the process and its sessions took more processor time for each. The backlog is started in an open transaction
// that is committed when the worker starts, because otherwise the activities would be scheduled by then.

import pg from 'pg';

const LOOPS = 1;
const BATCH = 1000;

export async function open() {
	const admin = new pg.Pool({ max: 1 });
	await admin.query(`DO $$ BEGIN IF to_regrole('bench') IS NULL THEN CREATE ROLE bench LOGIN; END IF; END $$;
		CREATE EXTENSION durable; SELECT durable.grant_usage('bench'); GRANT CREATE ON SCHEMA public TO bench`);
	const pool = new pg.Pool({ user: 'bench', max: LOOPS + 2 });
	await pool.query(`
		CREATE FUNCTION one_activity(n int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('bump', n); END $$;
		CREATE FUNCTION two_activity(n int) RETURNS int LANGUAGE plpgsql AS $$
		BEGIN FOR i IN 1..2 LOOP n := durable.call_activity('bump', n); END LOOP; RETURN n; END $$;
		CREATE FUNCTION five_activity(n int) RETURNS int LANGUAGE plpgsql AS $$
		BEGIN FOR i IN 1..5 LOOP n := durable.call_activity('bump', n); END LOOP; RETURN n; END $$;
		CREATE TABLE plain (n int);
		SELECT durable.register_queue('bench');
		SELECT durable.register_activity('bump', execution => 'external', queue => 'bench')`);
	let opened;		// the transaction of the backlog
	let stopped = false;
	const loops = [];

	async function loop(name) {
		const connection = await pool.connect();
		while (!stopped) {
			const { rows } = await connection.query({ name: 'fetch', text: 'SELECT token, input FROM durable.fetch_work($1, $2, $3)', values: ['bench', name, BATCH] });
			if (rows.length === 0) {
				await connection.query("CALL durable.wait_for_work('bench', '1 s')");
				continue;
			}
			const results = rows.map(({ input }) => JSON.stringify(input + 1));
			await connection.query({
				name: 'complete', text: 'SELECT durable.complete_tasks($1, $2::jsonb[])',
				values: [rows.map(({ token }) => token), results],
			});
		}
		connection.release();
	}

	return {
		rows: ['one_activity', 'two_activity', 'five_activity', 'latency_start'],
		backlog: { one_activity: 40000, two_activity: 20000, five_activity: 8000 },
		steps: true,
		async startMany(kind, n) {
			opened = await pool.connect();
			await opened.query('BEGIN');
			await opened.query('SELECT count(durable.start($1, i)) FROM generate_series(1, $2::int) i', [kind, n]);
		},
		async startAndWait(kind, n) {
			const { rows } = await pool.query({ name: 'start', text: 'SELECT durable.start($1, $2::int) AS id', values: [kind, n] });
			await pool.query({ name: 'wait', text: "SELECT runtime_status FROM durable.wait($1, '60 s')", values: [rows[0].id] });
		},
		async commit() { await pool.query({ name: 'commit', text: 'INSERT INTO plain VALUES (1)' }); },
		async work() {
			if (opened) {
				await opened.query('COMMIT');
				opened.release();
			}
			for (let i = 0; i < LOOPS; i++) loops.push(loop(`loop ${i}`));
		},
		async unfinished() {
			return Number((await admin.query("SELECT coalesce(sum(instances), 0) AS count FROM durable.counts WHERE runtime_status <> 'Completed'")).rows[0].count);
		},
		async close() {
			stopped = true;
			await Promise.all(loops);
			await pool.end();
			await admin.end();
		},
	};
}
