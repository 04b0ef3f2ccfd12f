// pg-boss: a job queue; no steps, no events, no results.
//
// Configuration: jobs fetched and completed in batches of 1,000 by four local workers, and fetched again at once while batches
// are full (batches of 500 were slower, of 2,000 no faster); insert() for many at once. Supervision and schedules, which
// only cost here, are off. For latency LISTEN/NOTIFY, single jobs, and the shortest poll it allows, half a second, behind it.

import { PgBoss } from 'pg-boss';
import pg from 'pg';

export async function open({ row }) {
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
			const latency = row === 'latency_start';
			const options = latency ? { pollingIntervalSeconds: 0.5 } :
				{ pollingIntervalSeconds: 0.5, batchSize: 1000, localConcurrency: 4, burstWhenBatchFull: true };
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
