// What applications expect of a backend of the Durable Task SDK, case by case. Each case has orchestrations and activities of its own names,
// so all of them run at the same time on one worker; cases with options of the worker have a worker of their own.
"use strict";

const sdk = require("@microsoft/durabletask-js");
const { TaskHubGrpcClient, TaskHubGrpcWorker, OrchestrationStatus: S, RetryPolicy, VersionMatchStrategy: Match, VersionFailureStrategy: Failure,
  terminateOptions, whenAll } = sdk;
const { check, is, matches, main, quiet, sleep } = require("./report");

const options = { hostAddress: `localhost:${process.argv[2]}`, logger: quiet };
const client = new TaskHubGrpcClient(options);
const worker = new TaskHubGrpcWorker({ ...options, workItemFilters: "auto" });
const cases = [];
const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

const orchestrator = (name, fn, w = worker) => (w.addNamedOrchestrator(name, fn), name);
const activity = (name, fn, w = worker) => (w.addNamedActivity(name, fn), name);
const end = (id, payloads) => client.waitForOrchestrationCompletion(id, payloads, 60);
const start = (name, input, more) => client.scheduleNewOrchestration(name, input, more);
const run = async (name, input, more) => end(await start(name, input, more));
const add = (name, body) => cases.push([name, body]);
const until = async (what) => { for (let i = 0; i < 600; i++) { if (await what()) return true; await sleep(50); } return false; };

// A worker of its own for one case.
async function withWorker(more, prepare, body) {
  const w = new TaskHubGrpcWorker({ ...options, ...more });
  prepare(w);
  await w.start();
  try { await body(); } finally { await w.stop(); }
}

// ---- orchestrations and activities

const empty = orchestrator("b_empty", async () => {});
add("an empty orchestration", async () => {
  const id = await start(empty);
  const state = await end(id);
  is([state.name, state.instanceId, state.runtimeStatus, state.failureDetails], [empty, id, S.COMPLETED, undefined], "an empty orchestration completes");
});

add("tags", async () => {
  const tags = { env: "test", owner: "durable", "ä \"": "" };
  is((await run(empty, undefined, { tags })).tags, tags, "the tags of an instance come back");
});

activity("b_plus_one", async (_, n) => n + 1);
const sequence = orchestrator("b_sequence", async function* (ctx, n) {
  const all = [n];
  for (let i = 0; i < 10; i++) all.push(n = yield ctx.callActivity("b_plus_one", n));
  return all;
});
add("a sequence", async () => {
  const state = await run(sequence, 1);
  is([state.serializedInput, state.serializedOutput], ["1", "[1,2,3,4,5,6,7,8,9,10,11]"], "ten activities, one after the other");
});

let slow = 0;
activity("b_fast_failure", async () => { throw new Error("a fast failure"); });
activity("b_slow", async () => { await sleep(1000); slow++; });
activity("b_slow_failure", async () => { await sleep(1000); throw new Error("a slow failure"); });
const caught = orchestrator("b_caught", async function* (ctx) {
  try { yield whenAll([ctx.callActivity("b_fast_failure"), ctx.callActivity("b_slow", "a"), ctx.callActivity("b_slow", "b")]); } catch { return "handled"; }
});
const uncaught = orchestrator("b_uncaught", async function* (ctx) { yield whenAll([ctx.callActivity("b_fast_failure"), ctx.callActivity("b_slow")]); });
const last = orchestrator("b_last", async function* (ctx) { yield whenAll([ctx.callActivity("b_plus_one", 1), ctx.callActivity("b_slow_failure")]); });
add("answers after the end", async () => {
  const id = await start(caught);
  is((await end(id)).serializedOutput, '"handled"', "the first failure ends a whenAll");
  await until(() => slow >= 2);
  await sleep(1000);
  const state = await client.getOrchestrationState(id);
  is([state.runtimeStatus, state.serializedOutput], [S.COMPLETED, '"handled"'], "answers that come after the end change nothing");
});
add("a failure of whenAll", async () => {
  const state = await run(uncaught);
  check(state.runtimeStatus === S.FAILED && /a fast failure/.test(state.failureDetails.message) && !/already completed/.test(state.failureDetails.message),
    "the failure of a whenAll keeps its message", state.failureDetails?.message);
});
add("the last one fails", async () => {
  check(/a slow failure/.test((await run(last)).failureDetails?.message), "a failure of the last task of a whenAll is seen");
});

const echo = orchestrator("b_echo", async (_, input) => input);
const echoActivity = orchestrator("b_echo_activity", async function* (ctx, input) { return yield ctx.callActivity("b_same", input); });
const echoChild = orchestrator("b_echo_child", async function* (ctx, input) { return yield ctx.callSubOrchestrator("b_echo", input); });
activity("b_same", async (_, input) => input);
for (const value of [0, "", false, null, "a \u{1f600} \"\\ \n", { a: [1, { b: null }] }, [], -0.5, 1e300])
  add(`payload ${JSON.stringify(value)}`, async () => {
    const json = JSON.stringify(value);
    const states = await Promise.all([echo, echoActivity, echoChild].map((name) => run(name, value)));
    is(states.map((s) => [s.runtimeStatus, s.serializedOutput]), states.map(() => [S.COMPLETED, json]), `${json} passes through an orchestration, an activity, a child`);
    if (value !== null) is(states[0].serializedInput, json, `and is the input of the state`);
  });

// ---- retries

const attempts = {};
const policy = (more) => new RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 100, backoffCoefficient: 1.0, ...more });
const failTimes = (name, times, make = (n) => new Error(`attempt ${n} of ${name}`)) => {
  attempts[name] = [];
  return activity(name, async (_, input) => {
    attempts[name].push(Date.now());
    if (attempts[name].length <= times) throw make(attempts[name].length);
    return input;
  });
};
const retried = (name, retry) => orchestrator(`${name}_retried`, async function* (ctx, input) { return yield ctx.callActivity(name, input, { retry }); });
const named = (name, message = name) => Object.assign(new Error(message), { name });
const delays = (name) => attempts[name].slice(1).map((at, i) => at - attempts[name][i]);

failTimes("b_twice", 2);
const twice = retried("b_twice", policy());
add("a retried activity", async () => {
  is([(await run(twice, 42)).serializedOutput, attempts.b_twice.length], ["42", 3], "two failures, then success");
});
failTimes("b_always", 99);
const always = retried("b_always", policy({ maxNumberOfAttempts: 3 }));
add("retries without success", async () => {
  const state = await run(always);
  is([state.runtimeStatus, attempts.b_always.length], [S.FAILED, 3], "all attempts fail");
});
failTimes("b_backoff", 2);
const backoff = retried("b_backoff", policy({ firstRetryIntervalInMilliseconds: 500, backoffCoefficient: 2.0 }));
add("exponential backoff", async () => {
  await run(backoff, 1);
  const [first, second] = delays("b_backoff");
  check(first >= 500 && second >= 1000, "the delay doubles", `delays of ${first} and ${second} ms`);
});
failTimes("b_capped", 3);
const capped = retried("b_capped", policy({ firstRetryIntervalInMilliseconds: 200, backoffCoefficient: 100.0, maxRetryIntervalInMilliseconds: 300 }));
add("a largest delay", async () => {
  is((await run(capped, 1)).serializedOutput, "1", "with a largest delay");
  check(Math.max(...delays("b_capped")) < 15000, "which is kept", `delays of ${delays("b_capped")} ms`);
});
failTimes("b_timeout", 99);
const timeout = orchestrator("b_timeout_retried", async function* (ctx, limit) {
  return yield ctx.callActivity("b_timeout", null, { retry: policy({ maxNumberOfAttempts: 1000, firstRetryIntervalInMilliseconds: 500, retryTimeoutInMilliseconds: limit }) });
});
add("a time for all attempts", async () => {
  // The time begins before the first attempt, which a busy machine delays.
  const before = Date.now();
  await run(echoActivity, 1);
  const limit = Math.min(4000 + 5 * (Date.now() - before), 40000);
  const state = await run(timeout, limit);
  check(state.runtimeStatus === S.FAILED && attempts.b_timeout.length >= 2 && attempts.b_timeout.length <= limit / 500 + 1,
    "attempts end in time", `${attempts.b_timeout.length} attempts in ${limit} ms`);
});
failTimes("b_transient", 2, (n) => named("TransientError", `transient ${n}`));
const transient = retried("b_transient", policy({ handleFailure: (f) => f.errorType === "TransientError" }));
failTimes("b_permanent", 99, () => named("PermanentError"));
const permanent = retried("b_permanent", policy({ handleFailure: (f) => f.errorType !== "PermanentError" }));
failTimes("b_text", 99, (n) => new Error(n === 1 ? "timeout of a connection" : "field is required"));
const text = retried("b_text", policy({ handleFailure: (f) => !!f.message?.includes("timeout") }));
add("which failures are retried", async () => {
  is([(await run(transient, 1)).runtimeStatus, attempts.b_transient.length], [S.COMPLETED, 3], "those of a class");
  is([(await run(permanent)).runtimeStatus, attempts.b_permanent.length], [S.FAILED, 1], "but not those of another one");
  is([(await run(text)).runtimeStatus, attempts.b_text.length], [S.FAILED, 2], "or by the message");
});
let children = 0, fatal = 0;
orchestrator("b_flaky_child", async function* (_, input) { if (++children < 2) throw new Error("once"); return input * 3; });
const flakyChild = orchestrator("b_flaky_parent", async function* (ctx, input) { return yield ctx.callSubOrchestrator("b_flaky_child", input, { retry: policy() }); });
orchestrator("b_fatal_child", async function* () { throw named(++fatal === 1 ? "RetryableError" : "FatalError"); });
const fatalChild = orchestrator("b_fatal_parent", async function* (ctx) {
  return yield ctx.callSubOrchestrator("b_fatal_child", undefined, { retry: policy({ handleFailure: (f) => f.errorType === "RetryableError" }) });
});
add("retried children", async () => {
  is([(await run(flakyChild, 7)).serializedOutput, children], ["21", 2], "a child fails once");
  is([(await run(fatalChild)).runtimeStatus, fatal], [S.FAILED, 2], "a child fails with a failure that is retried, and with one that is not");
});
attempts.b_handler = [];
activity("b_handler", async () => { attempts.b_handler.push(Date.now()); if (attempts.b_handler.length < 3) throw new Error("handled"); return "done"; });
const handler = orchestrator("b_handled", async function* (ctx) {
  return yield ctx.callActivity("b_handler", undefined, { retry: async (r) => r.lastAttemptNumber < 5 && /handled/.test(r.lastFailure.message) });
});
add("a function decides on retries", async () => {
  is([(await run(handler)).serializedOutput, attempts.b_handler.length], ['"done"', 3], "a function decides on retries");
});

// ---- determinism, status, time

const guids = orchestrator("b_guids", async function* (ctx) {
  const all = [ctx.newGuid(), ctx.newGuid()];
  yield ctx.createTimer(0.5);
  return [...all, ctx.newGuid(), ctx.newGuid()];
});
add("GUIDs", async () => {
  const all = JSON.parse((await run(guids)).serializedOutput);
  check(all.every((g) => guid.test(g)) && new Set(all).size === 4, "GUIDs differ, and are the same in each replay", all);
});
const timer = orchestrator("b_timer", async function* (ctx) { yield ctx.createTimer(2); });
add("a timer", async () => {
  const state = await run(timer);
  check(state.lastUpdatedAt - state.createdAt >= 2000, "a timer of two seconds takes two seconds", `${state.createdAt.toISOString()} to ${state.lastUpdatedAt.toISOString()}`);
});
const logs = [];
const logging = orchestrator("b_logging", async function* (ctx) {
  const log = ctx.createReplaySafeLogger({ ...quiet, info: (m) => logs.push(m) });
  log.info("before");
  yield ctx.createTimer(0.5);
  log.info("after");
});
add("a log without replays", async () => {
  await run(logging);
  is(logs, ["before", "after"], "isReplaying is true for what has been before");
});
const custom = orchestrator("b_custom", async function* (ctx) {
  ctx.setCustomStatus("Processing");
  yield ctx.waitForExternalEvent("go");
  ctx.setCustomStatus("");
  return "done";
});
add("a custom status", async () => {
  const id = await start(custom);
  check(await until(async () => (await client.getOrchestrationState(id)).serializedCustomStatus === '"Processing"'), "a custom status is seen");
  await client.raiseOrchestrationEvent(id, "go");
  is((await end(id)).serializedCustomStatus, '""', "and a text without characters is one, too");
});

// ---- events, suspension, end

const three = orchestrator("b_three", async function* (ctx) {
  const all = [];
  for (const name of ["A", "B", "C"]) all.push(yield ctx.waitForExternalEvent(name));
  return all;
});
add("events before the start", async () => {
  const id = await start(three);
  for (const name of ["A", "B", "C"]) await client.raiseOrchestrationEvent(id, name, name.toLowerCase());
  is((await end(id)).serializedOutput, '["a","b","c"]', "events that come before the first turn");
});
const receiver = orchestrator("b_receiver", async function* (ctx) { return (yield ctx.waitForExternalEvent("greeting")) ?? "nothing"; });
const sender = orchestrator("b_sender", async function* (ctx, [target, data]) {
  yield ctx.createTimer(0.2);
  ctx.sendEvent(target, "greeting", data);
  yield ctx.createTimer(0.2);
  return "sent";
});
for (const [data, output] of [[{ m: "hello" }, '{"m":"hello"}'], [undefined, '"nothing"']])
  add(`an event with ${output}`, async () => {
    const id = await start(receiver);
    is((await run(sender, [id, data])).serializedOutput, '"sent"', "an orchestration sends an event");
    is((await end(id)).serializedOutput, output, "and another one receives it");
  });
const nobody = orchestrator("b_to_nobody", async function* (ctx) { ctx.sendEvent("b-nobody", "greeting", 1); yield ctx.createTimer(0.1); return "sent"; });
add("an event for nobody", async () => { is((await run(nobody)).serializedOutput, '"sent"', "an event for an instance that does not exist is dropped"); });

orchestrator("b_never", async function* (ctx) { yield ctx.waitForExternalEvent("never"); });
const parentOfNever = orchestrator("b_never_parent", async function* (ctx) { yield ctx.callSubOrchestrator("b_never", null, { instanceId: `${ctx.instanceId}-child` }); });
for (const [name, how, output] of [
  ["a text", "some reason", '"some reason"'], ["options", terminateOptions({ output: { reason: "x", data: [1, 2] } }), '{"reason":"x","data":[1,2]}']])
  add(`termination with ${name}`, async () => {
    const id = await start("b_never");
    is((await client.waitForOrchestrationStart(id, undefined, 30)).runtimeStatus, S.RUNNING, "it has started");
    await client.terminateOrchestration(id, how);
    const state = await end(id);
    is([state.runtimeStatus, state.serializedOutput], [S.TERMINATED, output], `terminated with ${name}`);
  });
for (const recursive of [true, false])
  add(`termination, recursive: ${recursive}`, async () => {
    const id = await start(parentOfNever);
    const child = () => client.getOrchestrationState(`${id}-child`);
    check(await until(async () => (await child())?.runtimeStatus === S.RUNNING), "a child runs");
    await client.terminateOrchestration(id, terminateOptions({ output: "over", recursive }));
    is([(await end(id)).serializedOutput], ['"over"'], "its parent is terminated");
    if (recursive) is((await end(`${id}-child`)).runtimeStatus, S.TERMINATED, "and so is the child");
    else is((await sleep(500), await child()).runtimeStatus, S.RUNNING, "and the child goes on");
    if (!recursive) await client.terminateOrchestration(`${id}-child`, "");
  });
add("suspension", async () => {
  const id = await start(receiver);
  await client.waitForOrchestrationStart(id, undefined, 30);
  await client.suspendOrchestration(id);
  check(await until(async () => (await client.getOrchestrationState(id)).runtimeStatus === S.SUSPENDED), "suspended");
  await client.raiseOrchestrationEvent(id, "greeting", 1);
  await sleep(300);
  is((await client.getOrchestrationState(id)).runtimeStatus, S.SUSPENDED, "an event does not wake it");
  await client.resumeOrchestration(id);
  is((await end(id)).serializedOutput, "1", "but is there when it is resumed");
});
const again = orchestrator("b_again", async (ctx, n) => { if (n < 10) { ctx.continueAsNew(n + 1, true); return; } return n; });
add("continue as new", async () => { for (const n of [0, 1]) is((await run(again, n)).serializedOutput, "10", `continued as new from ${n} on`); });

// ---- children

orchestrator("b_parent_info", async (ctx) => ({ name: ctx.parent?.name, id: ctx.parent?.instanceId, task: typeof ctx.parent?.taskScheduledId }));
const info = orchestrator("b_info", async function* (ctx) { return [ctx.parent === undefined, yield ctx.callSubOrchestrator("b_parent_info")]; });
add("a child's parent", async () => {
  const id = await start(info);
  is(JSON.parse((await end(id)).serializedOutput), [true, { name: info, id, task: "number" }], "a child knows its parent");
});
orchestrator("b_left_child", async function* (ctx) { yield ctx.createTimer(1); return "done alone"; });
for (const how of ["completes", "fails"]) {
  const name = orchestrator(`b_leaves_${how}`, async function* (ctx) {
    ctx.callSubOrchestrator("b_left_child", null, { instanceId: `${ctx.instanceId}-left` });
    yield ctx.callActivity("b_same", 1);
    if (how === "fails") throw new Error("over");
  });
  add(`a child that is left by a parent that ${how}`, async () => {
    const id = await start(name);
    is((await end(id)).runtimeStatus, how === "fails" ? S.FAILED : S.COMPLETED, `a parent ${how} before its child`);
    is((await end(`${id}-left`)).serializedOutput, '"done alone"', "the child goes on");
  });
}
for (const recursive of [true, false])
  add(`purge, recursive: ${recursive}`, async () => {
    const id = await start(echoChild, 1);
    await end(id);
    const found = (await client.purgeOrchestration(id, { recursive })).deletedInstanceCount;
    is([found, await client.getOrchestrationState(id)], [recursive ? 2 : 1, undefined], `purged, recursive: ${recursive}`);
  });

// ---- versions and filters

const version = async (ctx) => ctx.version;
orchestrator("b_any_version", version);
add("a version of an instance", async () => {
  is((await run("b_any_version", undefined, { version: "1.0.0" })).serializedOutput, '"1.0.0"', "an instance has the version that it was started with");
  is((await run("b_any_version")).serializedOutput, '""', "or none");
});
let number = 0;
for (const [worker_version, match, failure, instance_version, expected] of [
  ["1.0.0", Match.None, Failure.Reject, "2.0.0", '"2.0.0"'], ["1.0.0", Match.Strict, Failure.Reject, "1.0.0", '"1.0.0"'],
  ["2.0.0", Match.CurrentOrOlder, Failure.Reject, "1.0.0", '"1.0.0"'], ["2.0.0", Match.CurrentOrOlder, Failure.Reject, "2.0.0", '"2.0.0"'],
  ["1.0.0", Match.Strict, Failure.Fail, "2.0.0", null], ["1.0.0", Match.CurrentOrOlder, Failure.Fail, "2.0.0", null]]) {
  const name = `b_versioned_${number++}`;
  add(`worker of version ${worker_version}, instance of version ${instance_version}`, () => withWorker(
    { versioning: { version: worker_version, matchStrategy: match, failureStrategy: failure }, workItemFilters: { orchestrations: [{ name }] } },
    (w) => orchestrator(name, version, w),
    async () => {
      const state = await run(name, undefined, { version: instance_version });
      if (expected) is([state.runtimeStatus, state.serializedOutput], [S.COMPLETED, expected], `worker ${worker_version} (match ${match}) runs an instance of ${instance_version}`);
      else check(state.runtimeStatus === S.FAILED && /version/i.test(state.failureDetails.message), `worker ${worker_version} (match ${match}) fails an instance of ${instance_version}`, state.failureDetails?.message);
    }));
}
add("a worker that rejects a version", () => withWorker(
  { versioning: { version: "1.0.0", matchStrategy: Match.Strict, failureStrategy: Failure.Reject }, workItemFilters: { orchestrations: [{ name: "b_rejected" }] } },
  (w) => orchestrator("b_rejected", version, w),
  async () => {
    const id = await start("b_rejected", undefined, { version: "2.0.0" });
    await sleep(1500);
    const { runtimeStatus } = await client.getOrchestrationState(id);
    check(runtimeStatus === S.PENDING || runtimeStatus === S.RUNNING, "an instance that a worker rejects waits", runtimeStatus);
    await withWorker({ workItemFilters: { orchestrations: [{ name: "b_rejected", versions: ["2.0.0"] }] } }, (w) => orchestrator("b_rejected", version, w),
      async () => { is((await end(id)).serializedOutput, '"2.0.0"', "for one that takes it"); });
  }));
add("filters with versions", () => withWorker(
  { workItemFilters: { orchestrations: [{ name: "b_filtered", versions: ["3.0.0"] }], activities: [{ name: "b_filtered_activity", versions: ["3.0.0"] }] } },
  (w) => { activity("b_filtered_activity", async (_, name) => `v3 ${name}`, w); orchestrator("b_filtered", async function* (ctx, name) { return yield ctx.callActivity("b_filtered_activity", name); }, w); },
  async () => {
    is((await run("b_filtered", "x", { version: "3.0.0" })).serializedOutput, '"v3 x"', "a filter with the version lets it pass, and its activity");
    const id = await start("b_filtered", "x", { version: "9.9.9" });
    await sleep(1500);
    is((await client.getOrchestrationState(id)).runtimeStatus, S.PENDING, "another version is pending");
  }));
add("names without a worker", () => withWorker(
  { workItemFilters: { orchestrations: [{ name: "b_in_filter" }] } },
  (w) => { orchestrator("b_in_filter", echo2, w); orchestrator("b_not_in_filter", echo2, w); },
  async () => {
    const ids = await Promise.all(["b_not_in_filter", "b_unknown"].map((name) => start(name, 1)));
    is((await run("b_in_filter", 1)).serializedOutput, "1", "a name in a filter runs");
    await sleep(1500);
    for (const id of ids) is((await client.getOrchestrationState(id)).runtimeStatus, S.PENDING, "a name that is in no filter is pending");
  }));
async function echo2(_, input) { return input; }
let active = 0, peak = 0;
add("a limit of the worker", () => withWorker({ workItemFilters: "auto" },
  (w) => {
    activity("b_counted", async (_, n) => { peak = Math.max(peak, ++active); await sleep(50); active--; return 2 * n; }, w);
    orchestrator("b_counted_fan", async function* (ctx) { return yield whenAll([...Array(20).keys()].map((i) => ctx.callActivity("b_counted", i))); }, w);
  },
  async () => {
    is(JSON.parse((await run("b_counted_fan")).serializedOutput), [...Array(20).keys()].map((i) => 2 * i), "twenty activities by a worker with filters of its own names");
    check(peak > 1, "run at the same time", peak);
  }));

// ---- history

const eventIds = (history) => history.map((e) => e.eventId).filter((id) => id >= 0);
add("the history of a sequence", async () => {
  const id = await start(sequence, 1);
  await end(id);
  const history = await client.getOrchestrationHistory(id);
  const ids = eventIds(history);
  check(ids.every((n, i) => i === 0 || n > ids[i - 1]), "the ids of events grow", ids);
  check(history.every((e) => e.timestamp instanceof Date), "each event has a time");
  is(await client.getOrchestrationHistory("b-does-not-exist"), [], "what does not exist has no history");
});
const complex = orchestrator("b_complex", async function* (ctx) {
  const a = yield ctx.callActivity("b_same", "World");
  yield ctx.createTimer(new Date(ctx.currentUtcDateTime.getTime() + 500));
  return { a, b: yield ctx.callSubOrchestrator("b_echo", "child") };
});
add("the history of an activity, a timer, a child", async () => {
  const id = await start(complex);
  await end(id);
  const h = await client.getOrchestrationHistory(id);
  is(h.map((e) => e.type), ["OrchestratorStarted", "ExecutionStarted", "TaskScheduled", "OrchestratorStarted", "TaskCompleted", "TimerCreated", "OrchestratorStarted",
    "TimerFired", "SubOrchestrationInstanceCreated", "OrchestratorStarted", "SubOrchestrationInstanceCompleted", "ExecutionCompleted"], "twelve events, in this order");
  is([h[1].name, h[2].name, h[2].input, h[4].taskScheduledId, h[4].result], [complex, "b_same", '"World"', h[2].eventId, '"World"'], "the activity");
  is([h[7].timerId, h[7].fireAt instanceof Date, h[5].fireAt instanceof Date], [h[5].eventId, true, true], "the timer");
  is([h[8].name, !!h[8].instanceId, h[10].taskScheduledId, h[10].result], ["b_echo", true, h[8].eventId, '"child"'], "the child");
  is([h[11].orchestrationStatus, h[11].result], ["ORCHESTRATION_STATUS_COMPLETED", '{"a":"World","b":"child"}'], "the end");
});
add("the history of an event", async () => {
  const id = await start(receiver);
  await client.waitForOrchestrationStart(id, undefined, 30);
  await client.raiseOrchestrationEvent(id, "greeting", { data: "x" });
  await end(id);
  is((await client.getOrchestrationHistory(id)).filter((e) => e.type === "EventRaised").map((e) => [e.name, e.input]), [["greeting", '{"data":"x"}']], "an event in a history");
});
const large = orchestrator("b_large", async function* (ctx, input) {
  for (let i = 0; i < 2; i++) if ((yield ctx.callActivity("b_same", input)) !== input) throw new Error("not what it was");
  yield ctx.createTimer(0.2);
  return input.length;
});
add("large payloads", async () => {
  is((await run(large, "x\u{1f600}".repeat(250000))).serializedOutput, "750000", "payloads of 1.2 MB, and a history of 6 MB");
});

// ---- queries

const prefix = "b-query-";
add("queries", async () => {
  const ids = [...Array(5).keys()].map((i) => `${prefix}${i}`);
  for (const id of ids) await start(echo, { id }, id);
  await Promise.all(ids.map((id) => end(id)));
  await start("b_never", null, `${prefix}runs`);
  await client.waitForOrchestrationStart(`${prefix}runs`, undefined, 30);
  const all = async (filter) => { const found = []; for await (const state of client.getAllInstances(filter)) found.push(state); return found; };
  is((await all({ instanceIdPrefix: prefix })).map((s) => s.instanceId).sort(), [...ids, `${prefix}runs`], "by prefix");
  is((await all({ instanceIdPrefix: prefix, statuses: [S.COMPLETED] })).map((s) => s.instanceId).sort(), ids, "and status");
  const pages = [];
  for await (const page of client.getAllInstances({ instanceIdPrefix: prefix, pageSize: 2 }).asPages()) pages.push(page.values.length);
  check(pages.length > 1 && Math.max(...pages) <= 2 && pages.reduce((a, b) => a + b) === 6, "in pages", pages);
  is((await all({ instanceIdPrefix: `${prefix}3`, fetchInputsAndOutputs: true })).map((s) => [s.serializedInput, s.serializedOutput]),
    [[`{"id":"${prefix}3"}`, `{"id":"${prefix}3"}`]], "with payloads");
  const now = Date.now();
  is((await all({ instanceIdPrefix: prefix, createdFrom: new Date(now - 3600000), createdTo: new Date(now + 60000) })).length, 6, "in a range of time");
  is((await all({ instanceIdPrefix: prefix, createdFrom: new Date(now + 60000) })).length, 0, "or outside of it");
  const listed = [];
  for (let key; ;) {
    const page = await client.listInstanceIds({ runtimeStatus: [S.COMPLETED], pageSize: 20, lastInstanceKey: key });
    check(page.values.length <= 20, "a page of ids");
    listed.push(...page.values);
    if (!(key = page.continuationToken)) break;
  }
  check(ids.every((id) => listed.includes(id)) && !listed.includes(`${prefix}runs`) && new Set(listed).size === listed.length, "ids of what has completed, each once");
  const page = await client.listInstanceIds({ runtimeStatus: [S.COMPLETED], completedTimeFrom: new Date(now + 3600000) });
  is(page.values, [], "by the time of the end");
});

// ---- restart and rewind

const failOnce = {};
const once = orchestrator("b_once", async (ctx) => {
  failOnce[ctx.instanceId] = (failOnce[ctx.instanceId] ?? 0) + 1;
  if (failOnce[ctx.instanceId] === 1) throw new Error("the first attempt");
  return "again";
});
activity("b_once_activity", async (ctx, id) => { if (failOnce[id]) return "mended"; failOnce[id] = 1; throw new Error("the activity"); });
let before = 0;
activity("b_before", async () => ++before);
const onceActivity = orchestrator("b_once_by_activity", async function* (ctx) {
  return [yield ctx.callActivity("b_before"), yield ctx.callActivity("b_once_activity", ctx.instanceId)];
});
const onceChild = orchestrator("b_once_by_child", async function* (ctx) { return yield ctx.callSubOrchestrator("b_once"); });
for (const [name, output] of [[once, '"again"'], [onceActivity, '[1,"mended"]'], [onceChild, '"again"']])
  add(`rewind of ${name}`, async () => {
    const id = await start(name);
    is((await end(id)).runtimeStatus, S.FAILED, `${name} fails`);
    await client.rewindInstance(id, "a reason");
    const state = await end(id);
    is([state.runtimeStatus, state.serializedOutput, state.failureDetails], [S.COMPLETED, output, undefined], `${name} is rewound and completes; what had been done is not done again`);
  });
add("no rewind", async () => {
  const done = await start(echo, 1), runs = await start("b_never");
  await end(done);
  await client.waitForOrchestrationStart(runs, false, 30);
  await matches(client.rewindInstance("b-nothing", "x"), /./, "what does not exist is not rewound");
  await matches(client.rewindInstance(done, "x"), /not allow|precondition/i, "nor what has completed");
  await matches(client.rewindInstance(runs, "x"), /not allow|precondition|running/i, "nor what runs");
  await client.terminateOrchestration(runs, "");
  await end(runs);
  await matches(client.rewindInstance(runs, "x"), /not allow|precondition/i, "nor what was terminated");
  await matches(client.rewindInstance("", "x"), /instanceId is required/, "nor nothing");
});
add("restart", async () => {
  const input = { name: "test", nested: { items: [1, 2, 3] } };
  const id = await start(echo, input);
  await end(id);
  is(await client.restartOrchestration(id), id, "restarted in its place");
  is((await end(id)).serializedOutput, JSON.stringify(input), "with its input");
  const other = await client.restartOrchestration(id, true);
  is([other === id, (await end(other)).serializedOutput, (await client.getOrchestrationState(id)).runtimeStatus], [false, JSON.stringify(input), S.COMPLETED], "or under another id");
  const runs = await start(receiver, "r");
  await client.waitForOrchestrationStart(runs, undefined, 30);
  await matches(client.restartOrchestration(runs), /./, "what runs is not restarted in its place");
  const copy = await client.restartOrchestration(runs, true);
  is((await client.waitForOrchestrationStart(copy, undefined, 30)).runtimeStatus, S.RUNNING, "but under another id");
  await client.raiseOrchestrationEvent(copy, "greeting", "yes");
  is((await end(copy)).serializedOutput, '"yes"', "which is an instance of its own");
  await client.terminateOrchestration(runs, "over");
  await end(runs);
  const third = await client.restartOrchestration(runs, true);
  await client.raiseOrchestrationEvent(third, "greeting", 1);
  is((await end(third)).serializedOutput, "1", "what was terminated is restarted");
  await matches(client.restartOrchestration("b-nothing"), /./, "what does not exist is not");
});

// ---- time of a start, and waits

add("a start in the future", async () => {
  // A busy machine takes longer until the state is there.
  const before = Date.now();
  await client.getOrchestrationState(await start("b_echo", 1));
  const at = new Date(Date.now() + Math.min(1500 + 5 * (Date.now() - before), 20000));
  const id = await client.scheduleNewOrchestration(timerless, "x", undefined, at);
  is((await client.getOrchestrationState(id)).runtimeStatus, S.PENDING, "pending until then");
  const state = await end(id);
  check(state.runtimeStatus === S.COMPLETED && Number(state.serializedOutput) >= at.getTime() - 50, "starts then", `${state.serializedOutput} and ${at.getTime()}`);
});
const timerless = orchestrator("b_when", async (ctx) => ctx.currentUtcDateTime.getTime());
add("waits that end", async () => {
  const id = await start("b_never");
  await client.waitForOrchestrationStart(id, undefined, 30);
  await matches(client.waitForOrchestrationCompletion(id, true, 1), /timeout|4 /i, "a wait ends in time");
  is((await client.getOrchestrationState(id)).runtimeStatus, S.RUNNING, "and the instance goes on");
  await client.terminateOrchestration(id, "");
});

main(async () => {
  await worker.start();
  const only = process.argv[3];
  await Promise.all(cases.filter(([name]) => !only || name.includes(only)).map(async ([name, body]) => {
    try { await body(); } catch (error) { check(false, name, error.stack ?? error); }
  }));
  await worker.stop();
  await client.stop();
});
