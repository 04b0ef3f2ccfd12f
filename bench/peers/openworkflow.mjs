// openworkflow: durable workflows with steps and signals. Best configuration: one worker with much concurrency. It has no
// call that starts many, so they are started 20 at a time. Its handle asks for the result once a second, which cannot be set;
// so the state of the run is asked for every 5 ms.

import { OpenWorkflow } from 'openworkflow';
import { BackendPostgres } from 'openworkflow/postgres';
import pg from 'pg';
import { setTimeout as pause } from 'node:timers/promises';

export async function open({ all }) {
	const pool = new pg.Pool({ max: 1 });
	const backend = await BackendPostgres.connect(`postgresql:///${process.env.PGDATABASE}`);
	const client = new OpenWorkflow({ backend });
	const bump = (n) => n + 1;
	const five = async ({ input, step }) => {
		let n = input.n;
		for (let i = 0; i < 5; i++) n = await step.run({ name: `bump ${i}` }, () => bump(n));
		return n;
	};
	const workflows = {
		one_activity: client.defineWorkflow({ name: 'one_activity' }, ({ input, step }) => step.run({ name: 'bump' }, () => bump(input.n))),
		five_activity: client.defineWorkflow({ name: 'five_activity' }, five),
		steps: client.defineWorkflow({ name: 'steps' }, async ({ input, step }) => {
			let n = 0;
			for (let i = 0; i < input.n; i++) n = await step.run({ name: `bump ${i}` }, () => bump(n));
			return n;
		}),
		wait_for_event: client.defineWorkflow({ name: 'wait_for_event' }, ({ input, step }) => step.waitForSignal({ signal: `go ${input.n}`, timeout: '60s' })),
	};
	workflows.never = workflows.one_activity;
	let worker;

	async function finished(handle) {
		for (;;) {
			const run = await backend.getWorkflowRun({ workflowRunId: handle.workflowRun.id });
			if (['completed', 'succeeded'].includes(run.status)) return;
			if (['failed', 'canceled'].includes(run.status)) throw new Error(`a workflow is ${run.status}`);
			await pause(5);
		}
	}

	return {
		backlog: { one_activity: 1500, five_activity: 600 },
		batch: 3000,
		steps: true,
		start: (kind, n) => workflows[kind].run({ n }),
		async startMany(kind, n) { await all(n, 20, (i) => workflows[kind].run({ n: i })); },
		async startAndWait(kind, n) { await finished(await workflows[kind].run({ n })); },
		async startWaiting(n) { return { n, handle: await workflows.wait_for_event.run({ n }) }; },
		async raise({ n, handle }) {
			await client.sendSignal({ signal: `go ${n}`, data: 1 });
			await finished(handle);
		},
		async work() {
			worker ??= client.newWorker({ concurrency: 50 });
			await worker.start();
		},
		async unfinished() {
			return Number((await pool.query("SELECT count(*) FROM openworkflow.workflow_runs WHERE status NOT IN ('completed', 'succeeded')")).rows[0].count);
		},
		async close() {
			await worker?.stop();
			await backend.stop();
			await pool.end();
		},
	};
}
