// absurd: durable tasks with steps and events. Its functions live in the database and are installed by a tool that npm
// does not have: scripts/bench-peers runs the file that ABSURD_SQL names, or leaves absurd out. Best configuration: one
// worker that claims in large batches with much concurrency.

import { Absurd } from 'absurd-sdk';
import pg from 'pg';

export async function open({ all }) {
	const pool = new pg.Pool({ max: 20 });
	const app = new Absurd({ db: pool, queueName: 'bench' });
	const bump = async (n) => n + 1;
	await app.createQueue('bench').catch(() => {});
	app.registerTask({ name: 'one_activity' }, ({ n }, ctx) => ctx.step('bump', () => bump(n)));
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
	const name = (kind) => (kind === 'never' ? 'one_activity' : kind);
	let worker;

	return {
		backlog: { one_activity: 3000, five_activity: 1000 },
		batch: 3000,
		steps: true,
		start: (kind, n) => app.spawn(name(kind), { n }),
		async startMany(kind, n) { await all(n, 20, (i) => app.spawn(name(kind), { n: i })); },
		async startAndWait(kind, n) { await app.awaitTaskResult((await app.spawn(kind, { n })).taskID, { timeout: 120 }); },
		async startWaiting(n) { return { n, task: await app.spawn('wait_for_event', { n }) }; },
		async raise({ n, task }) {
			await app.emitEvent(`go ${n}`, 1);
			await app.awaitTaskResult(task.taskID, { timeout: 60 });
		},
		async work() {
			worker ??= await app.startWorker({ concurrency: 50, batchSize: 50, pollInterval: 0.01 });
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
