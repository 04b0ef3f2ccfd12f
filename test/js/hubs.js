// Task hubs, tokens and TLS: node hubs.js PORT CA
"use strict";

const fs = require("fs");
const net = require("net");
const grpc = require("@grpc/grpc-js");
const { TaskHubGrpcClient } = require("@microsoft/durabletask-js");
const { check, is, matches, main, quiet } = require("./report");

const address = `localhost:${process.argv[2]}`;
const ca = fs.readFileSync(process.argv[3]);

function client(hub, token, credentials = grpc.credentials.createSsl(ca)) {
  return new TaskHubGrpcClient({ hostAddress: address, logger: quiet, credentials, metadataGenerator: async () => {
    const metadata = new grpc.Metadata();
    if (hub) metadata.set("taskhub", hub);
    if (token) metadata.set("authorization", `Bearer ${token}`);
    return metadata;
  } });
}

main(async () => {
  const one = client("one", "first secret");
  await one.scheduleNewOrchestration("double", 4, "mine");
  is((await one.waitForOrchestrationCompletion("mine", true, 30)).serializedOutput, "8", "over TLS, with a token");
  is((await client(undefined, "first secret").getOrchestrationState("mine", true)).serializedOutput, "8", "the token alone tells the hub");
  is((await client("one", "second secret of it").getOrchestrationState("mine", true)).serializedOutput, "8", "a hub may have several tokens");
  const two = client("two", "other secret");
  is(await two.getOrchestrationState("mine", true), undefined, "another hub does not see its instances");
  await matches(two.raiseOrchestrationEvent("mine", "x", 1), /^5 /, "and cannot send them events");
  for (const [hub, token, name] of [["one", undefined, "no token"], ["one", "nonsense", "a token that is none"], ["one", "other secret", "a token of another hub"],
    ["three", "first secret", "a hub that does not exist"], [undefined, undefined, "neither hub nor token"], ["one", "x".repeat(8000), "a token that is long"]]) {
    await matches(client(hub, token).getOrchestrationState("mine", true), /^16 /, `${name}: UNAUTHENTICATED`);
  }
  await matches(client("one", "first secret", grpc.credentials.createInsecure()).getOrchestrationState("mine", false), /^14 /, "no cleartext where there is TLS");
  await matches(client("one", "first secret", grpc.credentials.createSsl()).getOrchestrationState("mine", false), /^14 /, "and clients can tell that the certificate is ours");

  // Connections that say nothing, or nonsense, hold up nobody.
  const sockets = [...Array(50).keys()].map((i) => { const s = net.connect(Number(process.argv[2]), "127.0.0.1"); s.on("error", () => {}); if (i % 2) s.write("GET / HTTP/1.1\r\n\r\n"); return s; });
  is((await one.getOrchestrationState("mine", true)).serializedOutput, "8", "fifty connections of nonsense hold up nobody");
  sockets.forEach((s) => s.destroy());
});
