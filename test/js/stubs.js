// Calls by the SDK's generated stubs, for programs that say what an honest client does not say.
"use strict";

const grpc = require("@grpc/grpc-js");
const pb = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_pb");
const stubs = require("@microsoft/durabletask-js/dist/proto/orchestrator_service_grpc_pb");
const { StringValue } = require("google-protobuf/google/protobuf/wrappers_pb");
const { sleep } = require("./report");

const address = `localhost:${process.argv[2]}`;
function text(value) {
  const wrapped = new StringValue();
  wrapped.setValue(value);
  return wrapped;
}

// A connection of its own.
function connect() {
  const stub = new stubs.TaskHubSidecarServiceClient(address, grpc.credentials.createInsecure(),
    { "grpc.max_receive_message_length": -1, "grpc.use_local_subchannel_pool": 1 });

  function call(name, request, options = {}) {
    return new Promise((done, fail) => {
      const metadata = new grpc.Metadata();
      for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
      stub[name](request, metadata, options.deadline ? { deadline: Date.now() + options.deadline } : {}, (error, answer) => error ? fail(error) : done(answer));
    });
  }

  // A stream of work, and the items that have come.
  function work(configure = () => {}) {
    const request = new pb.GetWorkItemsRequest();
    configure(request);
    const stream = stub.getWorkItems(request, new grpc.Metadata());
    const items = [];
    stream.on("data", (item) => { if (!item.hasHealthping()) items.push(item); });
    stream.on("error", () => {});
    return { items, stream, async next(n = 1) {
      for (let i = 0; i < 400 && items.length < n; i++) await sleep(50);
      return items[n - 1];
    } };
  }

  return { stub, call, work };
}

module.exports = { address, text, connect, ...connect() };
