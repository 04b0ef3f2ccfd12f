// Calls by the SDK's generated stubs, as no honest client makes them: workers that lie, RPCs that the SDK does not call, headers.
"use strict";

const grpc = require("@grpc/grpc-js");
const http2 = require("http2");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb");
const { check, is, matches, main, sleep } = require("./report");
const { address, stub, call, text, work } = require("./stubs");

function start(id, name, input) {
  const request = new pb.CreateInstanceRequest();
  request.setInstanceid(id);
  request.setName(name);
  if (input !== undefined) request.setInput(text(input));
  return call("startInstance", request);
}

async function status(id) {
  const request = new pb.GetInstanceRequest();
  request.setInstanceid(id);
  request.setGetinputsandoutputs(true);
  return (await call("getInstance", request)).getOrchestrationstate();
}

function activity(token, result, id = "", task = 0) {
  const request = new pb.ActivityResponse();
  request.setCompletiontoken(token);
  request.setInstanceid(id);
  request.setTaskid(task);
  if (result !== undefined) request.setResult(text(result));
  return call("completeActivityTask", request);
}

// A request by HTTP/2 itself; what came back.
function raw(headers, body) {
  return new Promise((done) => {
    // http2 of Node.js 18 would try the address of localhost in IPv6 only.
    const session = http2.connect(`http://${address.replace("localhost:", "127.0.0.1:")}`);
    session.on("error", (error) => done({ error: error.message }));
    const stream = session.request({ ":method": "POST", "content-type": "application/grpc", te: "trailers", ...headers });
    const answer = {};
    const chunks = [];
    stream.on("response", (h) => Object.assign(answer, h));
    stream.on("trailers", (h) => Object.assign(answer, h));
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("close", () => { answer.body = Buffer.concat(chunks); session.destroy(); done(answer); });
    if (body) stream.write(body);
    stream.end();
  });
}

const frame = (message, flag = 0) => Buffer.concat([Buffer.from([flag, 0, 0, message.length >> 8, message.length & 255]), message]);
const path = (name) => ({ ":path": `/TaskHubSidecarService/${name}` });

main(async () => {
  await call("hello", new Empty());
  check(true, "Hello");
  await call("createTaskHub", new pb.CreateTaskHubRequest());
  await call("deleteTaskHub", new pb.DeleteTaskHubRequest());
  check(true, "CreateTaskHub, DeleteTaskHub");
  await call("cleanEntityStorage", new pb.CleanEntityStorageRequest());
  check(true, "CleanEntityStorage");

  // A worker that lies.
  await start("lies", "calls", '{"name": "hello", "n": 1}');
  const w = work();
  const item = await w.next();
  is(item.getActivityrequest().getName(), "hello", "an activity is handed out");
  is(item.getActivityrequest().getInput().getValue(), '"1"', "with its input");
  is(item.getActivityrequest().getOrchestrationinstance().getInstanceid(), "lies", "and its instance");
  await matches(activity("nonsense!", "1"), /^5 /, "a token that never was");
  await matches(activity("123", "1"), /^5 /, "nor this one");
  await activity(item.getCompletiontoken().replace(/.$/, (c) => (c === "0" ? "1" : "0")), '"forged"');
  check(true, "a token that is forged changes nothing");
  await matches(activity("", "1", "nobody", 1), /^5 /, "no token, and no work");
  is((await status("lies")).getOrchestrationstatus(), 0, "the instance still waits");
  await activity("", '"by its id"', "lies", item.getActivityrequest().getTaskid());
  check(true, "without a token the instance and the task tell which it is");
  for (let i = 0; i < 200 && (await status("lies")).getOrchestrationstatus() === 0; i++) await sleep(50);
  is((await status("lies")).getOutput().getValue(), '["by its id"]', "and it has completed");
  await activity(item.getCompletiontoken(), '"again"');
  check(true, "an answer that comes twice is answered with OK");
  is((await status("lies")).getOutput().getValue(), '["by its id"]', "and changes nothing");

  // Abandoned work comes again.
  await start("abandoned", "calls", '{"name": "hello", "n": 1}');
  const first = await w.next(2);
  const abandon = new pb.AbandonActivityTaskRequest();
  abandon.setCompletiontoken(first.getCompletiontoken());
  await call("abandonTaskActivityWorkItem", abandon);
  const second = await w.next(3);
  check(second.getCompletiontoken() !== first.getCompletiontoken(), "what was abandoned is handed out again, with another token");
  await activity(first.getCompletiontoken(), '"late"');
  is((await status("abandoned")).getOrchestrationstatus(), 0, "the old token is worth nothing");
  await activity(second.getCompletiontoken(), '"in time"');
  for (let i = 0; i < 200 && (await status("abandoned")).getOrchestrationstatus() === 0; i++) await sleep(50);
  is((await status("abandoned")).getOutput().getValue(), '["in time"]', "the new one is");

  // A terminated instance.
  await start("terminated", "calls", '{"name": "hello", "n": 1}');
  const last = await w.next(4);
  const terminate = new pb.TerminateRequest();
  terminate.setInstanceid("terminated");
  await call("terminateInstance", terminate);
  for (let i = 0; i < 200 && (await status("terminated")).getOrchestrationstatus() !== 5; i++) await sleep(50);
  await activity(last.getCompletiontoken(), '"too late"');
  is((await status("terminated")).getOrchestrationstatus(), 5, "an answer for what was terminated changes nothing");
  w.stream.cancel();

  // Filters and limits.
  const others = work((request) => {
    const filter = new pb.ActivityFilter();
    filter.setName("other");
    const filters = new pb.WorkItemFilters();
    filters.addActivities(filter);
    request.setWorkitemfilters(filters);
    request.setMaxconcurrentactivityworkitems(2);
  });
  await start("filtered", "calls", '{"name": "hello", "n": 1}');
  await start("limited", "calls", '{"name": "other", "n": 5}');
  await others.next(2);
  await sleep(1500);
  is(others.items.map((i) => i.getActivityrequest().getName()), ["other", "other"], "only what the filter names, and no more than the limit");
  for (let n = 0; n < 5; n++) await activity((await others.next(n + 1)).getCompletiontoken(), "1");
  for (let i = 0; i < 200 && (await status("limited")).getOrchestrationstatus() === 0; i++) await sleep(50);
  is((await status("limited")).getOrchestrationstatus(), 1, "more come when some are answered");
  others.stream.cancel();
  const skip = new pb.SkipGracefulOrchestrationTerminationsRequest();
  const batch = new pb.InstanceBatch();
  batch.setInstanceidsList(["filtered", "nobody"]);
  skip.setInstancebatch(batch);
  is((await call("skipGracefulOrchestrationTerminations", skip)).getUnterminatedinstanceidsList(), ["nobody"], "SkipGracefulOrchestrationTerminations");

  // Entities.
  const signal = new pb.SignalEntityRequest();
  signal.setInstanceid("@counter@" + "x".repeat(100));
  signal.setName("add");
  await matches(call("signalEntity", signal), /^3 .*limit is 100 characters/, "ids of entities have a limit");
  signal.setInstanceid("@counter@one");
  signal.setInput(text("7"));
  await call("signalEntity", signal);
  const get = new pb.GetEntityRequest();
  get.setInstanceid("@counter@one");
  get.setIncludestate(true);
  let entity;
  for (let i = 0; i < 200 && !(entity = await call("getEntity", get)).getExists(); i++) await sleep(50);
  is(entity.getEntity().getSerializedstate().getValue(), "7", "an entity in SQL is signaled, and its state read");
  is((await call("queryEntities", new pb.QueryEntitiesRequest())).getEntitiesList().map((e) => e.getInstanceid()), ["@counter@one"], "and found");

  // Malformed and strange requests.
  await matches(start("nul", "calls", "a\u0000b"), /^3 .*U\+0000/, "U+0000 is refused");
  await matches(start("@x@y", "calls"), /^3 /, "so is the id of an entity");
  await matches(start("", ""), /^3 /, "and an orchestration without a name");
  await matches(call("getInstance", new pb.GetInstanceRequest()), /^3 /, "and no id at all");
  const patient = new pb.GetInstanceRequest();
  patient.setInstanceid("filtered2");
  await start("filtered2", "calls", '{"name": "hello", "n": 1}');
  await matches(call("waitForInstanceCompletion", patient, { deadline: 700 }), /^4 /, "a deadline while waiting");
  let answer = await raw({ ...path("WaitForInstanceCompletion"), "grpc-timeout": "1n" }, frame(Buffer.from(patient.serializeBinary())));
  is(answer["grpc-status"], "4", "a deadline that is over at once");
  answer = await raw(path("Nonsense"), frame(Buffer.alloc(0)));
  is(answer["grpc-status"], "12", "an unknown RPC is UNIMPLEMENTED");
  answer = await raw({ ":path": "/x" }, frame(Buffer.alloc(0)));
  is(answer["grpc-status"], "12", "and so is an unknown service");
  answer = await raw(path("Hello"), frame(Buffer.alloc(0), 1));
  is([answer["grpc-status"], answer["grpc-accept-encoding"]], ["12", "identity"], "compressed messages, too");
  answer = await raw(path("GetInstance"), frame(Buffer.from([0xff, 0xff])));
  is(answer["grpc-status"], "3", "malformed Protocol Buffers are INVALID_ARGUMENT");
  answer = await raw(path("GetInstance"), Buffer.from([0, 0, 0, 0, 9, 1]));
  is(answer["grpc-status"], "3", "so is half a message");
  answer = await raw(path("GetInstance"), Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]));
  is(answer["grpc-status"], "3", "so are two");
  answer = await raw(path("GetInstance"));
  is(answer["grpc-status"], "3", "so is none");
  answer = await raw({ ...path("Hello"), "content-type": "text/plain" }, frame(Buffer.alloc(0)));
  is(answer["grpc-status"], "3", "so is another content type");
  answer = await raw({ ...path("Hello"), "grpc-timeout": "x" }, frame(Buffer.alloc(0)));
  is(answer["grpc-status"], "3", "so is a timeout that is none");
  answer = await raw({ ...path("Hello"), authorization: "x".repeat(20000) }, frame(Buffer.alloc(0)));
  check(answer["grpc-status"] === "8" || answer[":status"] === 431 || answer.error || !answer[":status"], "headers that are too large are refused");
  answer = await raw({ ":path": "/grpc.health.v1.Health/Check" }, frame(Buffer.alloc(0)));
  is([answer["grpc-status"], [...answer.body]], ["0", [0, 0, 0, 0, 2, 8, 1]], "the health check says SERVING");
  await call("hello", new Empty());
  check(true, "the gateway is alive");
});
