// pg-boss: a job queue; no steps, no events. Best configuration: jobs fetched and completed in batches of 500 by several
// local workers, insert() for many at once; supervision and schedules off, which only cost. For latency LISTEN/NOTIFY
// where the version has it, and the shortest poll it allows.

import { PgBoss } from 'pg-boss';
import pg from 'pg';

export async function open() {
	const boss = new PgBoss({
		host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER, database: process.env.PGDATABASE,
		max: 12, supervise: false, schedule: false, useListenNotify: true,
	});
	const pool = new pg.Pool({ max: 1 });
	const waiting = new Map();
	let working = false;

	boss.on('error', (error) => console.error(`pg-boss: ${error.message}`));
	await boss.start();
	for (const queue of ['one_activity', 'never']) await boss.createQueue(queue, { notify: queue === 'one_activity' });

	return {
		backlog: { one_activity: 40000 },
		batch: 40000,
		steps: false,
		start: (kind, n) => boss.send(kind, { n }),
		async startMany(kind, n) {
			for (let i = 0; i < n; i += 10000)
				await boss.insert(kind, Array.from({ length: Math.min(10000, n - i) }, (_, j) => ({ data: { n: i + j } })));
		},
		async startAndWait(kind, n) {
			const done = new Promise((resolve) => waiting.set(n, resolve));
			await boss.send(kind, { n });
			await done;
		},
		async work() {
			if (working) return;
			working = true;
			const latency = process.argv.includes('latency_start');
			const options = latency ? { pollingIntervalSeconds: 0.5 } :
				{ pollingIntervalSeconds: 0.5, batchSize: 500, localConcurrency: 4, burstWhenBatchFull: true };
			await boss.work('one_activity', options, async (jobs) => {
				for (const job of jobs) waiting.get(job.data.n)?.();	// there is no result to wait for
			});
		},
		async unfinished() {
			return Number((await pool.query("SELECT count(*) FROM pgboss.job WHERE name = 'one_activity' AND state < 'completed'")).rows[0].count);
		},
		async close() {
			await boss.stop({ graceful: false });
			await pool.end();
		},
	};
}
