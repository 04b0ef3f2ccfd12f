// Starts work, and waits for it, whatever fails meanwhile: node killed_client.js PORT NUMBER
"use strict";

const { TaskHubGrpcClient, OrchestrationStatus: S } = require("@microsoft/durabletask-js");
const { check, is, main, quiet, sleep } = require("./report");

// An id makes a repeated start harmless: it is taken then.
async function again(what) {
  for (let i = 0; ; i++) {
    try { return await what(); } catch (error) {
      if (error.code === 6) return undefined;
      if (i > 600) throw error;
      await sleep(200);
    }
  }
}

main(async () => {
  const c = new TaskHubGrpcClient({ hostAddress: `localhost:${process.argv[2]}`, logger: quiet });
  const n = Number(process.argv[3]);
  for (let i = 0; i < n; i++) {
    // Without a policy an instance that has ended would be replaced.
    await again(async () => (await c.getOrchestrationState(`w${i}`, false)) ?? (await c.scheduleNewOrchestration("Work", i, `w${i}`)));
    await sleep(Number(process.argv[4]));
  }
  const states = await Promise.all([...Array(n).keys()].map((i) => again(() => c.waitForOrchestrationCompletion(`w${i}`, true, 120))));
  is(states.filter((s) => s.runtimeStatus === S.COMPLETED).length, n, "all of them have completed");
  check(states.every((s, i) => s.serializedOutput === String((i + 1) * 10)), "with the right outputs");
});
