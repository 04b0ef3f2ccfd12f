// What a client of the SDK does with orchestrations in SQL: every RPC of TaskHubGrpcClient.
"use strict";

const { TaskHubGrpcClient, OrchestrationStatus: S, PurgeInstanceCriteria } = require("@microsoft/durabletask-js");
const { check, is, matches, main, quiet, sleep } = require("./report");

main(async () => {
  const c = new TaskHubGrpcClient({ hostAddress: `localhost:${process.argv[2]}`, logger: quiet });

  let id = await c.scheduleNewOrchestration("double", 21, "one");
  is(id, "one", "an id is taken");
  check(await c.waitForOrchestrationStart("one", false, 20), "its start can be waited for");
  let state = await c.waitForOrchestrationCompletion("one", true, 20);
  is([state.runtimeStatus, state.serializedInput, state.serializedOutput], [S.COMPLETED, "21", "42"], "and its end, with the output");
  state = await c.getOrchestrationState("one", false);
  is([state.name, state.runtimeStatus, state.serializedOutput], ["double", S.COMPLETED, undefined], "payloads only if they are asked for");
  id = await c.scheduleNewOrchestration("double", 1);
  check(/^[0-9a-f-]{32,36}$/.test(id), "an id is made");
  is(await c.getOrchestrationState("nobody", true), undefined, "what does not exist has no state");

  await c.scheduleNewOrchestration("patient", { name: "Jo" }, "two");
  await matches(c.scheduleNewOrchestration("patient", {}, "two"), /^6 /, "a live id is taken");
  await matches(c.waitForOrchestrationCompletion("two", false, 1), /Timeout|4 /i, "waiting ends in time");
  await c.suspendOrchestration("two");
  for (let i = 0; i < 200 && (await c.getOrchestrationState("two", false)).runtimeStatus !== S.SUSPENDED; i++) await sleep(50);
  is((await c.getOrchestrationState("two", false)).runtimeStatus, S.SUSPENDED, "suspended");
  await c.raiseOrchestrationEvent("two", "Go", { a: [1, "x", null], "ä": "\u{1f600} \"\\" });
  await c.resumeOrchestration("two");
  state = await c.waitForOrchestrationCompletion("two", true, 20);
  is(JSON.parse(state.serializedOutput), { a: [1, "x", null], "ä": "\u{1f600} \"\\" }, "resumed, and the event arrives whole");
  await c.raiseOrchestrationEvent("two", "Go", 1);
  check(true, "an event for what has ended is dropped");
  await matches(c.raiseOrchestrationEvent("nobody", "Go", 1), /^5 /, "an event for nobody is not");
  await matches(c.suspendOrchestration("nobody"), /^5 /, "nobody cannot be suspended");
  await matches(c.resumeOrchestration("nobody"), /^5 /, "nor resumed");

  await c.scheduleNewOrchestration("patient", 1, "three");
  await c.terminateOrchestration("three", { why: "enough" });
  state = await c.waitForOrchestrationCompletion("three", true, 20);
  is([state.runtimeStatus, state.serializedOutput], [S.TERMINATED, '{"why":"enough"}'], "terminated, with the output as it was");
  await c.terminateOrchestration("three", 1);
  check(true, "terminating twice is not an error");

  await c.scheduleNewOrchestration("broken", 1, "four");
  state = await c.waitForOrchestrationCompletion("four", true, 20);
  is(state.runtimeStatus, S.FAILED, "a failure");
  check(/it broke/.test(state.failureDetails.message), "with its message");
  await matches(c.rewindInstance("one", "no"), /not allow/i, "what has not failed is not rewound");
  await matches(c.rewindInstance("nobody", "no"), /nobody|not found/i, "nor what does not exist");
  await c.rewindInstance("four", "again");
  check(true, "what has failed is rewound");
  state = await c.waitForOrchestrationCompletion("four", true, 20);
  is(state.runtimeStatus, S.FAILED, "and fails again");

  is(await c.restartOrchestration("one", false), "one", "restarted in place");
  state = await c.waitForOrchestrationCompletion("one", true, 20);
  is(state.serializedOutput, "42", "it runs again");
  id = await c.restartOrchestration("one", true);
  check(id !== "one", "or under a new id");
  is((await c.waitForOrchestrationCompletion(id, true, 20)).serializedOutput, "42", "with the same input");
  await matches(c.restartOrchestration("nobody", false), /nobody|not found/i, "nobody cannot be restarted");

  const history = await c.getOrchestrationHistory("one");
  is(history.map((e) => e.type), ["ExecutionStarted", "ExecutionCompleted"], "a history");
  check(history.every((e) => e.timestamp instanceof Date), "with times");

  const later = new Date(Date.now() + 3600 * 1000);
  await c.scheduleNewOrchestration("double", 3, "later", later);
  is((await c.getOrchestrationState("later", true)).runtimeStatus, S.PENDING, "a start that is for later");

  for (let i = 0; i < 7; i++) await c.scheduleNewOrchestration("double", i, `page-${i}`);
  for (let i = 0; i < 7; i++) await c.waitForOrchestrationCompletion(`page-${i}`, false, 20);
  const found = [];
  let pages = 0;
  for await (const page of c.getAllInstances({ instanceIdPrefix: "page-", pageSize: 3, fetchInputsAndOutputs: true }).asPages()) {
    pages++;
    found.push(...page.values);
  }
  is(found.map((s) => s.instanceId).sort(), [0, 1, 2, 3, 4, 5, 6].map((i) => `page-${i}`), "a query finds all of a prefix");
  check(pages >= 3, "in pages");
  is(found.find((s) => s.instanceId === "page-5").serializedOutput, "10", "with payloads");
  const failed = [];
  for await (const s of c.getAllInstances({ statuses: [S.FAILED] })) failed.push(s.instanceId);
  is(failed, ["four"], "a query finds those of a status");
  const none = [];
  for await (const s of c.getAllInstances({ createdFrom: later })) none.push(s);
  is(none, [], "or of a time");
  let ids = [];
  let page = await c.listInstanceIds({ runtimeStatus: [S.COMPLETED], pageSize: 4 });
  while (page) {
    ids.push(...page.values);
    page = page.continuationToken ? await c.listInstanceIds({ runtimeStatus: [S.COMPLETED], pageSize: 4, lastInstanceKey: page.continuationToken }) : undefined;
  }
  is(ids.filter((i) => i.startsWith("page-")).length, 7, "ids can be listed in pages");

  is((await c.purgeOrchestration("page-0")).deletedInstanceCount, 1, "one is purged");
  is((await c.purgeOrchestration("page-0"))?.deletedInstanceCount ?? 0, 0, "once");
  is((await c.purgeOrchestration("later"))?.deletedInstanceCount ?? 0, 0, "what has not ended is not");
  const criteria = new PurgeInstanceCriteria();
  criteria.setCreatedTimeFrom(new Date(Date.now() - 3600 * 1000));
  criteria.setRuntimeStatusList([S.TERMINATED]);
  is((await c.purgeOrchestration(criteria)).deletedInstanceCount, 1, "those of a filter are");
  is(await c.getOrchestrationState("three", false), undefined, "and are gone");
  await c.stop();
});
