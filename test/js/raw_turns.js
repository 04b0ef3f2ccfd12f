// A worker for orchestrations that says by the SDK's generated stubs what the SDK's own worker does not say: abandoned turns, answers in parts,
// answers that cannot be carried out, traces, versions; and what clients may do with ids that are taken.
"use strict";

const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb");
const { Int32Value } = require("google-protobuf/google/protobuf/wrappers_pb");
const { check, is, matches, main, sleep } = require("./report");
const { stub, call, text, work, connect } = require("./stubs");

const S = pb.OrchestrationStatus;
const RUNNING = S.ORCHESTRATION_STATUS_RUNNING, COMPLETED = S.ORCHESTRATION_STATUS_COMPLETED, FAILED = S.ORCHESTRATION_STATUS_FAILED,
  TERMINATED = S.ORCHESTRATION_STATUS_TERMINATED, PENDING = S.ORCHESTRATION_STATUS_PENDING, AS_NEW = S.ORCHESTRATION_STATUS_CONTINUED_AS_NEW;

function trace(parent) {
  const context = new pb.TraceContext();
  context.setTraceparent(parent);
  return context;
}

function start(id, name, { input, version, statuses, traceparent } = {}) {
  const request = new pb.CreateInstanceRequest();
  request.setInstanceid(id);
  request.setName(name);
  if (input !== undefined) request.setInput(text(input));
  if (version !== undefined) request.setVersion(text(version));
  if (traceparent !== undefined) request.setParenttracecontext(trace(traceparent));
  if (statuses) {
    const policy = new pb.OrchestrationIdReusePolicy();
    policy.setReplaceablestatusList(statuses);
    request.setOrchestrationidreusepolicy(policy);
  }
  return call("startInstance", request);
}

async function state(id) {
  const request = new pb.GetInstanceRequest();
  request.setInstanceid(id);
  request.setGetinputsandoutputs(true);
  return (await call("getInstance", request)).getOrchestrationstate();
}

async function becomes(id, status) {
  for (let i = 0; i < 400 && (await state(id))?.getOrchestrationstatus() !== status; i++) await sleep(25);
  return state(id);
}

function action(id, set) {
  const one = new pb.OrchestratorAction();
  one.setId(id);
  set(one);
  return one;
}

const scheduled = (id, name, { input, traceparent, version } = {}) => action(id, (a) => {
  const task = new pb.ScheduleTaskAction();
  task.setName(name);
  if (input !== undefined) task.setInput(text(input));
  if (version !== undefined) task.setVersion(text(version));
  if (traceparent !== undefined) task.setParenttracecontext(trace(traceparent));
  a.setScheduletask(task);
});

const completed = (id, status, { result, version, carryover = [], message } = {}) => action(id, (a) => {
  const end = new pb.CompleteOrchestrationAction();
  end.setOrchestrationstatus(status);
  if (result !== undefined) end.setResult(text(result));
  if (version !== undefined) end.setNewversion(text(version));
  for (const [name, input] of carryover) {
    const raised = new pb.EventRaisedEvent();
    raised.setName(name);
    raised.setInput(text(input));
    const event = new pb.HistoryEvent();
    event.setEventid(-1);
    event.setEventraised(raised);
    end.addCarryoverevents(event);
  }
  if (message !== undefined) {
    const failure = new pb.TaskFailureDetails();
    failure.setErrormessage(message);
    end.setFailuredetails(failure);
  }
  a.setCompleteorchestration(end);
});

function complete(token, actions, { partial, chunk, spans, id, status, requiresHistory } = {}) {
  const response = new pb.OrchestratorResponse();
  response.setCompletiontoken(token);
  if (id !== undefined) response.setInstanceid(id);
  response.setActionsList(actions);
  if (partial !== undefined) response.setIspartial(partial);
  if (chunk !== undefined) response.setChunkindex(new Int32Value([chunk]));
  if (status !== undefined) response.setCustomstatus(text(status));
  if (requiresHistory) response.setRequireshistory(true);
  if (spans !== undefined) {
    const context = new pb.OrchestrationTraceContext();
    context.setSpanid(text(spans));
    response.setOrchestrationtracecontext(context);
  }
  return call("completeOrchestratorTask", response);
}

function raise(id, name, input) {
  const request = new pb.RaiseEventRequest();
  request.setInstanceid(id);
  request.setName(name);
  request.setInput(text(input));
  return call("raiseEvent", request);
}

function answerTask(item) {
  const response = new pb.ActivityResponse();
  response.setCompletiontoken(item.getCompletiontoken());
  response.setResult(text("1"));
  return call("completeActivityTask", response);
}

function abandon(token) {
  const request = new pb.AbandonOrchestrationTaskRequest();
  request.setCompletiontoken(token);
  return call("abandonTaskOrchestratorWorkItem", request);
}

// Only turns of these names, so that each case has its own.
const turns = (names, connection = { work }) => connection.work((request) => {
  const filters = new pb.WorkItemFilters();
  for (const [name, ...versions] of names) {
    const filter = new pb.OrchestrationFilter();
    filter.setName(name);
    filter.setVersionsList(versions);
    filters.addOrchestrations(filter);
  }
  request.setWorkitemfilters(filters);
});
const activities = (names) => work((request) => {
  const filters = new pb.WorkItemFilters();
  for (const name of names) { const filter = new pb.ActivityFilter(); filter.setName(name); filters.addActivities(filter); }
  request.setWorkitemfilters(filters);
});
const started = (item) => [...item.getOrchestratorrequest().getPasteventsList(), ...item.getOrchestratorrequest().getNeweventsList()]
  .map((e) => e.getExecutionstarted()).find((e) => e);
const types = (events) => events.map((e) => Object.keys(pb.HistoryEvent.EventtypeCase).find((k) => pb.HistoryEvent.EventtypeCase[k] === e.getEventtypeCase()));

main(async () => {
  // Abandoned turns, and tokens that are no longer good.
  let w = turns([["Abandoned"]]);
  await start("abandoned", "Abandoned", { input: "1" });
  let first = await w.next();
  await abandon(first.getCompletiontoken());
  let second = await w.next(2);
  check(second.getCompletiontoken() !== first.getCompletiontoken(), "an abandoned turn is handed out again, with another token");
  await complete(first.getCompletiontoken(), [completed(1, COMPLETED, { result: '"late"' })]);
  is((await state("abandoned")).getOrchestrationstatus(), PENDING, "the old token is worth nothing");
  await matches(complete("1-2-3", []), /^5 /, "a token that never was");
  await matches(complete("", [], { id: "nobody" }), /^5 /, "no token, and no turn of that instance");
  await complete("", [completed(1, COMPLETED, { result: '"by its id"' })], { id: "abandoned" });
  is((await becomes("abandoned", COMPLETED)).getOutput().getValue(), '"by its id"', "without a token the instance tells which turn it is");
  await complete(second.getCompletiontoken(), [completed(1, COMPLETED, { result: '"twice"' })]);
  is((await state("abandoned")).getOutput().getValue(), '"by its id"', "an answer that comes twice changes nothing");
  w.stream.cancel();

  // What one worker after the other abandons comes back later each time.
  w = turns([["Refused"]]);
  await start("refused", "Refused");
  const pauses = [];
  for (let i = 1; i <= 3; i++) {
    const item = await w.next(i);
    const since = Date.now();
    await abandon(item.getCompletiontoken());
    await w.next(i + 1);
    pauses.push(Date.now() - since);
  }
  check(pauses[0] >= 900 && pauses[1] >= 1900 && pauses[2] >= 3900, `abandoned turns come back after 1, 2 and 4 s: ${pauses}`);
  await complete(w.items[3].getCompletiontoken(), [completed(1, COMPLETED)]);
  w.stream.cancel();

  // A sub-orchestration knows the call by the number that the SDK has given it.
  w = turns([["Parent"], ["Child"]]);
  await start("parent-of-7", "Parent");
  const created = action(7, (a) => {
    const sub = new pb.CreateSubOrchestrationAction();
    sub.setName("Child");
    sub.setInstanceid("child-7");
    a.setCreatesuborchestration(sub);
  });
  await complete((await w.next()).getCompletiontoken(), [created]);
  const child = started(await w.next(2)).getParentinstance();
  is([child.getTaskscheduledid(), child.getName().getValue(), child.getOrchestrationinstance().getInstanceid()], [7, "Parent", "parent-of-7"], "the child's parent and its number for the call");
  await complete(w.items[1].getCompletiontoken(), [completed(1, COMPLETED, { result: '"seven"' })]);
  const told = (await w.next(3)).getOrchestratorrequest().getNeweventsList().find((e) => e.hasSuborchestrationinstancecompleted());
  is(told.getSuborchestrationinstancecompleted().getTaskscheduledid(), 7, "and so does its answer");
  await complete(w.items[2].getCompletiontoken(), [completed(8, COMPLETED)]);
  w.stream.cancel();

  // A worker that is cut off: its turn is another one's at once.
  const other = connect();
  const lost = turns([["Cut"]], other);
  await start("cut", "Cut");
  await lost.next();
  const since = Date.now();
  other.stub.close();
  lost.stream.cancel();
  w = turns([["Cut"]]);
  await complete((await w.next()).getCompletiontoken(), [completed(1, COMPLETED)]);
  check(Date.now() - since < 15000, "a turn of a worker that is gone is handed out again before its lease ends", Date.now() - since);
  await becomes("cut", COMPLETED);
  w.stream.cancel();

  // Answers in parts.
  w = turns([["Parts"]]);
  const tasks = activities(["part"]);
  await start("parts", "Parts");
  first = await w.next();
  await complete(first.getCompletiontoken(), [scheduled(1, "part", { input: "1" }), scheduled(2, "part", { input: "2" })], { partial: true });
  is(tasks.items.length, 0, "a part alone does nothing");
  await complete(first.getCompletiontoken(), [scheduled(3, "part", { input: "3" })], { partial: false });
  await tasks.next(3);
  is(tasks.items.map((i) => i.getActivityrequest().getInput().getValue()).sort(), ["1", "2", "3"], "the parts are joined");
  is(tasks.items.map((i) => i.getActivityrequest().getTaskid()).sort(), [1, 2, 3], "with the ids of the actions");
  tasks.stream.cancel();
  w.stream.cancel();

  // With numbers, as .NET sends them: what comes twice counts once, what is missing is noticed, and one part has the trace and the status.
  w = turns([["Numbered"]]);
  const numbered = activities(["numbered"]);
  await start("numbered", "Numbered");
  first = await w.next();
  const part = (n, options) => complete(first.getCompletiontoken(), [scheduled(n + 1, "numbered", { input: String(n) })], { chunk: n, ...options });
  await part(0, { partial: true, spans: "span of the first part", status: "status of the first part" });
  await part(0, { partial: true });
  await matches(part(2, { partial: true }), /^3 .*part 1 has not/, "a part that comes before its predecessor");
  await part(1, { partial: true });
  await part(2, { partial: false });
  await numbered.next(3);
  await sleep(500);
  is(numbered.items.map((i) => i.getActivityrequest().getInput().getValue()).sort(), ["0", "1", "2"], "each part counts once");
  is((await state("numbered")).getCustomstatus().getValue(), "status of the first part", "the status of a part is that of the answer");
  await answerTask(numbered.items[0]);
  is((await w.next(2)).getOrchestratorrequest().getOrchestrationtracecontext().getSpanid().getValue(), "span of the first part", "and so is its trace");

  // A worker that has forgotten the history gets the turn again.
  await complete(w.items[1].getCompletiontoken(), [], { requiresHistory: true });
  is(types((await w.next(3)).getOrchestratorrequest().getPasteventsList()), types(w.items[1].getOrchestratorrequest().getPasteventsList()), "a turn whose worker lacks the history is handed out again");
  await complete(w.items[2].getCompletiontoken(), [completed(9, COMPLETED)]);
  await becomes("numbered", COMPLETED);
  numbered.stream.cancel();
  w.stream.cancel();

  // A worker that can ask for the history: that of a large turn does not come with it.
  const streaming = () => work((request) => {
    const filters = new pb.WorkItemFilters();
    const filter = new pb.OrchestrationFilter();
    filter.setName("Streamed");
    filters.addOrchestrations(filter);
    request.setWorkitemfilters(filters);
    request.addCapabilities(pb.WorkerCapability.WORKER_CAPABILITY_HISTORY_STREAMING);
  });
  const history = (id, forWork) => new Promise((done, fail) => {
    const request = new pb.StreamInstanceHistoryRequest();
    request.setInstanceid(id);
    request.setForworkitemprocessing(forWork);
    const events = [];
    let largest = 0;
    const stream = stub.streamInstanceHistory(request);
    stream.on("data", (chunk) => { events.push(...chunk.getEventsList()); largest = Math.max(largest, chunk.serializeBinary().length); });
    stream.on("error", fail);
    stream.on("end", () => done({ events, largest }));
  });
  w = streaming();
  await start("streamed", "Streamed");
  let large = await w.next();
  is(large.getOrchestratorrequest().getRequireshistorystreaming(), false, "a small turn comes with its history");
  for (let i = 0; i < 20; i++) await raise("streamed", `event ${i}`, "x".repeat(100000));
  await complete(large.getCompletiontoken(), []);
  for (let n = 2; !large.getOrchestratorrequest().getRequireshistorystreaming() && n < 30; n++) {
    large = await w.next(n);
    await raise("streamed", `more ${n}`, "y");
    if (!large.getOrchestratorrequest().getRequireshistorystreaming()) await complete(large.getCompletiontoken(), []);
  }
  is([large.getOrchestratorrequest().getRequireshistorystreaming(), large.getOrchestratorrequest().getPasteventsList()], [true, []], "a large one does not");
  const { events, largest } = await history("streamed", true);
  const fresh = large.getOrchestratorrequest().getNeweventsList();
  is([types(events).slice(0, 2), events.filter((e) => e.hasEventraised()).length + fresh.filter((e) => e.hasEventraised()).length >= 20],
    [["ORCHESTRATORSTARTED", "EXECUTIONSTARTED"], true], "its past events are there when the worker asks for them");
  const known = new Set(fresh.filter((e) => e.hasEventraised()).map((e) => e.getEventraised().getName()));
  check(!events.some((e) => e.hasEventraised() && known.has(e.getEventraised().getName())), "without the new ones, which it has");
  check(largest < 600000, "in messages that are not large", largest);
  await complete(large.getCompletiontoken(), [completed(1, COMPLETED)]);
  await becomes("streamed", COMPLETED);
  await matches(history("streamed", true), /^5 /, "for a turn that is not out there is none");
  check((await history("streamed", false)).events.length > 22, "and the history for clients is there all the time");
  w.stream.cancel();

  // Traces go around.
  w = turns([["Traced"]]);
  const traced = activities(["traced"]);
  await start("traced", "Traced", { traceparent: "00-aa-bb-01" });
  first = await w.next();
  is(started(first).getParenttracecontext().getTraceparent(), "00-aa-bb-01", "the trace of the client is in ExecutionStarted");
  is(first.getOrchestratorrequest().getOrchestrationtracecontext(), undefined, "the first turn has no trace of a turn");
  await complete(first.getCompletiontoken(), [scheduled(1, "traced", { traceparent: "00-cc-dd-01" })], { spans: "span" });
  const task = await traced.next();
  is(task.getActivityrequest().getParenttracecontext().getTraceparent(), "00-cc-dd-01", "the trace of the call is that of the activity");
  const answer = new pb.ActivityResponse();
  answer.setCompletiontoken(task.getCompletiontoken());
  answer.setResult(text('{"b": 1,  "a": 1.0}'));
  await call("completeActivityTask", answer);
  second = await w.next(2);
  is(second.getOrchestratorrequest().getOrchestrationtracecontext().getSpanid().getValue(), "span", "what a turn leaves comes with the next one");
  is(types(second.getOrchestratorrequest().getPasteventsList()), ["ORCHESTRATORSTARTED", "EXECUTIONSTARTED", "TASKSCHEDULED"], "past events");
  is(types(second.getOrchestratorrequest().getNeweventsList()), ["ORCHESTRATORSTARTED", "TASKCOMPLETED"], "new events");
  is(second.getOrchestratorrequest().getNeweventsList()[1].getTaskcompleted().getResult().getValue(), '{"b": 1,  "a": 1.0}', "the result as the activity has written it");
  traced.stream.cancel();

  // Continued as new: a new execution, its version, and the events that were kept.
  await complete(second.getCompletiontoken(), [completed(2, AS_NEW, { result: "next", version: "2.0", carryover: [["kept", "1"], ["too", "2"]] })]);
  const third = await w.next(3);
  is([started(third).getInput().getValue(), started(third).getVersion().getValue()], ["next", "2.0"], "the input and the version of the next execution");
  check(third.getOrchestratorrequest().getExecutionid().getValue() !== second.getOrchestratorrequest().getExecutionid().getValue(), "which has an id of its own");
  is(third.getOrchestratorrequest().getNeweventsList().map((e) => e.getEventraised()?.getInput().getValue()).filter((i) => i), ["1", "2"], "the events that were carried over");
  is(third.getOrchestratorrequest().getPasteventsList().length, 0, "and no past");
  await complete(third.getCompletiontoken(), [completed(-1, FAILED, { message: "" })]);
  is((await becomes("traced", FAILED)).getFailuredetails().getErrormessage(), "", "a failure without a message");
  w.stream.cancel();

  // A span of zeros is what a worker without a tracer sends.
  w = turns([["Untraced"]]);
  const untraced = activities(["untraced"]);
  await start("untraced", "Untraced");
  first = await w.next();
  await complete(first.getCompletiontoken(), [scheduled(1, "untraced")], { spans: "0".repeat(16) });
  await answerTask(await untraced.next());
  second = await w.next(2);
  is(second.getOrchestratorrequest().getOrchestrationtracecontext(), undefined, "a trace that is not valid does not come back");
  await complete(second.getCompletiontoken(), [completed(2, COMPLETED)], { spans: "0".repeat(16) });
  await becomes("untraced", COMPLETED);
  untraced.stream.cancel();
  w.stream.cancel();

  // Answers that cannot be carried out end the instance, and nothing else.
  w = turns([["Bad"], ["Good"]]);
  for (const id of ["bad-timer", "bad-status", "bad-name", "good"]) await start(id, id === "good" ? "Good" : "Bad");
  await w.next(4);
  const token = (id) => w.items.find((i) => i.getOrchestratorrequest().getInstanceid() === id).getCompletiontoken();
  await Promise.all([
    complete(token("bad-timer"), [action(1, (a) => a.setCreatetimer(new pb.CreateTimerAction()))]),
    complete(token("bad-status"), [completed(1, PENDING)]),
    complete(token("bad-name"), [scheduled(1, "")]),
    complete(token("good"), [completed(1, COMPLETED, { result: "fine" })])]);
  for (const [id, why] of [["bad-timer", /action 1/], ["bad-status", /action 1/], ["bad-name", /name/]]) {
    const failed = await becomes(id, FAILED);
    check(failed.getOrchestrationstatus() === FAILED && why.test(failed.getFailuredetails().getErrormessage()), `${id}: the instance fails, and says why`, failed.getFailuredetails()?.getErrormessage());
  }
  is((await becomes("good", COMPLETED)).getOutput().getValue(), "fine", "the answer beside them is carried out");
  w.stream.cancel();

  // Versions.
  const old = turns([["Versioned", "1.0"]]);
  await start("v2", "Versioned", { version: "2.0" });
  await start("v1", "Versioned", { version: "1.0" });
  is((await old.next()).getOrchestratorrequest().getInstanceid(), "v1", "a worker of one version gets that");
  await sleep(500);
  is(old.items.length, 1, "and not the other");
  w = turns([["Versioned", "2.0", "3.0"]]);
  is((await w.next()).getOrchestratorrequest().getInstanceid(), "v2", "which another worker gets");
  await complete(old.items[0].getCompletiontoken(), [completed(1, COMPLETED)]);
  await complete(w.items[0].getCompletiontoken(), [completed(1, COMPLETED)]);
  old.stream.cancel();
  w.stream.cancel();

  // Ids that are taken.
  await start("taken", "Nobody", { input: "1" });
  await matches(start("taken", "Nobody"), /^6 /, "an id that is in use, without a policy");
  await matches(start("taken", "Nobody", { statuses: [COMPLETED] }), /^6 /, "with a policy for others");
  await matches(start("taken", "Nobody", { statuses: [RUNNING] }), /^3 .*Invalid reusable statuses/, "with a policy that contradicts itself");
  await start("taken", "Nobody", { input: "2", statuses: [RUNNING, PENDING, TERMINATED] });
  is([(await state("taken")).getOrchestrationstatus(), (await state("taken")).getInput().getValue()], [PENDING, "2"], "with one that covers it, it is terminated and replaced");
  await matches(start("taken", "Nobody", { statuses: [TERMINATED] }), /^6 /, "but not if it is in another status");
  const terminate = new pb.TerminateRequest();
  terminate.setInstanceid("taken");
  await call("terminateInstance", terminate);
  await becomes("taken", TERMINATED);
  await start("taken", "Nobody", { input: "3", statuses: [TERMINATED] });
  is((await state("taken")).getInput().getValue(), "3", "one that has ended is replaced");
  await Promise.all([...Array(40).keys()].map((i) => start(`many-${i % 20}`, "Nobody", { input: String(i) }).catch((error) => error.code)))
    .then((codes) => is(codes.filter((c) => c === 6).length, 20, "of two starts of an id at the same time one is refused"));
});
