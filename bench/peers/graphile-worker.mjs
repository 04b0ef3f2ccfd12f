// graphile-worker: a job queue; no steps, no events. Best configuration, after its page on performance: a local queue,
// so that jobs are fetched in batches, and completions in batches. For latency both are off, because batching delays.

import { makeWorkerUtils, run, Logger } from 'graphile-worker';
import pg from 'pg';

export async function open() {
	const pgPool = new pg.Pool({ max: 12 });
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
			const latency = process.argv.includes('latency_start');
			runner = await run({
				pgPool, logger, noHandleSignals: true,
				taskList: {
					// There is no result to wait for: the job itself says that it has run. It is completed a commit later.
					one_activity: async ({ n }) => { waiting.get(n)?.(); },
				},
				preset: { worker: latency ? { concurrentJobs: 4, pollInterval: 1000 } : {
					concurrentJobs: 24, pollInterval: 1000, localQueue: { size: 500 },
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
