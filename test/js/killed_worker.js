// A worker that is killed again and again: node killed_worker.js PORT
"use strict";

const { TaskHubGrpcWorker } = require("@microsoft/durabletask-js");
const { main, quiet } = require("./report");

main(async () => {
  const w = new TaskHubGrpcWorker({ hostAddress: `localhost:${process.argv[2]}`, logger: quiet });
  w.addNamedActivity("outside", async (_, input) => input + 1);
  w.addNamedOrchestrator("Work", async function* (ctx, n) {
    yield ctx.callActivity("effect", `${n}.1`);
    const m = yield ctx.callActivity("outside", n);
    yield ctx.createTimer(0.1);
    const child = yield ctx.callSubOrchestrator("Child", m);
    yield ctx.callActivity("effect", `${n}.2`);
    return child;
  });
  w.addNamedOrchestrator("Child", async function* (ctx, n) {
    yield ctx.callActivity("effect", `c${n}`);
    return n * 10;
  });
  await w.start();
  await new Promise(() => setInterval(() => {}, 1000));
});
