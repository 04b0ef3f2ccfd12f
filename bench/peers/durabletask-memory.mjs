// The backend in memory of Microsoft's Durable Task SDK, which is meant for tests: nothing is durable, and there is no network.
// The programs are those of durable-sdk.
//
// Configuration: none.

import { createRequire } from 'node:module';
import { BACKLOG, register } from './durable-sdk.mjs';

const { InMemoryOrchestrationBackend, TestOrchestrationClient, TestOrchestrationWorker } =
	createRequire(import.meta.url)('@microsoft/durabletask-js');

export async function open() {
	// This worker has no option for its log, which would cost it nearly as much as all the rest. Those of the others are off as well.
	console.info = console.debug = () => {};
	const backend = new InMemoryOrchestrationBackend();
	const client = new TestOrchestrationClient(backend);
	const worker = new TestOrchestrationWorker(backend);
	const started = [];

	register(worker);
	return {
		rows: ['one_activity', 'two_activity', 'five_activity', 'latency_start'],
		backlog: BACKLOG,
		steps: true,
		async startMany(kind, n) { for (let i = 0; i < n; i++) started.push(await client.scheduleNewOrchestration(kind, i)); },
		async startAndWait(kind, n) { await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration(kind, n), true, 60); },
		async work() { await worker.start(); },
		async unfinished() { return started.filter((id) => backend.getInstance(id).output === undefined).length; },
		async close() { await worker.stop(); },
	};
}
