// openworkflow: durable workflows with steps and signals.
//
// Configuration: one worker with 50 workflows at a time (one by default). How often it asks for work cannot be set: after 100 ms
// when there was nothing, then less often up to a second; it has no notifications, and that is most of its latency. It
// has no call that starts many, so 20 are started at a time. Its handle asks for the result once a second, which cannot be
// set either; so the state of the run is asked for every 5 ms instead. Sleepers are put into its table as step.sleep
// leaves them, because running 100,000 takes minutes. It ends a workflow with an error after 1,000 steps, which cannot be set.

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
		two_activity: client.defineWorkflow({ name: 'two_activity' }, async ({ input, step }) => {
			let { n } = input;
			for (let i = 0; i < 2; i++) n = await step.run({ name: `bump ${i}` }, () => bump(n));
			return n;
		}),
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
		backlog: { one_activity: 1500, two_activity: 1000, five_activity: 600 },
		batch: 3000,
		steps: true,
		without: { step_at_5000: 'ends a workflow with an error after 1,000 steps' },
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
		async sleep(n) {
			await pool.query(`WITH r AS (
				INSERT INTO openworkflow.workflow_runs
					(namespace_id, id, workflow_name, status, config, input, attempts, available_at, started_at, created_at, updated_at)
				SELECT 'default', gen_random_uuid()::text, 'one_activity', 'running', '{}', '{"n": 1}', 1, now() + interval '30 days', now(), now(), now()
				FROM generate_series(1, $1::int) RETURNING id
			)
			INSERT INTO openworkflow.step_attempts
				(namespace_id, id, workflow_run_id, step_name, kind, status, config, context, started_at, created_at, updated_at)
			SELECT 'default', gen_random_uuid()::text, id, 'month', 'sleep', 'running', '{}',
				jsonb_build_object('kind', 'sleep', 'resumeAt', now() + interval '30 days'), now(), now(), now() FROM r`, [n]);
			await pool.query('VACUUM ANALYZE openworkflow.workflow_runs, openworkflow.step_attempts');
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
