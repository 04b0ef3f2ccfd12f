// What clients and workers say that is not true, or is too much: node hostile.js PORT
// There are two hubs, "one" and "two", with different roles.
"use strict";

const grpc = require("@grpc/grpc-js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb");
const stubs = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb");
const { check, is, matches, main, sleep } = require("./report");
const { address, text, connect } = require("./stubs");

// A connection to one hub.
function hub(name) {
  const connection = connect();
  const call = (rpc, request, metadata = {}) => connection.call(rpc, request, { metadata: { taskhub: name, ...metadata } });

  function work(configure) {
    const request = new pb.GetWorkItemsRequest();
    const filters = new pb.WorkItemFilters();
    configure(filters);
    request.setWorkitemfilters(filters);
    const metadata = new grpc.Metadata();
    metadata.set("taskhub", name);
    const stream = connection.stub.getWorkItems(request, metadata);
    const items = [];
    stream.on("data", (item) => { if (!item.hasHealthping()) items.push(item); });
    stream.on("error", () => {});
    return { stream, items, async next(n = 1) { for (let i = 0; i < 400 && items.length < n; i++) await sleep(50); return items[n - 1]; } };
  }

  return { call, work };
}

const one = hub("one"), two = hub("two");
const set = (Class, values) => { const message = new Class(); for (const [key, value] of Object.entries(values)) message[`set${key}`](value); return message; };
const start = (h, id, name) => h.call("startInstance", set(pb.CreateInstanceRequest, { Instanceid: id, Name: name }));
const state = async (h, id) => (await h.call("getInstance", set(pb.GetInstanceRequest, { Instanceid: id, Getinputsandoutputs: true }))).getOrchestrationstate();
const ended = async (h, id) => { for (let i = 0; i < 400 && (await state(h, id)).getOrchestrationstatus() !== 1; i++) await sleep(25); return (await state(h, id)).getOutput()?.getValue(); };

function action(id, kind, values) {
  const one = set(pb.OrchestratorAction, { Id: id });
  one[`set${kind}`](values);
  return one;
}
const end = (id, result) => action(id, "Completeorchestration", set(pb.CompleteOrchestrationAction, { Orchestrationstatus: 1, Result: text(result) }));
const turn = (token, actions, id = "") => set(pb.OrchestratorResponse, { Instanceid: id, Completiontoken: token, ActionsList: actions });
const activity = (token, result, id = "", task = 0) => set(pb.ActivityResponse, { Instanceid: id, Taskid: task, Completiontoken: token, Result: text(result) });

function batch(token, result, state) {
  const success = set(pb.OperationResultSuccess, { Result: text(result) });
  const operation = set(pb.OperationResult, { Success: success });
  return set(pb.EntityBatchResult, { Completiontoken: token, ResultsList: [operation], Entitystate: text(state) });
}
const names = (Class, method, ...list) => (filters) => list.forEach((name) => filters[method](set(Class, { Name: name })));

main(async () => {
  // Work of one hub, and a worker of another one that has heard of its tokens.
  await start(one, "victim", "Victim");
  const turns = one.work(names(pb.OrchestrationFilter, "addOrchestrations", "Victim"));
  let item = await turns.next();
  await one.call("completeOrchestratorTask", turn(item.getCompletiontoken(), [action(1, "Scheduletask", set(pb.ScheduleTaskAction, { Name: "work", Input: text("1") })),
    action(2, "Sendentitymessage", set(pb.SendEntityMessageAction, { Entityoperationcalled: set(pb.EntityOperationCalledEvent,
      { Requestid: "r", Operation: "add", Input: text("1"), Targetinstanceid: text("@victim@a") }) }))]));
  const activities = one.work(names(pb.ActivityFilter, "addActivities", "work"));
  const entities = one.work(names(pb.EntityFilter, "addEntities", "victim"));
  const task = await activities.next();
  const operations = await entities.next();
  check(task.getActivityrequest() && operations.getEntityrequestv2(), "an activity and an operation are out");
  const tokens = { task: task.getCompletiontoken(), batch: operations.getCompletiontoken() };
  for (const [rpc, request, what] of [["completeActivityTask", activity(tokens.task, '"foreign"'), "the result of an activity"], ["completeEntityTask", batch(tokens.batch, '"foreign"', '"foreign"'), "the result of operations"],
    ["completeOrchestratorTask", turn(tokens.task, [end(9, '"foreign"')]), "actions with the token of an activity"],
    ["completeActivityTask", activity("", '"foreign"', "victim", task.getActivityrequest().getTaskid()), "a result that names the instance and the task"],
    ["completeOrchestratorTask", turn("", [end(9, '"foreign"')], "victim"), "actions that name the instance"],
    ["abandonTaskActivityWorkItem", set(pb.AbandonActivityTaskRequest, { Completiontoken: tokens.task }), "abandoning an activity"],
    ["abandonTaskEntityWorkItem", set(pb.AbandonEntityTaskRequest, { Completiontoken: tokens.batch }), "abandoning operations"]]) {
    await matches(two.call(rpc, request), /^no error$|^5 |^7 /, `another hub: ${what} is refused or ignored`);
  }
  for (const [rpc, request, what] of [["completeOrchestratorTask", turn(tokens.task, [end(9, '"mixed"')]), "actions with the token of an activity"],
    ["completeOrchestratorTask", turn(tokens.batch, [end(9, '"mixed"')]), "actions with the token of operations"], ["completeActivityTask", activity(tokens.batch, '"mixed"'), "a result with the token of operations"],
    ["completeEntityTask", batch(tokens.task, '"mixed"', '"mixed"'), "operations with the token of an activity"], ["completeOrchestratorTask", turn(item.getCompletiontoken(), [end(9, '"late"')]), "actions for a turn that was completed"]]) {
    await matches(one.call(rpc, request), /^no error$|^5 /, `the same hub: ${what} change nothing`);
  }
  is((await state(one, "victim")).getOrchestrationstatus(), 0, "the instance goes on");
  is([activities.items.length, entities.items.length], [1, 1], "what is out was not handed out again");
  await one.call("completeActivityTask", activity(tokens.task, '"honest"', "another instance", 4711));
  await one.call("completeEntityTask", batch(tokens.batch, '"honest"', '"state"'));
  await one.call("completeActivityTask", activity(tokens.task, '"twice"'));
  await one.call("completeEntityTask", batch(tokens.batch, '"twice"', '"twice"'));
  let seen = [];
  for (let n = 2; seen.length < 2; n++) {
    item = await turns.next(n);
    seen = [...item.getOrchestratorrequest().getPasteventsList(), ...item.getOrchestratorrequest().getNeweventsList()]
      .map((e) => e.getTaskcompleted()?.getResult()?.getValue() ?? e.getEntityoperationcompleted()?.getOutput()?.getValue()).filter((e) => e);
    if (seen.length < 2) await one.call("completeOrchestratorTask", turn(item.getCompletiontoken(), []));
  }
  is(seen.sort(), ['"honest"', '"honest"'], "the answers are those of the first worker with the right token, once each");
  await one.call("completeOrchestratorTask", turn(item.getCompletiontoken(), [end(9, '"right"')], "somebody else"));
  is(await ended(one, "victim"), '"right"', "a token counts, and not the id of the instance beside it");
  const entity = await one.call("getEntity", set(pb.GetEntityRequest, { Instanceid: "@victim@a", Includestate: true }));
  is(entity.getEntity().getSerializedstate().getValue(), '"state"', "and the entity has the state of the first answer");
  for (const w of [turns, activities, entities]) w.stream.cancel();

  // Ids and names that are none.
  const long = "x".repeat(100 * 1024);
  await matches(start(one, long, "Long"), /^3 .*(id|long)/i, "an id of 100 kB");
  await matches(start(one, "long-name", long), /^3 /, "a name of 100 kB");
  is((await one.call("getInstance", set(pb.GetInstanceRequest, { Instanceid: long }))).getExists(), false, "an instance with an id of 100 kB does not exist");
  await matches(one.call("raiseEvent", set(pb.RaiseEventRequest, { Instanceid: long, Name: "e" })), /^[35] /, "nor does it get events");
  await start(one, "listens", "Listens");
  await matches(one.call("raiseEvent", set(pb.RaiseEventRequest, { Instanceid: "listens", Name: long })), /^3 /, "an event with a name of 100 kB");
  await matches(one.call("signalEntity", set(pb.SignalEntityRequest, { Instanceid: `@e@${long}`, Name: "op" })), /^3 .*limit is 100 characters/, "an entity with a key of 100 kB");
  await matches(one.call("signalEntity", set(pb.SignalEntityRequest, { Instanceid: "@e@k", Name: long })), /^3 /, "an operation with a name of 100 kB");
  for (const [bytes, what] of [[[0xff, 0xfe], "bytes that are no UTF-8"], [[0xed, 0xa0, 0x80], "a surrogate"], [[0xc0, 0x80], "a zero that is written too long"], [[0x61, 0], "U+0000"], [[0xf4, 0x90, 0x80, 0x80], "a character above U+10FFFF"]]) {
    // The SDK's library would repair the text, so the message is written by hand.
    const client = new grpc.Client(address, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("taskhub", "one");
    const raw = (path, message) => new Promise((done, fail) => client.makeUnaryRequest(`/TaskHubSidecarService/${path}`, (m) => m, (m) => m, message, metadata, (error, answer) => error ? fail(error) : done(answer)));
    const field = (number) => Buffer.from([number << 3 | 2, bytes.length, ...bytes]);
    await matches(raw("GetInstance", field(1)), /^3 .*UTF-8/, `an id with ${what}`);
    await matches(raw("StartInstance", Buffer.concat([field(1), Buffer.from([18, 1, 0x41])])), /^3 .*UTF-8/, `a start with ${what}`);
    await matches(raw("CompleteActivityTask", Buffer.concat([Buffer.from([26, bytes.length + 2]), field(1), Buffer.from([42, 1, 0x31])])), /^3 .*UTF-8/, `a result with ${what}`);
    client.close();
  }
  await matches(start(one, "odd-name", ""), /^3 /, "an orchestration without a name");
  const nested = (depth) => { let failure = set(pb.TaskFailureDetails, { Errormessage: "deepest" }); for (let i = 0; i < depth; i++) failure = set(pb.TaskFailureDetails, { Errormessage: "x", Innerfailure: failure }); return failure; };
  await matches(one.call("completeActivityTask", set(pb.ActivityResponse, { Completiontoken: "1-1-1-1", Failuredetails: nested(100) })), /^3 .*nested/, "a failure that is nested 100 levels deep");

  // Metadata.
  const get = (metadata) => one.call("getInstance", set(pb.GetInstanceRequest, { Instanceid: "listens" }), metadata);
  is((await get({ "x-large": "y".repeat(12000) })).getExists(), true, "metadata of 12 kB");
  await matches(get({ "x-large": "y".repeat(20000) }), /^8 .*headers/, "metadata of 20 kB");
  await matches(get(Object.fromEntries([...Array(500).keys()].map((i) => [`x-${i}`, "y"]))), /^8 .*headers/, "500 headers");
  await matches(get({ "x-large": "y".repeat(200000) }), /^(8|13|14) /, "metadata of 200 kB");
  await matches(get({ "grpc-timeout": "99999999H" }), /^no error/, "a deadline in a thousand years");
  is((await get({ workerid: "y".repeat(3000) })).getExists(), true, "a worker with a name of 3 kB");
  is((await get()).getExists(), true, "all that has held up nobody");
});
