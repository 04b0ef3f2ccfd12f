// Measures one peer once and prints JSON lines, as bench/driver does for us.
//
//   node measure.mjs SYSTEM ROUND ROW ...     with PGHOST, PGPORT, PGUSER, PGDATABASE in the environment
//
// One Node process holds the client and the workers; the server shares the machine's processors with it, as our workers
// share them with their server. What each system does in a row:
//
//   one_activity, five_activity   a backlog is there before the worker starts; measured until all of it is completed.
//                                 Queues without steps run plain jobs: one_activity only.
//   start_single, start_batch     one client, one call after the other; and the system's way of starting many at once
//   latency_start                 start to result, as its client is told; one at a time, a few milliseconds in between
//   latency_event                 event or signal to result, of workflows that have been waiting for it
//   steps                         one workflow of 1,000 steps, one after the other

import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

const [system, round, ...rows] = process.argv.slice(2);

function emit(row, measure, unit, value) {
	console.log(JSON.stringify({ system, round: Number(round), row, measure, unit, value }));
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
	async one_activity(peer) { await throughput(peer, 'one_activity'); },
	async five_activity(peer) { if (peer.steps) await throughput(peer, 'five_activity'); },

	async start_single(peer) {
		const end = performance.now() + 2000;
		let n = 0;
		const from = performance.now();
		while (performance.now() < end) {
			await peer.start('never', n);
			n++;
		}
		emit('start_single', 'single', 'starts/s', n / (performance.now() - from) * 1000);
	},

	async start_batch(peer) {
		const n = peer.batch;
		const from = performance.now();
		await peer.startMany('never', n);
		emit('start_batch', 'batch', 'starts/s', n / (performance.now() - from) * 1000);
	},

	async latency_start(peer) {
		const sample = [];
		await peer.work();
		for (let i = -10; i < 200; i++) {
			const from = performance.now();
			await peer.startAndWait('one_activity', i);
			if (i >= 0) sample.push(performance.now() - from);
			await pause(3);
		}
		emit('latency_start', 'p50', 'ms', at(sample, 0.5));
		emit('latency_start', 'p99', 'ms', at(sample, 0.99));
	},

	async latency_event(peer) {
		if (!peer.raise) return;
		const sample = [];
		await peer.work();
		for (let i = -5; i < 100; i++) {
			const waiting = await peer.startWaiting(i);
			await pause(300);		// it has reached its wait
			const from = performance.now();
			await peer.raise(waiting);
			if (i >= 0) sample.push(performance.now() - from);
		}
		emit('latency_event', 'p50', 'ms', at(sample, 0.5));
		emit('latency_event', 'p99', 'ms', at(sample, 0.99));
	},

	async steps(peer) {
		if (!peer.steps) return;
		await peer.work();
		const from = performance.now();
		await peer.startAndWait('steps', 1000);
		emit('steps', 'step_at_1000', 'ms', (performance.now() - from) / 1000);
	},
};

async function throughput(peer, kind) {
	const n = peer.backlog[kind];
	await peer.startMany(kind, n);
	const from = performance.now();
	await peer.work();
	while (await peer.unfinished() > 0) await pause(10);
	emit(kind, 'throughput', 'workflows/s', n / (performance.now() - from) * 1000);
}

// Each row has a database of its own and a process of its own, so no worker is left over from the one before.
const { open } = await import(`./${system}.mjs`);
for (const row of rows) {
	const peer = await open({ all });
	try {
		await measurements[row](peer);
	} finally {
		await Promise.race([peer.close(), pause(5000)]);
	}
}
process.exit(0);
