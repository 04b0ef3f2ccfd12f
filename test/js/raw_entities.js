// A worker for entities that does by the SDK's generated stubs what the SDK's own worker never does; and entities that SQL calls.
"use strict";

const { fork } = require("child_process");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb");
const { check, is, matches, main, sleep } = require("./report");
const { call, text, connect } = require("./stubs");

function signal(id, operation, input) {
  const request = new pb.SignalEntityRequest();
  request.setInstanceid(id);
  request.setName(operation);
  if (input !== undefined) request.setInput(text(input));
  return call("signalEntity", request);
}

async function entity(id) {
  const request = new pb.GetEntityRequest();
  request.setInstanceid(id);
  request.setIncludestate(true);
  const answer = await call("getEntity", request);
  return answer.getExists() ? answer.getEntity().getSerializedstate()?.getValue() : undefined;
}

// The answer to a batch: results are outputs, or errors for failures.
function complete(token, outputs, state, { failure, signals = [], start } = {}) {
  const result = new pb.EntityBatchResult();
  const details = (message) => { const f = new pb.TaskFailureDetails(); f.setErrortype("Raw"); f.setErrormessage(message); return f; };
  for (const output of outputs) {
    const one = new pb.OperationResult();
    if (output instanceof Error) { const failed = new pb.OperationResultFailure(); failed.setFailuredetails(details(output.message)); one.setFailure(failed); }
    else { const done = new pb.OperationResultSuccess(); if (output !== undefined) done.setResult(text(output)); one.setSuccess(done); }
    result.addResults(one);
  }
  for (const [id, operation, input] of signals) {
    const action = new pb.OperationAction();
    const send = new pb.SendSignalAction();
    send.setInstanceid(id);
    send.setName(operation);
    send.setInput(text(input));
    action.setSendsignal(send);
    result.addActions(action);
  }
  if (start) {
    const action = new pb.OperationAction();
    const begin = new pb.StartNewOrchestrationAction();
    begin.setName(start);
    action.setStartneworchestration(begin);
    result.addActions(action);
  }
  if (state !== undefined) result.setEntitystate(text(state));
  if (failure) result.setFailuredetails(details(failure));
  result.setCompletiontoken(token);
  return call("completeEntityTask", result);
}

const operations = (item) => item.getEntityrequestv2().getOperationrequestsList().map((e) =>
  e.hasEntityoperationcalled() ? `call ${e.getEntityoperationcalled().getOperation()}` : `signal ${e.getEntityoperationsignaled().getOperation()}`);

function abandoned(item) {
  const request = new pb.AbandonEntityTaskRequest();
  request.setCompletiontoken(item.getCompletiontoken());
  return call("abandonTaskEntityWorkItem", request);
}

// The worker that is killed with what it has taken.
async function take() {
  const item = await connect().work().next();
  process.send(operations(item).join(","));
  await new Promise(() => setInterval(() => {}, 1000));
}

main(process.argv[3] === "take" ? take : async () => {
  for (const operation of ["a", "b", "c"]) await signal("@Raw@x", operation, ` "${operation}" `);
  let w = connect().work();
  let item = await w.next();
  is(item.getEntityrequestv2().getInstanceid(), "@raw@x", "operations are handed out");
  is(operations(item), ["signal a", "signal b", "signal c"].slice(0, operations(item).length), "in their order");
  is(item.getEntityrequestv2().getOperationrequestsList()[0].getEntityoperationsignaled().getInput().getValue(), ' "a" ', "with the texts that were sent");

  await matches(complete("nonsense!", ["1"], "x"), /^5 /, "a token that never was");
  await complete(item.getCompletiontoken().replace(/.$/, (c) => (c === "0" ? "1" : "0")), ["1"], "forged");
  is(await entity("@raw@x"), undefined, "a token that is forged changes nothing");
  await matches(complete(item.getCompletiontoken(), Array(600).fill("1"), "too many"), /^3 .*results/, "more results than operations");
  is(await entity("@raw@x"), undefined, "change nothing");
  item = await w.next(2);
  check(item, "and the operations are handed out again");
  await complete(item.getCompletiontoken(), [], undefined, { failure: "the worker is broken" });
  item = await w.next(3);
  check(item, "so they are after a failure of the whole");
  await abandoned(item);
  item = await w.next(4);
  is(operations(item), ["signal a", "signal b", "signal c"], "and after they were abandoned, all that wait together");

  // A worker that is cut off: another one gets them at once.
  w.stream.cancel();
  const child = fork(__filename, [process.argv[2], "take"]);
  const taken = new Promise((done) => child.on("message", done));
  await abandoned(item);
  is(await taken, "signal a,signal b,signal c", "another worker gets them");
  child.kill("SIGKILL");
  const since = Date.now();
  w = connect().work();
  item = await w.next();
  is(operations(item), ["signal a", "signal b", "signal c"], "when the connection of a worker is lost, another one gets them");
  check(Date.now() - since < 10000, "before the lease ends", Date.now() - since);
  await complete(item.getCompletiontoken(), ["1"], '{"z":1,  "a":2}', { signals: [["@Raw@y", "told", "7"]], start: "raw_start" });
  await complete(item.getCompletiontoken(), ["1"], "twice");
  check(true, "an answer that comes twice is OK");
  await w.next(3);
  const of = (id) => w.items.find((i, n) => n > 0 && i.getEntityrequestv2()?.getInstanceid() === id);
  for (let i = 0; i < 400 && !(of("@raw@x") && of("@raw@y")); i++) await sleep(50);
  const [rest, told] = [of("@raw@x"), of("@raw@y")];
  is(operations(rest), ["signal b", "signal c"], "operations without results are handed out again");
  is(rest.getEntityrequestv2().getEntitystate().getValue(), '{"z":1,  "a":2}', "with the state, byte for byte");
  is(operations(told), ["signal told"], "an entity has been signalled by another one");
  for (let i = 0; i < 400 && !w.items.some((i) => i.hasOrchestratorrequest()); i++) await sleep(50);
  check(w.items.some((i) => i.hasOrchestratorrequest()), "and has started an orchestration");
  await matches(complete(told.getCompletiontoken(), ["1"], "x", { signals: [["nobody", "x", ""]] }), /^3 .*id of an entity/, "a signal to what is no entity is refused");
  await complete(rest.getCompletiontoken(), [new Error("no"), "2"], "both");
  for (let i = 0; i < 100 && (await entity("@raw@x")) !== "both"; i++) await sleep(50);
  is(await entity("@raw@x"), "both", "a failure of an operation is one of its own");
  is(await entity("@raw@y"), undefined, "what was refused has changed nothing");

  // Entities and orchestrations in SQL.
  await signal("@raw@sql", "begin");
  let n = w.items.length;
  const serve = async () => {
    for (; n < w.items.length; n++) {
      const request = w.items[n].getEntityrequestv2();
      if (request) await complete(w.items[n].getCompletiontoken(), operations(w.items[n]).map((o) => (o === "call fail" ? new Error("from JavaScript") : `"${o}"`)), `${operations(w.items[n]).length}`);
    }
  };
  const start = new pb.CreateInstanceRequest();
  start.setInstanceid("sql");
  start.setName("sql_caller");
  await call("startInstance", start);
  const get = new pb.GetInstanceRequest();
  get.setInstanceid("sql");
  get.setGetinputsandoutputs(true);
  let state;
  for (let i = 0; i < 400 && (state = (await call("getInstance", get)).getOrchestrationstate()).getOrchestrationstatus() % 6 === 0; i++) { await serve(); await sleep(50); }
  is(JSON.parse(state.getOutput()?.getValue() ?? "null"), ["call add", "WF010 from JavaScript"], "an orchestration in SQL calls an entity of workers, and gets its failure");
});
