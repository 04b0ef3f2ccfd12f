// Orchestrations in JavaScript, by the SDK's worker: every kind of action and of event, and the mixture with SQL.
"use strict";

const { TaskHubGrpcClient, TaskHubGrpcWorker, OrchestrationStatus: S, RetryPolicy, whenAll, whenAny } = require("@microsoft/durabletask-js");
const { check, is, matches, main, quiet, sleep } = require("./report");

const address = `localhost:${process.argv[2]}`;
let tries = 0;

function add(w) {
  w.addNamedActivity("hello", async (_, input) => `hello ${input}`);
  w.addNamedActivity("same", async (_, input) => input);
  w.addNamedActivity("unsteady", async () => { if (++tries < 3) throw new Error(`try ${tries}`); return tries; });
  w.addNamedActivity("never", async () => { throw new TypeError("never"); });
  w.addNamedOrchestrator("Sequence", async function* (ctx, input) {
    const all = [];
    for (let i = 0; i < 3; i++) all.push(yield ctx.callActivity("hello", `${input}${i}`));
    return all;
  });
  w.addNamedOrchestrator("FanOut", async function* (ctx, n) {
    const tasks = [];
    for (let i = 0; i < n; i++) tasks.push(ctx.callActivity("same", i));
    return (yield whenAll(tasks)).reduce((a, b) => a + b, 0);
  });
  w.addNamedOrchestrator("Retries", async function* (ctx) {
    return yield ctx.callActivity("unsteady", null, { retry: new RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 50 }) });
  });
  w.addNamedOrchestrator("Caught", async function* (ctx) {
    try { yield ctx.callActivity("never"); } catch (error) { return error.message; }
  });
  w.addNamedOrchestrator("Failing", async function* () { throw new RangeError("too far"); });
  w.addNamedOrchestrator("Timers", async function* (ctx) {
    const before = ctx.currentUtcDateTime.getTime();
    yield ctx.createTimer(0.3);
    return ctx.currentUtcDateTime.getTime() - before >= 300;
  });
  w.addNamedOrchestrator("Events", async function* (ctx) {
    ctx.setCustomStatus({ waits: "for two" });
    const first = yield ctx.waitForExternalEvent("One");
    const second = yield ctx.waitForExternalEvent("two");
    return [first, second];
  });
  w.addNamedOrchestrator("Race", async function* (ctx) {
    const event = ctx.waitForExternalEvent("Never");
    const timer = ctx.createTimer(0.2);
    return (yield whenAny([event, timer])) === timer ? "timer" : "event";
  });
  w.addNamedOrchestrator("Parent", async function* (ctx) {
    const [a, b] = yield whenAll([ctx.callSubOrchestrator("Sequence", "c"), ctx.callSubOrchestrator("double", 21)]);
    let c;
    try { c = yield ctx.callSubOrchestrator("Failing"); } catch (error) { c = error.message; }
    return { a, b, c };
  });
  w.addNamedOrchestrator("ParentRetries", async function* (ctx) {
    try {
      yield ctx.callSubOrchestrator("Failing", null, { retry: new RetryPolicy({ maxNumberOfAttempts: 3, firstRetryIntervalInMilliseconds: 20 }) });
    } catch (error) { return error.message; }
  });
  w.addNamedOrchestrator("Counts", async function* (ctx, n) {
    const event = yield ctx.waitForExternalEvent("tick");
    if (n + event < 6) { ctx.continueAsNew(n + event, true); return; }
    return n + event;
  });
  w.addNamedOrchestrator("Sender", async function* (ctx, target) { ctx.sendEvent(target, "One", 1); ctx.sendEvent(target, "two", 2); });
  w.addNamedOrchestrator("Effects", async function* (ctx, n) {
    const tasks = [];
    for (let i = 0; i < n; i++) tasks.push(ctx.callActivity("effect", i));
    return (yield whenAll(tasks)).length;
  });
  w.addNamedOrchestrator("Echo", async function* (_, input) { return input; });
  return w;
}

main(async () => {
  const c = new TaskHubGrpcClient({ hostAddress: address, logger: quiet });
  const workers = [0, 1].map(() => add(new TaskHubGrpcWorker({ hostAddress: address, logger: quiet })));
  for (const w of workers) await w.start();
  const start = (name, input, id) => c.scheduleNewOrchestration(name, input, id);
  const end = (id) => c.waitForOrchestrationCompletion(id, true, 60);
  const run = async (name, input) => end(await start(name, input));
  const output = async (name, input) => { const s = await run(name, input); return s.runtimeStatus === S.COMPLETED ? JSON.parse(s.serializedOutput) : `${s.runtimeStatus}: ${s.failureDetails?.message}`; };

  is(await output("Sequence", "x"), ["hello x0", "hello x1", "hello x2"], "one activity after the other");
  is(await output("FanOut", 40), 780, "forty at a time");
  is(await output("Retries"), 3, "an activity that fails is tried again, as the SDK wants");
  is(await output("Caught"), "Activity task #1 failed: never", "a failure can be caught");
  let state = await run("Failing");
  is([state.runtimeStatus, state.failureDetails.message, state.failureDetails.errorType], [S.FAILED, "too far", "RangeError"], "a failure of the orchestration");
  check(/orchestrations\.js/.test(state.failureDetails.stackTrace), "with its stack");
  is(await output("Timers"), true, "a timer, and the time after it");
  is(await output("Race"), "timer", "a wait for the first of two");
  is(await output("Parent"), { a: ["hello c0", "hello c1", "hello c2"], b: 42, c: "Sub-orchestration task #3 failed: too far" }, "sub-orchestrations in JavaScript and SQL");
  check(/^Sub-orchestration task #\d+ failed: too far$/.test(await output("ParentRetries")), "a sub-orchestration is tried again under its id");

  await start("Events", null, "events");
  for (let i = 0; i < 200 && !(await c.getOrchestrationState("events", true)).serializedCustomStatus; i++) await sleep(20);
  is((await c.getOrchestrationState("events", true)).serializedCustomStatus, '{"waits":"for two"}', "a custom status");
  await c.suspendOrchestration("events");
  await c.raiseOrchestrationEvent("events", "two", "b");
  for (let i = 0; i < 200 && (await c.getOrchestrationState("events", false)).runtimeStatus !== S.SUSPENDED; i++) await sleep(20);
  await c.raiseOrchestrationEvent("events", "ONE", { z: 1, a: [] });
  await sleep(300);
  is((await c.getOrchestrationState("events", false)).runtimeStatus, S.SUSPENDED, "suspended, whatever comes");
  await c.resumeOrchestration("events");
  is(JSON.parse((await end("events")).serializedOutput), [{ z: 1, a: [] }, "b"], "events in another order, and in another case, arrive after the resumption");
  await start("Events", null, "target");
  await run("Sender", "target");
  is(JSON.parse((await end("target")).serializedOutput), [1, 2], "events from an orchestration to another one");

  await start("Counts", 0, "counts");
  for (let i = 0; i < 3; i++) await c.raiseOrchestrationEvent("counts", "Tick", 2);
  is((await end("counts")).serializedOutput, "6", "continued as new, with the events that were left");
  await start("Events", null, "ended");
  await c.terminateOrchestration("ended", { z: "x", a: 1 });
  state = await end("ended");
  is([state.runtimeStatus, state.serializedOutput], [S.TERMINATED, '{"z":"x","a":1}'], "terminated, with the output as it was");
  const odd = '{"z": 1,  "a":"\\u00e4 \\" {\\"$text\\": 1}", "1e2": 1e2}';
  state = await run("Echo", JSON.parse(odd));
  is([state.serializedInput, state.serializedOutput], [JSON.stringify(JSON.parse(odd)), JSON.stringify(JSON.parse(odd))], "payloads come back byte for byte");
  is(await c.restartOrchestration("events", false), "events", "restarted in place");
  await c.terminateOrchestration("events", 1);
  await end("events");
  await matches(c.rewindInstance("events", "x"), /not allow/, "orchestrations of workers are not rewound, and the message says so");

  is(await output("Effects", 20), 20, "activities in SQL, called from JavaScript");
  const history = await c.getOrchestrationHistory((await run("Sequence", "h")).instanceId);
  is(history.map((e) => e.type), ["OrchestratorStarted", "ExecutionStarted", "TaskScheduled", "OrchestratorStarted", "TaskCompleted", "TaskScheduled", "OrchestratorStarted",
    "TaskCompleted", "TaskScheduled", "OrchestratorStarted", "TaskCompleted", "ExecutionCompleted"], "a history");
  is(history.filter((e) => e.type === "TaskScheduled").map((e) => e.eventId), [1, 2, 3], "with the ids of the SDK");

  // What SQL has started before anybody knew of it.
  is((await end("from-sql")).serializedOutput, '["hello s0","hello s1","hello s2"]', "an orchestration in JavaScript, started by SQL");
  state = await run("sql_parent", "p");
  is(JSON.parse(state.serializedOutput), ["hello p0", "hello p1", "hello p2"], "or called as a sub-orchestration by one in SQL");
  is(await c.getOrchestrationState("rolled-back", false), undefined, "and none by a transaction that was rolled back");

  // Many at a time, with a worker that stops.
  const ids = await Promise.all([...Array(60).keys()].map((i) => start("Sequence", `m${i}-`)));
  await workers[0].stop();
  const ends = await Promise.all(ids.map(end));
  is(ends.filter((s) => s.runtimeStatus === S.COMPLETED).length, 60, "sixty at a time, while a worker stops");
  await workers[1].stop();
  await c.stop();
});
