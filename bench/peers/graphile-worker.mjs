// graphile-worker: a job queue; no steps, no events, no results.
//
// Configuration, after its page on performance: 24 jobs at a time in one process, a local queue, so that jobs are
// fetched 1,000 at once (500 were slower, more jobs at a time no faster), completions in batches without delay (a delay of
// 50 ms was slower); addJobs for many at once. For latency local queue and batches are off, because they delay, and jobs are
// announced by LISTEN/NOTIFY, as always.

import { makeWorkerUtils, run, Logger } from 'graphile-worker';
import pg from 'pg';

export async function open({ row }) {
	const pgPool = new pg.Pool({ max: 26 });
	pgPool.on('error', (error) => console.error(`graphile-worker: ${error.message}`));
	pgPool.on('connect', (client) => client.on('error', () => {}));
	const logger = new Logger(() => () => {});
	const utils = await makeWorkerUtils({ pgPool, logger });
	await utils.migrate();
	const waiting = new Map();
	let runner;

	return {
		backlog: { one_activity: 40000 },
		batch: 40000,
		steps: false,
		start: (kind, n) => utils.addJob(kind, { n }),
		async startMany(kind, n) {
			for (let i = 0; i < n; i += 10000)
				await utils.addJobs(Array.from({ length: Math.min(10000, n - i) }, (_, j) => ({ identifier: kind, payload: { n: i + j } })));
		},
		async startAndWait(kind, n) {
			const done = new Promise((resolve) => waiting.set(n, resolve));
			await utils.addJob(kind, { n });
			await done;
		},
		async work() {
			if (runner) return;
			const latency = row === 'latency_start';
			runner = await run({
				pgPool, logger, noHandleSignals: true,
				taskList: {
					// There is no result to wait for: the job itself says that it has run. It is completed a commit later.
					one_activity: async ({ n }) => { waiting.get(n)?.(); },
				},
				preset: { worker: latency ? { concurrentJobs: 4, pollInterval: 1000 } : {
					concurrentJobs: 24, pollInterval: 1000, localQueue: { size: 1000 },
					completeJobBatchDelay: 0, failJobBatchDelay: 0,
				} },
			});
		},
		async unfinished() {
			return Number((await pgPool.query('SELECT count(*) FROM graphile_worker.jobs')).rows[0].count);
		},
		async close() {
			await runner?.stop();
			await utils.release();
			await pgPool.end();
		},
	};
}
