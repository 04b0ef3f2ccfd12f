// A worker that is killed again and again: node killed_worker.js PORT
"use strict";

const { TaskHubGrpcWorker, TaskEntity, EntityInstanceId } = require("@microsoft/durabletask-js");
const { main, quiet } = require("./report");

class Ledger extends TaskEntity {
  initializeState() { return { sum: 0, entries: 0 }; }
  enter(n) { this.state.sum += n; this.state.entries++; return this.state.entries; }
}

main(async () => {
  const w = new TaskHubGrpcWorker({ hostAddress: `localhost:${process.argv[2]}`, logger: quiet });
  w.addNamedActivity("outside", async (_, input) => input + 1);
  w.addNamedOrchestrator("Work", async function* (ctx, n) {
    yield ctx.callActivity("effect", `${n}.1`);
    const m = yield ctx.callActivity("outside", n);
    yield ctx.createTimer(0.1);
    const child = yield ctx.callSubOrchestrator("Child", m);
    yield ctx.callActivity("effect", `${n}.2`);
    const [from, to] = [n % 4, (n + 1) % 4].map((key) => new EntityInstanceId("Ledger", `${key}`));
    const lock = yield ctx.entities.lockEntities(from, to);
    yield ctx.entities.callEntity(from, "enter", -n);
    yield ctx.entities.callEntity(to, "enter", n);
    lock.release();
    return child;
  });
  w.addNamedOrchestrator("Child", async function* (ctx, n) {
    yield ctx.callActivity("effect", `c${n}`);
    return n * 10;
  });
  w.addNamedEntity("Ledger", () => new Ledger());
  await w.start();
  await new Promise(() => setInterval(() => {}, 1000));
});
