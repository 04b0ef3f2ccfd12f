// Measures one peer once and prints JSON lines, as bench/driver does for ours.
//
//   node measure.mjs SYSTEM ROUND ROW[:DEPTH]     with PGHOST, PGPORT, PGUSER, PGDATABASE in the environment
//
// One Node process holds the client and the workers; the server shares the machine's processors with it, as our workers
// share them with their server. What each system does in a row:
//
//   one_activity, two_activity, five_activity   a backlog is there before the worker starts; measured until all of it is completed.
//                                 Queues without steps run plain jobs: one_activity only.
//   deep_backlog                  the first seconds of a backlog of 1,000, and of one of 20,000
//   start_single, start_batch     one client, one call after the other; and the system's way of starting many at once
//   latency_start                 start to result, as its client is told; one at a time, a few milliseconds in between. If the system
//                                 has "commit", by turns with it: a single row that is inserted by the same process
//   latency_beside_sleepers       the same beside 100,000 workflows that sleep for a month
//   latency_event                 event or signal to result, of workflows that have been waiting for it
//   steps                         one workflow of 100, 1,000 and 5,000 steps, one after the other
//
// Every row has a cap in time. A throughput that is cut off is of what was completed until then; steps that are not done
// by then are printed as a bound: a step takes at least so long. What a system does not have it does not print. A system
// with "rows" is measured in these only.

import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

const [system, round, what] = process.argv.slice(2);
const [row, depth] = what.split(':');

const CAP = { throughput: 20, deep: 8, latency: 8, steps: 40 };	// seconds

function emit(row, measure, unit, value, more = {}) {
	console.log(JSON.stringify({ system, round: Number(round), row, measure, unit, value, ...more }));
}

// What a system could be thought to have, and does not, or what could not be measured fairly: said below the table.
function without(peer, row, measure) {
	const why = peer.without?.[measure];
	if (why) console.log(JSON.stringify({ system, round: Number(round), row, measure, without: why }));
}

function at(sample, fraction) {
	const sorted = [...sample].sort((a, b) => a - b);
	return sorted[Math.min(Math.floor(sorted.length * fraction), sorted.length - 1)];
}

// Runs the call for every number below n, so many at a time.
async function all(n, atOnce, call) {
	let next = 0;
	await Promise.all(Array.from({ length: atOnce }, async () => {
		while (next < n) await call(next++);
	}));
}

const measurements = {
	async one_activity(peer) { await throughput(peer, 'one_activity', 'throughput', peer.backlog.one_activity, CAP.throughput); },
	async five_activity(peer) { if (peer.steps) await throughput(peer, 'five_activity', 'throughput', peer.backlog.five_activity, CAP.throughput); },

	async two_activity(peer) { if (peer.steps) await throughput(peer, 'two_activity', 'throughput', peer.backlog.two_activity, CAP.throughput); },

	// Queues of plain jobs have been measured with a deeper one.
	async deep_backlog(peer, n) { if (peer.steps) await throughput(peer, 'one_activity', `throughput_${n}`, n, CAP.deep, 'deep_backlog'); },

	async start_single(peer) {
		for (let i = 0; i < 20; i++) await peer.start('never', i);	// warm-up
		const from = performance.now();
		let n = 0;
		for (; performance.now() < from + 2000; n++) await peer.start('never', n);
		emit('start_single', 'single', 'starts/s', n / (performance.now() - from) * 1000);
	},

	async start_batch(peer) {
		const n = peer.batch;
		await peer.startMany('never', Math.floor(n / 10));	// warm-up
		const from = performance.now();
		await peer.startMany('never', n);
		emit('start_batch', 'batch', 'starts/s', n / (performance.now() - from) * 1000);
	},

	async latency_start(peer) { await latency(peer, 'latency_start', ''); },

	async latency_beside_sleepers(peer) {
		if (!peer.sleep) return without(peer, 'latency_beside_sleepers', 'beside_p50');
		await peer.sleep(100000);
		await latency(peer, 'latency_beside_sleepers', 'beside_');
	},

	async latency_event(peer) {
		if (!peer.raise) return;
		const sample = [];
		await peer.work();
		const end = performance.now() + CAP.latency * 1000;
		for (let i = 0; i < 6 && performance.now() < end; i++) {
			const waiting = [];
			for (let j = 0; j < 20; j++) waiting.push(await peer.startWaiting(i * 20 + j));
			await pause(1000);		// all have reached their wait
			for (const one of waiting) {
				const from = performance.now();
				await peer.raise(one);
				if (i > 0) sample.push(performance.now() - from);	// the first are warm-up
				await pause(3);
			}
		}
		emit('latency_event', 'p50', 'ms', at(sample, 0.5));
		emit('latency_event', 'p99', 'ms', at(sample, 0.99));
	},

	async steps(peer) {
		if (!peer.steps) return;
		await peer.work();
		await peer.startAndWait('steps', 20);	// warm-up
		const end = performance.now() + CAP.steps * 1000;
		for (const n of [100, 1000, 5000]) {
			if (peer.without?.[`step_at_${n}`]) return without(peer, 'steps', `step_at_${n}`);
			const from = performance.now();
			const capped = pause(end - from, 'capped', { ref: false });
			const ended = await Promise.race([peer.startAndWait('steps', n), capped]);
			emit('steps', `step_at_${n}`, 'ms', (performance.now() - from) / n, ended === 'capped' ? { bound: true } : {});
			if (ended === 'capped') break;
		}
	},
};

// What n queued workflows, or the first of them until the cap, take from the moment the worker starts.
async function throughput(peer, kind, measure, n, cap, row = kind) {
	await peer.startMany(kind, n);
	const cpu = process.cpuUsage();
	const from = performance.now();
	let left = n;
	await peer.work();
	while (left > 0 && performance.now() < from + cap * 1000) {
		await pause(10);
		left = await peer.unfinished();
	}
	const seconds = (performance.now() - from) / 1000;
	if (left === n) throw new Error(`nothing was completed in ${cap} s`);
	const { user, system } = process.cpuUsage(cpu);
	emit(row, measure, 'workflows/s', (n - left) / seconds, left > 0 && row === kind ? { cut_off: true } : {});
	// What this process alone takes is a bound for the rate, whatever the database costs.
	if (left === 0 && row === kind) emit(row, 'node_cpu', 'ms/workflow', (user + system) / 1000 / n);
}

async function latency(peer, row, prefix) {
	const sample = [];
	const commits = [];
	await peer.work();
	const end = performance.now() + CAP.latency * 1000;
	for (let i = -10; i < 200 && performance.now() < end; i++) {
		const from = performance.now();
		await peer.startAndWait('one_activity', i);
		if (i >= 0) sample.push(performance.now() - from);
		await pause(3);
		if (peer.commit) {
			const started = performance.now();
			await peer.commit();
			if (i >= 0) commits.push(performance.now() - started);
			await pause(3);
		}
	}
	if (commits.length > 0) {
		emit(row, `${prefix}commit_p50`, 'ms', at(commits, 0.5));
		emit(row, `${prefix}to_commit`, 'x', at(sample, 0.5) / at(commits, 0.5));
	}
	emit(row, `${prefix}p50`, 'ms', at(sample, 0.5));
	emit(row, `${prefix}p99`, 'ms', at(sample, 0.99));
}

// Each row, and each depth of the backlog, has a database of its own and a process of its own: no worker is left over.
const { open } = await import(`./${system}.mjs`);
const peer = await open({ all, row });
try {
	if (!peer.rows || peer.rows.includes(row)) await measurements[row](peer, Number(depth));
} catch (error) {
	// One line, which scripts/bench-peers looks for.
	console.error(`failed: ${String(error.message ?? error).split('\n')[0]}`);
	process.exitCode = 1;
}
await Promise.race([peer.close().catch(() => {}), pause(3000)]);
process.exit();
