// DBOS Transact: durable workflows with steps and messages.
//
// Configuration: for the backlog a queue, asked every 10 ms (1,000 by default), with 100 workflows at a time; 300, and asking
// every 3 ms, were no faster. It has no call that enqueues many, so 20 are enqueued at a time. For latency workflows
// are started directly, without a queue, and results are awaited in the process that runs them, which needs no polling.
// LISTEN/NOTIFY is on, as it is by default, and its notifications are held back by 1 ms, the least (10 by default). A pool
// of 20 connections (10 by default). No tracing, no logs. Sleepers beside: not measured, because a sleeping workflow is a
// promise in the memory of its process (some 12 kB) after it has been started, at a few thousand a second.

import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';

export async function open({ all }) {
	const pool = new pg.Pool({ max: 1 });
	const url = `postgresql://${process.env.PGUSER}@${encodeURIComponent(process.env.PGHOST)}:${process.env.PGPORT}/${process.env.PGDATABASE}`;
	DBOS.setConfig({
		name: 'bench', systemDatabaseUrl: url, systemDatabasePool: new pg.Pool({ max: 20 }),
		notificationCoalesceMs: 1, logLevel: 'error', tracingEnabled: false, enableOTLP: false,
	});

	const bump = async (n) => n + 1;
	const workflows = {
		one_activity: DBOS.registerWorkflow(async (n) => DBOS.runStep(() => bump(n), { name: 'bump' }), { name: 'one_activity' }),
		two_activity: DBOS.registerWorkflow(async (n) => {
			for (let i = 0; i < 2; i++) n = await DBOS.runStep(() => bump(n), { name: 'bump' });
			return n;
		}, { name: 'two_activity' }),
		five_activity: DBOS.registerWorkflow(async (n) => {
			for (let i = 0; i < 5; i++) n = await DBOS.runStep(() => bump(n), { name: 'bump' });
			return n;
		}, { name: 'five_activity' }),
		steps: DBOS.registerWorkflow(async (count) => {
			let n = 0;
			for (let i = 0; i < count; i++) n = await DBOS.runStep(() => bump(n), { name: 'bump' });
			return n;
		}, { name: 'steps' }),
		wait_for_event: DBOS.registerWorkflow(async () => DBOS.recv('go', 60), { name: 'wait_for_event' }),
	};
	workflows.never = workflows.one_activity;
	let queue = 'idle';		// nobody listens to it until work()
	await DBOS.launch();

	return {
		backlog: { one_activity: 3000, two_activity: 2000, five_activity: 1000 },
		batch: 3000,
		steps: true,
		without: { beside_p50: 'a sleeping workflow stays in the memory of its process, and is started there first' },
		start: (kind, n) => DBOS.startWorkflow(workflows[kind], { queueName: queue })(n),
		async startMany(kind, n) { await all(n, 20, (i) => DBOS.startWorkflow(workflows[kind], { queueName: queue })(i)); },
		async startAndWait(kind, n) {
			const handle = await DBOS.startWorkflow(workflows[kind])(n);
			await handle.getResult();
		},
		startWaiting: () => DBOS.startWorkflow(workflows.wait_for_event)(),
		async raise(handle) {
			await DBOS.send(handle.workflowID, 1, 'go');
			await handle.getResult();
		},
		async work() {
			await DBOS.registerQueue(queue, { workerConcurrency: 100, minPollingIntervalMs: 10 });
		},
		async unfinished() {
			return Number((await pool.query("SELECT count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'")).rows[0].count);
		},
		async close() {
			await DBOS.shutdown();
			await pool.end();
		},
	};
}
