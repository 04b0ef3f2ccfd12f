// absurd: durable tasks with steps and events. Its functions live in the database and are installed by a tool that npm
// does not have: scripts/bench-peers runs the file that ABSURD_SQL names, or leaves absurd out.
//
// Configuration: one worker (there is one process) that claims up to 50 tasks at a time and runs 50 at a time (the
// default is one), and asks again after 5 ms when there was nothing (250 ms by default; it has no notifications). Many
// are started by calling spawn_task for a series of numbers in one statement. awaitTaskResult asks every 50 ms and
// then less often, which cannot be set: fetchTaskResult is called every 2 ms instead. Sleepers are put into its tables
// as ctx.sleepFor leaves them, because running 100,000 takes minutes.

import { setTimeout as pause } from 'node:timers/promises';
import { Absurd } from 'absurd-sdk';
import pg from 'pg';

export async function open() {
	const pool = new pg.Pool({ max: 20 });
	const app = new Absurd({ db: pool, queueName: 'bench' });
	const bump = async (n) => n + 1;
	await app.createQueue('bench').catch(() => {});
	app.registerTask({ name: 'one_activity' }, ({ n }, ctx) => ctx.step('bump', () => bump(n)));
	app.registerTask({ name: 'two_activity' }, async ({ n }, ctx) => {
		for (let i = 0; i < 2; i++) n = await ctx.step(`bump ${i}`, () => bump(n));
		return n;
	});
	app.registerTask({ name: 'five_activity' }, async ({ n }, ctx) => {
		for (let i = 0; i < 5; i++) n = await ctx.step(`bump ${i}`, () => bump(n));
		return n;
	});
	app.registerTask({ name: 'steps' }, async ({ n: count }, ctx) => {
		let n = 0;
		for (let i = 0; i < count; i++) n = await ctx.step(`bump ${i}`, () => bump(n));
		return n;
	});
	app.registerTask({ name: 'wait_for_event' }, ({ n }, ctx) => ctx.awaitEvent(`go ${n}`));
	async function finished(task) {
		for (;;) {
			const { state } = await app.fetchTaskResult(task.taskID);
			if (state === 'completed') return;
			if (['failed', 'cancelled'].includes(state)) throw new Error(`a task is ${state}`);
			await pause(2);
		}
	}
	const name = (kind) => (kind === 'never' ? 'one_activity' : kind);
	let worker;

	return {
		backlog: { one_activity: 3000, two_activity: 2000, five_activity: 1000 },
		batch: 10000,
		steps: true,
		start: (kind, n) => app.spawn(name(kind), { n }),
		async startMany(kind, n) {
			await pool.query("SELECT count(t.task_id) FROM generate_series(1, $2::int) i, absurd.spawn_task('bench', $1, jsonb_build_object('n', i)) t", [name(kind), n]);
		},
		async startAndWait(kind, n) { await finished(await app.spawn(kind, { n })); },
		async startWaiting(n) { return { n, task: await app.spawn('wait_for_event', { n }) }; },
		async raise({ n, task }) {
			await app.emitEvent(`go ${n}`, 1);
			await finished(task);
		},
		async work() {
			worker ??= await app.startWorker({ concurrency: 50, batchSize: 50, pollInterval: 0.005 });
		},
		async sleep(n) {
			await pool.query(`WITH t AS (
				INSERT INTO absurd.t_bench (task_id, task_name, params, state, attempts, first_started_at, last_attempt_run)
				SELECT absurd.portable_uuidv7(), 'one_activity', '{"n": 1}', 'sleeping', 1, now(), absurd.portable_uuidv7()
				FROM generate_series(1, $1::int) RETURNING task_id, last_attempt_run
			), c AS (
				INSERT INTO absurd.c_bench (task_id, checkpoint_name, state, owner_run_id)
				SELECT task_id, 'month', to_jsonb(now() + interval '30 days'), last_attempt_run FROM t
			)
			INSERT INTO absurd.r_bench (run_id, task_id, attempt, state, available_at, started_at)
			SELECT last_attempt_run, task_id, 1, 'sleeping', now() + interval '30 days', now() FROM t`, [n]);
			await pool.query('VACUUM ANALYZE absurd.t_bench, absurd.r_bench, absurd.c_bench');
		},
		async unfinished() {
			return Number((await pool.query("SELECT count(*) FROM absurd.t_bench WHERE state <> 'completed'")).rows[0].count);
		},
		async close() {
			await worker?.close();
			await pool.end();
		},
	};
}
