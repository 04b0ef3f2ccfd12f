// The status that each SQLSTATE becomes: node statuses.js PORT SQLSTATE=STATUS ...
// The functions of the database raise what the id of the instance says.
"use strict";

const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb");
const { matches, main } = require("./report");
const { call } = require("./stubs");

main(async () => {
  for (const [sqlstate, status] of process.argv.slice(3).map((pair) => pair.split("="))) {
    const request = new pb.GetInstanceRequest();
    request.setInstanceid(sqlstate);
    await matches(call("getInstance", request), status === "13" ? /^13 An error has occurred in the server/ : new RegExp(`^${status} raised ${sqlstate}`), `${sqlstate} is ${status}`);
  }
  const request = new pb.TerminateRequest();
  request.setInstanceid("lost");
  await matches(call("terminateInstance", request), /^2 .*not known/, "a connection that is lost in a statement that must not be repeated");
});
