// durable, through "durable serve --grpc" and Microsoft's Durable Task SDK: workflows and activities are in this process. Compare it with
// durabletask-memory, which is the same programs on the SDK's backend in memory.
//
// Configuration: none; 100 workflows are started at a time.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import pg from 'pg';

const { TaskHubGrpcClient, TaskHubGrpcWorker } = createRequire(import.meta.url)('@microsoft/durabletask-js');

// The same for all three backends of the SDK: a new process of Node takes more than twice as long for each of its first 500 workflows as it
// does later, when its code is compiled.
export const BACKLOG = { one_activity: 3000, two_activity: 3000, five_activity: 1000 };

const quiet = { error() {}, warn() {}, info() {}, debug() {} };

export function register(worker) {
	worker.addNamedActivity('bump', async (_, n) => n + 1);
	for (const [name, activities] of [['one_activity', 1], ['two_activity', 2], ['five_activity', 5]])
		worker.addNamedOrchestrator(name, async function* (context, n) {
			for (let i = 0; i < activities; i++) n = yield context.callActivity('bump', n);
			return n;
		});
}

// Resolves to the port for gRPC.
function gateway(role) {
	const program = spawn(process.env.DURABLE, ['serve', '-d', `host=${process.env.PGHOST} port=${process.env.PGPORT} dbname=${process.env.PGDATABASE} user=${role}`,
		'--role', role, '--port', '0', '--grpc', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
	return new Promise((resolve, reject) => {
		program.on('exit', () => reject(new Error('the gateway has ended')));
		createInterface({ input: program.stdout }).on('line', (line) => {
			const port = /^grpc:.*:(\d+)$/.exec(line);
			if (port) resolve({ program, port: port[1] });
		});
	});
}

export async function open({ all }) {
	const admin = new pg.Pool({ max: 1 });
	await admin.query(`DO $$ BEGIN IF to_regrole('bench') IS NULL THEN CREATE ROLE bench LOGIN; END IF; END $$;
		CREATE EXTENSION durable; SELECT durable.grant_usage('bench'), durable.grant_http('bench')`);
	const { program, port } = await gateway('bench');
	const client = new TaskHubGrpcClient({ hostAddress: `localhost:${port}`, logger: quiet });
	let worker;

	return {
		rows: ['one_activity', 'two_activity', 'five_activity', 'latency_start'],
		backlog: BACKLOG,
		steps: true,
		async startMany(kind, n) { await all(n, 100, (i) => client.scheduleNewOrchestration(kind, i)); },
		async startAndWait(kind, n) { await client.waitForOrchestrationCompletion(await client.scheduleNewOrchestration(kind, n), true, 60); },
		async work() {
			worker = new TaskHubGrpcWorker({ hostAddress: `localhost:${port}`, logger: quiet });
			register(worker);
			await worker.start();
		},
		async unfinished() {
			return Number((await admin.query("SELECT coalesce(sum(instances), 0) AS count FROM durable.counts WHERE runtime_status <> 'Completed'")).rows[0].count);
		},
		async close() {
			program.removeAllListeners('exit');
			program.kill();
			await admin.end();
		},
	};
}
