// A server of the Durable Task protocol that stores nothing: it answers from its memory in a process of its own, without checks, failures and
// timers. The programs are those of durable-sdk. So what this row does is what Microsoft's SDK can do over gRPC in one process, whatever
// the server is, and its processor time is that of the SDK.
//
// Configuration: none; 100 workflows are started at a time.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BACKLOG, register } from './durable-sdk.mjs';

const require = createRequire(import.meta.url);
const sdk = require.resolve('@microsoft/durabletask-js');
const quiet = { error() {}, warn() {}, info() {}, debug() {} };

function serve() {
	const grpc = createRequire(sdk)('@grpc/grpc-js');
	const { StringValue } = createRequire(sdk)('google-protobuf/google/protobuf/wrappers_pb.js');
	const { Empty } = createRequire(sdk)('google-protobuf/google/protobuf/empty_pb.js');
	const { Timestamp } = createRequire(sdk)('google-protobuf/google/protobuf/timestamp_pb.js');
	const pb = require(join(dirname(sdk), 'proto/orchestrator_service_pb.js'));
	const { TaskHubSidecarServiceService } = require(join(dirname(sdk), 'proto/orchestrator_service_grpc_pb.js'));
	const instances = new Map();
	let stream, completed = 0;

	function event(id, set) {
		const e = new pb.HistoryEvent();
		e.setEventid(id);
		e.setTimestamp(Timestamp.fromDate(new Date()));
		set(e);
		return e;
	}
	const text = (value) => { const s = new StringValue(); s.setValue(value); return s; };
	const began = () => event(-1, (e) => e.setOrchestratorstarted(new pb.OrchestratorStartedEvent()));

	function turn(instance, news) {
		const item = new pb.WorkItem(), request = new pb.OrchestratorRequest();
		request.setInstanceid(instance.id);
		request.setPasteventsList(instance.past);
		request.setNeweventsList(news);
		item.setOrchestratorrequest(request);
		item.setCompletiontoken(instance.id);
		stream.write(item);
		instance.past = [...instance.past, ...news];
	}
	function begin(instance) {
		turn(instance, [began(), event(-1, (e) => {
			const started = new pb.ExecutionStartedEvent(), self = new pb.OrchestrationInstance();
			self.setInstanceid(instance.id);
			started.setOrchestrationinstance(self);
			started.setName(instance.name);
			started.setInput(text(instance.input));
			e.setExecutionstarted(started);
		})]);
	}

	const server = new grpc.Server();
	server.addService(TaskHubSidecarServiceService, {
		hello: (call, answer) => answer(null, new Empty()),
		startInstance(call, answer) {
			const instance = { id: call.request.getInstanceid(), name: call.request.getName(), input: call.request.getInput().getValue(), past: [] };
			const response = new pb.CreateInstanceResponse();
			instances.set(instance.id, instance);
			response.setInstanceid(instance.id);
			answer(null, response);
			if (stream) begin(instance);
		},
		getWorkItems(call) {
			stream = call;
			for (const instance of instances.values()) begin(instance);
		},
		completeOrchestratorTask(call, answer) {
			answer(null, new pb.CompleteTaskResponse());
			const instance = instances.get(call.request.getInstanceid());
			for (const action of call.request.getActionsList()) {
				const task = action.getScheduletask();
				if (!task) {
					process.send({ completed: ++completed });
					continue;
				}
				const item = new pb.WorkItem(), request = new pb.ActivityRequest(), self = new pb.OrchestrationInstance();
				self.setInstanceid(instance.id);
				request.setName(task.getName());
				request.setInput(task.getInput());
				request.setTaskid(action.getId());
				request.setOrchestrationinstance(self);
				item.setActivityrequest(request);
				item.setCompletiontoken(instance.id);
				stream.write(item);
				instance.past = [...instance.past, event(action.getId(), (e) => {
					const scheduled = new pb.TaskScheduledEvent();
					scheduled.setName(task.getName());
					scheduled.setInput(task.getInput());
					e.setTaskscheduled(scheduled);
				})];
			}
		},
		completeActivityTask(call, answer) {
			answer(null, new pb.CompleteTaskResponse());
			turn(instances.get(call.request.getInstanceid()), [began(), event(-1, (e) => {
				const done = new pb.TaskCompletedEvent();
				done.setTaskscheduledid(call.request.getTaskid());
				done.setResult(call.request.getResult());
				e.setTaskcompleted(done);
			})]);
		},
	});
	server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => process.send({ error, port }));
	process.on('disconnect', () => process.exit());
}

export async function open({ all }) {
	const { TaskHubGrpcClient, TaskHubGrpcWorker } = require('@microsoft/durabletask-js');
	const server = fork(fileURLToPath(import.meta.url), ['serve']);
	const [{ port }] = await once(server, 'message');
	const client = new TaskHubGrpcClient({ hostAddress: `127.0.0.1:${port}`, logger: quiet });
	let started = 0, completed = 0;

	server.on('message', (message) => { completed = message.completed; });
	return {
		rows: ['one_activity', 'two_activity', 'five_activity'],
		backlog: BACKLOG,
		steps: true,
		async startMany(kind, n) {
			started += n;
			await all(n, 100, (i) => client.scheduleNewOrchestration(kind, i));
		},
		async work() {
			const worker = new TaskHubGrpcWorker({ hostAddress: `127.0.0.1:${port}`, logger: quiet });
			register(worker);
			await worker.start();
		},
		async unfinished() { return started - completed; },
		async close() { server.kill(); },
	};
}

if (process.argv[2] === 'serve') serve();
