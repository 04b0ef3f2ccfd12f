// Entities whose code is in JavaScript, by the SDK's client and worker: nothing of them is registered in the database.
"use strict";

const { TaskHubGrpcClient, TaskHubGrpcWorker, EntityInstanceId, TaskEntity, OrchestrationStatus: S, whenAll } = require("@microsoft/durabletask-js");
const { check, is, main, quiet, sleep } = require("./report");

const options = { hostAddress: `localhost:${process.argv[2]}`, logger: quiet };
const client = new TaskHubGrpcClient(options);
const worker = new TaskHubGrpcWorker({ ...options, workItemFilters: "auto" });
const cases = [];
let serial = 0;

class Counter extends TaskEntity {
  initializeState() { return { count: 0 }; }
  add(n) { this.state.count += n; return this.state.count; }
  get() { return this.state.count; }
  reset() { this.state.count = 0; }
  tell([key, n]) { this.context.signalEntity(new EntityInstanceId("Counter", key), "add", n); }
  begin([name, input, instanceId]) { return this.context.scheduleNewOrchestration(name, input, { instanceId }); }
}

class Account extends TaskEntity {
  initializeState() { return { balance: 0, owner: "nobody", changes: 0 }; }
  setOwner(owner) { this.state.owner = owner; }
  deposit(n) { this.state.balance += n; this.state.changes++; return this.state.balance; }
  withdraw(n) {
    this.state.balance -= n;            // undone by the failure
    if (this.state.balance < 0) throw new RangeError(`${-this.state.balance} too much`);
    this.state.changes++;
    return this.state.balance;
  }
  all() { return { ...this.state }; }
}

class List extends TaskEntity {
  initializeState() { return []; }
  push(item) { this.state.push(item); }
}

for (const entity of [Counter, Account, List]) worker.addNamedEntity(entity.name, () => new entity());

const counter = (key = `c${++serial}`) => new EntityInstanceId("Counter", key);
const add = (name, body) => cases.push([name, body]);
const orchestrator = (name, fn) => (worker.addNamedOrchestrator(name, fn), name);
const end = (id) => client.waitForOrchestrationCompletion(id, true, 60);
const output = async (name, input) => {
  const state = await end(await client.scheduleNewOrchestration(name, input));
  return state.runtimeStatus === S.COMPLETED ? JSON.parse(state.serializedOutput ?? "null") : `failed: ${state.failureDetails?.message}`;
};
const state = async (id) => (await client.getEntity(id))?.state;
// Waits until the state of an entity is the expected one, and reports it.
async function becomes(id, expected, name) {
  let found;
  for (let i = 0; i < 400; i++) {
    if (JSON.stringify(found = await state(id)) === JSON.stringify(expected)) break;
    await sleep(50);
  }
  is(found, expected, name);
}
const entity = (e) => new EntityInstanceId(e.name, e.key);

add("signals", async () => {
  const [a, b] = [counter(), counter()];
  for (const [id, op, n] of [[a, "add", 10], [b, "add", 50], [a, "add", 5], [a, "add", -3]]) await client.signalEntity(id, op, n);
  await becomes(a, { count: 12 }, "three signals, one after the other");
  await becomes(b, { count: 50 }, "and one to another entity");
  is(await client.getEntity(counter()), undefined, "an entity that nobody has signalled does not exist");
});
add("a signal in the future", async () => {
  const id = counter(), other = counter();
  // A busy machine takes longer until the other signal is seen.
  const before = Date.now();
  await client.signalEntity(other, "add", 10);
  await becomes(other, { count: 10 }, "a signal of now");
  await client.signalEntity(id, "add", 1, { signalTime: new Date(Date.now() + Math.min(2000 + 5 * (Date.now() - before), 20000)) });
  await client.signalEntity(id, "add", 10);
  await becomes(id, { count: 10 }, "one of now");
  await becomes(id, { count: 11 }, "and then the one of later");
});
add("failures", async () => {
  const id = new EntityInstanceId("Account", "failing");
  await client.signalEntity(id, "setOwner", "Alice \"A\" \u{1f600}");
  await client.signalEntity(id, "deposit", 100);
  await client.signalEntity(id, "withdraw", 500);
  await client.signalEntity(id, "no such operation");
  await client.signalEntity(id, "deposit", 1);
  await becomes(id, { balance: 101, owner: "Alice \"A\" \u{1f600}", changes: 2 }, "operations that fail change nothing, and those after them are done");
});
orchestrator("e_calls", async function* (ctx, e) {
  const all = [yield ctx.entities.callEntity(entity(e), "deposit", 500), yield ctx.entities.callEntity(entity(e), "withdraw", 200)];
  try { yield ctx.entities.callEntity(entity(e), "withdraw", 900); } catch (error) { all.push(/600 too much/.test(error.message)); }
  return [...all, yield ctx.entities.callEntity(entity(e), "setOwner", "Bob"), yield ctx.entities.callEntity(entity(e), "all")];
});
add("calls", async () => {
  is(await output("e_calls", { name: "Account", key: "called" }), [500, 300, true, null, { balance: 300, owner: "Bob", changes: 2 }], "calls, their answers, and a failure that is caught");
});
orchestrator("e_uncaught", async function* (ctx) { yield ctx.entities.callEntity(new EntityInstanceId("Account", "uncaught"), "withdraw", 1); });
add("a failure of a call", async () => { check(/1 too much/.test(await output("e_uncaught")), "a call's failure ends an orchestration that does not catch it"); });
orchestrator("e_mixed", async function* (ctx, e) {
  ctx.entities.signalEntity(entity(e), "add", 10);
  const first = yield ctx.entities.callEntity(entity(e), "add", 5);
  ctx.entities.signalEntity(entity(e), "add", 3);
  return [first, yield ctx.entities.callEntity(entity(e), "get")];
});
add("signals and calls", async () => { is(await output("e_mixed", { name: "Counter", key: "mixed" }), [15, 18], "signals and calls of an orchestration arrive in their order"); });
orchestrator("e_fan", async function* (ctx, n) { return yield whenAll([...Array(n).keys()].map((i) => ctx.entities.callEntity(new EntityInstanceId("Counter", `fan${i % 7}`), "add", 1))); });
add("many calls at a time", async () => {
  is((await output("e_fan", 70)).reduce((a, b) => a + b), 7 * 55, "seventy calls of seven entities");
});
orchestrator("e_add", async function* (ctx, [key, n]) { return yield ctx.entities.callEntity(new EntityInstanceId("Counter", key), "add", n); });
add("many callers", async () => {
  await Promise.all([10, 20, 30].map((n) => output("e_add", ["shared", n])));
  is(await state(counter("shared")), { count: 60 }, "three orchestrations call one entity");
  await Promise.all([...Array(20).keys()].map(() => client.signalEntity(counter("at once"), "add", 5)));
  await becomes(counter("at once"), { count: 100 }, "twenty signals at once");
});
add("deletion", async () => {
  const id = counter();
  await client.signalEntity(id, "add", 100);
  await becomes(id, { count: 100 }, "there");
  await client.signalEntity(id, "delete");
  await becomes(id, undefined, "deleted");
  await client.signalEntity(id, "add", 50);
  await becomes(id, { count: 50 }, "and there again");
  await client.signalEntity(id, "reset");
  await becomes(id, { count: 0 }, "reset");
});
add("a list", async () => {
  const id = new EntityInstanceId("List", "l");
  for (let i = 0; i < 30; i++) await client.signalEntity(id, "push", i);
  await becomes(id, [...Array(30).keys()], "thirty signals in their order");
});
add("names and keys", async () => {
  await client.signalEntity(new EntityInstanceId("COUNTER", "Case"), "add", 1);
  await client.signalEntity(counter("Case"), "add", 1);
  await becomes(counter("Case"), { count: 2 }, "the case of an entity's name does not count");
  await client.signalEntity(counter("case"), "add", 7);
  await becomes(counter("case"), { count: 7 }, "but that of its key");
  for (const key of ["a@b", "quote'\"", "ä \u{1f600}", "x".repeat(80)]) {
    await client.signalEntity(counter(key), "add", 3);
    await becomes(counter(key), { count: 3 }, `a key like ${key}`);
  }
});
add("an entity signals another one", async () => {
  await client.signalEntity(counter("teller"), "tell", ["told", 42]);
  await becomes(counter("told"), { count: 42 }, "an entity signals another one");
});
orchestrator("e_begun", async (_, input) => input * 2);
add("an entity starts an orchestration", async () => {
  await client.signalEntity(counter("beginner"), "begin", ["e_begun", 21, "begun"]);
  for (let i = 0; i < 400 && !(await client.getOrchestrationState("begun")); i++) await sleep(50);
  is((await end("begun")).serializedOutput, "42", "an entity starts an orchestration");
});
add("queries", async () => {
  for (const i of [1, 2, 3]) { await client.signalEntity(counter(`query${i}`), "add", 10 * i); await becomes(counter(`query${i}`), { count: 10 * i }, "an entity for a query"); }
  const found = async (filter) => { const all = []; for await (const e of client.getEntities(filter)) all.push(e); return all; };
  const all = await found({ instanceIdStartsWith: "@Counter@query", includeState: true });
  is(all.map((e) => [e.id.key, e.state.count]).sort(), [["query1", 10], ["query2", 20], ["query3", 30]], "by the beginning of their ids");
  check(all.every((e) => e.lastModifiedTime instanceof Date && Date.now() - e.lastModifiedTime < 600000), "with the time of the last change");
  is((await found({ instanceIdStartsWith: "@counter@query", includeState: false })).map((e) => e.includesState), [false, false, false], "without states");
  is((await found({ instanceIdStartsWith: "@Counter@query", pageSize: 2 })).length, 3, "in pages");
  is((await found({ instanceIdStartsWith: "@Counter@query", lastModifiedFrom: new Date(Date.now() + 60000) })).length, 0, "by time");
});
add("cleaning", async () => {
  const [gone, kept] = [counter("clean1"), counter("clean2")];
  for (const id of [gone, kept]) { await client.signalEntity(id, "add", 200); await becomes(id, { count: 200 }, "an entity to be cleaned"); }
  await client.signalEntity(gone, "delete");
  await becomes(gone, undefined, "without a state");
  for (const request of [{ removeEmptyEntities: true, releaseOrphanedLocks: true }, undefined, { removeEmptyEntities: true, releaseOrphanedLocks: false }]) {
    const result = await client.cleanEntityStorage(request);
    check(result.emptyEntitiesRemoved >= 0 && result.orphanedLocksReleased >= 0, "cleaned", result);
  }
  is(await state(kept), { count: 200 }, "what has a state stays");
});

// ---- locks

orchestrator("e_locked", async function* (ctx, keys) {
  const ids = keys.map((key) => new EntityInstanceId("Counter", key));
  const seen = [ctx.entities.isInCriticalSection().inSection];
  const lock = yield ctx.entities.lockEntities(...ids);
  const section = ctx.entities.isInCriticalSection();
  seen.push(section.inSection, section.lockedEntities.map((e) => e.key));
  for (const [i, id] of ids.entries()) seen.push(yield ctx.entities.callEntity(id, "add", i + 1));
  lock.release();
  lock.release();
  seen.push(ctx.entities.isInCriticalSection().inSection, yield ctx.entities.callEntity(ids[0], "get"));
  return seen;
});
add("a lock", async () => {
  is(await output("e_locked", ["lock1"]), [false, true, ["lock1"], 1, false, 1], "of one entity; released twice");
  is(await output("e_locked", ["lz", "la", "lm"]), [false, true, ["la", "lm", "lz"], 1, 2, 3, false, 1], "of three, in their order");
  is(await output("e_locked", ["twice", "twice"]), [false, true, ["twice"], 1, 3, false, 3], "of one, named twice");
});
orchestrator("e_read_and_write", async function* (ctx, n) {
  const id = new EntityInstanceId("Counter", "section");
  const lock = yield ctx.entities.lockEntities(id);
  const before = yield ctx.entities.callEntity(id, "get");
  yield ctx.createTimer(0.1);
  const after = yield ctx.entities.callEntity(id, "add", n);
  lock.release();
  return after - before;
});
add("sections of several", async () => {
  is(await Promise.all([10, 20, 30].map((n) => output("e_read_and_write", n))), [10, 20, 30], "nobody changes what another one has locked");
  is(await state(counter("section")), { count: 60 }, "and nothing is lost");
});
orchestrator("e_transfer", async function* (ctx, [from, to, n]) {
  const [a, b] = [from, to].map((key) => new EntityInstanceId("Account", key));
  const lock = yield ctx.entities.lockEntities(a, b);
  try {
    if ((yield ctx.entities.callEntity(a, "all")).balance < n) return false;
    yield whenAll([ctx.entities.callEntity(a, "withdraw", n), ctx.entities.callEntity(b, "deposit", n)]);
    return true;
  } finally { lock.release(); }
});
add("transfers", async () => {
  const accounts = ["t0", "t1", "t2", "t3"];
  for (const key of accounts) await client.signalEntity(new EntityInstanceId("Account", key), "deposit", 100);
  await Promise.all([...Array(24).keys()].map((i) => output("e_transfer", [accounts[i % 4], accounts[(i * 3 + 1 + (i >> 2)) % 4 === i % 4 ? (i + 1) % 4 : (i * 3 + 1 + (i >> 2)) % 4], 7 + i * 3])));
  let sum = 0;
  for (const key of accounts) { const { balance } = await state(new EntityInstanceId("Account", key)); check(balance >= 0, "no account is overdrawn", balance); sum += balance; }
  is(sum, 400, "24 transfers between four accounts keep the sum");
});
orchestrator("e_holder", async function* (ctx, end) {
  const id = new EntityInstanceId("Counter", `held-${end}`);
  yield ctx.entities.lockEntities(id);
  yield ctx.entities.callEntity(id, "add", 1);
  if (end === "failed") throw new Error("with the lock");
  if (end === "waits") yield ctx.waitForExternalEvent("never");
});
for (const how of ["completed", "failed", "waits"])
  add(`a holder that has ${how}`, async () => {
    const id = counter(`held-${how}`);
    const holder = await client.scheduleNewOrchestration("e_holder", how);
    await becomes(id, { count: 1 }, "locked and changed");
    if (how === "waits") {
      is((await client.getEntity(id)).lockedBy, holder, "the holder is shown");
      await client.signalEntity(id, "add", 10);
      await sleep(500);
      is(await state(id), { count: 1 }, "a signal waits while it is locked");
      await client.terminateOrchestration(holder, "over");
    }
    await end(holder);
    await output("e_add", [`held-${how}`, 100]);
    is(await state(id), { count: how === "waits" ? 111 : 101 }, `a holder that has ${how} leaves no lock`);
    is((await client.getEntity(id)).lockedBy || undefined, undefined, "and nobody is shown");
  });

// ---- entities in SQL: the test registers them before it asks for this case

orchestrator("e_sql", async function* (ctx) {
  const [sql, js] = [new EntityInstanceId("SqlAccount", "mixed"), counter("mixed-js")];
  ctx.entities.signalEntity(sql, "deposit", 100);
  const lock = yield ctx.entities.lockEntities(sql, js);
  const seen = [yield ctx.entities.callEntity(sql, "withdraw", 60), yield ctx.entities.callEntity(js, "add", 60)];
  try { yield ctx.entities.callEntity(sql, "withdraw", 60); } catch (error) { seen.push(/not enough/.test(error.message)); }
  lock.release();
  return seen;
});
if (process.argv[3] === "in SQL")
  add("entities in SQL", async () => { is(await output("e_sql"), [40, 60, true], "an orchestrator locks and calls an entity in SQL and one of its own"); });

main(async () => {
  await client.signalEntity(counter("early"), "add", 1);
  add("a signal before the worker", () => becomes(counter("early"), { count: 1 }, "a signal that came before the first worker"));
  await worker.start();
  const only = process.argv[3];
  await Promise.all(cases.filter(([name]) => !only || name.includes(only)).map(async ([name, body]) => {
    try { await body(); } catch (error) { check(false, name, error.stack ?? error); }
  }));
  await worker.stop();
  await client.stop();
});
