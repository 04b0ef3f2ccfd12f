// Workers of the SDK do the external activities of orchestrations in SQL: two at a time share the work, failures arrive,
// filters hold, a worker that stops loses nothing.
"use strict";

const { TaskHubGrpcClient, TaskHubGrpcWorker, OrchestrationStatus: S } = require("@microsoft/durabletask-js");
const { check, is, main, quiet, sleep } = require("./report");

const address = `localhost:${process.argv[2]}`;

function worker(done, options = {}) {
  const w = new TaskHubGrpcWorker({ hostAddress: address, logger: quiet, ...options });
  w.addNamedActivity("hello", async (_, input) => { done.push(input); return `hello ${input}`; });
  w.addNamedActivity("slow", async (_, input) => { done.push(input); await sleep(300); return input; });
  w.addNamedActivity("fails", async () => { throw new TypeError("it does not work"); });
  w.addNamedActivity("nothing", async () => undefined);
  return w;
}

main(async () => {
  const c = new TaskHubGrpcClient({ hostAddress: address, logger: quiet });
  const done = [[], []];
  const workers = [worker(done[0], { concurrency: { maximumConcurrentActivityWorkItems: 5 } }), worker(done[1])];
  for (const w of workers) await w.start();

  let id = await c.scheduleNewOrchestration("calls", { name: "hello", n: 200 });
  let state = await c.waitForOrchestrationCompletion(id, true, 60);
  is(JSON.parse(state.serializedOutput), [...Array(200).keys()].map((i) => `hello ${i + 1}`), "200 activities are done by two workers");
  is([...done[0], ...done[1]].map(Number).sort((a, b) => a - b), [...Array(200).keys()].map((i) => i + 1), "each of them once");
  check(done[0].length > 0 && done[1].length > 0, "both had some of them");

  id = await c.scheduleNewOrchestration("calls", { name: "fails", n: 1 });
  state = await c.waitForOrchestrationCompletion(id, true, 60);
  is(state.runtimeStatus, S.FAILED, "a failure of an activity is one of its orchestration");
  check(/it does not work/.test(state.failureDetails.message), "with its message");
  id = await c.scheduleNewOrchestration("calls", { name: "nothing", n: 1 });
  is((await c.waitForOrchestrationCompletion(id, true, 60)).serializedOutput, "[null]", "no result is null");

  // One stops in the middle: what it has it finishes, and the other one does the rest.
  id = await c.scheduleNewOrchestration("calls", { name: "slow", n: 30 });
  await sleep(100);
  await workers[0].stop();
  state = await c.waitForOrchestrationCompletion(id, true, 60);
  is(JSON.parse(state.serializedOutput).length, 30, "a worker that stops loses nothing");
  is([...done[0], ...done[1]].filter((i) => typeof i === "number" || true).length, 230, "and nothing is done twice");
  await workers[1].stop();

  // Nobody is there; then somebody comes.
  id = await c.scheduleNewOrchestration("calls", { name: "hello", n: 3 });
  await c.waitForOrchestrationStart(id, false, 60);
  await sleep(500);
  is((await c.getOrchestrationState(id, false)).runtimeStatus, S.RUNNING, "work without workers waits");
  const late = worker([]);
  await late.start();
  is((await c.waitForOrchestrationCompletion(id, true, 60)).runtimeStatus, S.COMPLETED, "until one comes");
  await late.stop();

  await c.stop();
});
