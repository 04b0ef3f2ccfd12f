// The five workflows of the Durable Dungeon, with the worker of Microsoft's Durable Task SDK. The activities that they call are functions
// in SQL: extension/durable_dungeon/30_activities.sql. The same workflows in SQL: extension/durable_dungeon/40_orchestrations.sql.
//
//     node worker.js [ADDRESS]      of "durable serve --grpc", localhost:4001 if it is not given
"use strict";

const { TaskHubGrpcWorker, whenAll, whenAny } = require("@microsoft/durabletask-js");

const narrate = (ctx, player, message) => ctx.callActivity("Narrate", { player, message });

// The first activity of each workflow: from then on the game knows this instance as one of the player's.
const myself = (ctx, workflow, player) => ({ player, workflow, instance: ctx.instanceId });

// Another workflow of the same game. Instance ids look like GameMonitorWorkflow:Pat-0f3ac9d2b1e8. The version, "external", says that it is
// one of these and not one in SQL.
const sameGame = (ctx, workflow) => ({
  instanceId: `${workflow}:${ctx.instanceId.replace(/^[^:]*:/, "")}`,
  version: ctx.version,
});

const after = (ctx, seconds) => new Date(ctx.currentUtcDateTime.getTime() + seconds * 1000);

// Makes player, monster, room and inventory side by side, then asks the player; returns whether he confirmed.
async function* runUserParallelWorkflow(ctx, player) {
  yield ctx.callActivity("SignIn", myself(ctx, "RunUserParallelWorkflow", player));

  yield whenAll([
    ctx.callActivity("CreateUser", player),
    ctx.callActivity("CreateMonster", player),
    ctx.callActivity("CreateRoom", player),
    ctx.callActivity("CreateInventory", player),
  ]);

  return yield ctx.callSubOrchestrator("UserConfirmationWorkflow", player, sameGame(ctx, "UserConfirmationWorkflow"));
}

// Waits for the event ApprovalTask, but not for ever, and lets the player in or kills him; returns whether he confirmed.
async function* userConfirmationWorkflow(ctx, player) {
  yield ctx.callActivity("SignIn", myself(ctx, "UserConfirmationWorkflow", player));

  const settings = yield ctx.callActivity("ReadSettings");
  yield narrate(ctx, player, `The gatekeeper turns an hourglass: ${player} has ${settings.patience} to confirm, or the trapdoor opens.`);

  const approval = ctx.waitForExternalEvent("ApprovalTask");
  const deadline = ctx.createTimer(after(ctx, settings.seconds.confirm_timeout));
  let confirmed = false;

  if ((yield whenAny([approval, deadline])) === approval) {
    confirmed = String(approval.getResult()) === "true";
    deadline.cancel();
  }

  if (confirmed) {
    yield narrate(ctx, player, `${player} has confirmed. The gatekeeper stops the hourglass and lets down a ladder.`);
    // It is started and left alone: nothing waits for the task that this returns.
    ctx.callSubOrchestrator("RunUserSequentialWorkflow", player, sameGame(ctx, "RunUserSequentialWorkflow"));
  } else {
    yield narrate(ctx, player, `${player} has not confirmed. The gatekeeper reaches for a lever.`);
    yield ctx.callActivity("KillUser", player);
  }

  yield narrate(ctx, player, `The gatekeeper closes the file on ${player}. The confirmation is over.`);
  return confirmed;
}

// Looks at the player now and then until he is dead, has the treasure, or time is up; returns the last that was seen.
async function* userMonitorWorkflow(ctx, player) {
  yield ctx.callActivity("SignIn", myself(ctx, "UserMonitorWorkflow", player));

  const { seconds } = yield ctx.callActivity("ReadSettings");
  const deadline = after(ctx, seconds.monitor_timeout);
  let state = "missing";

  while (ctx.currentUtcDateTime < deadline) {
    state = yield ctx.callActivity("MonitorUser", player);
    if (state === "dead" || state === "treasure") break;
    yield ctx.createTimer(after(ctx, seconds.monitor_interval));
  }

  const entry = {
    dead: `The watchman writes "${player}: gone" and goes home.`,
    treasure: `The watchman writes "${player}: rich" and goes home.`,
  };
  yield narrate(ctx, player, entry[state] ?? `The watchman writes "${player}: no news", for his shift has ended, and goes home.`);
  return state;
}

// Sets the scene step by step, then starts the game's monitor; returns the monitor's instance id.
async function* runUserSequentialWorkflow(ctx, player) {
  yield ctx.callActivity("SignIn", myself(ctx, "RunUserSequentialWorkflow", player));

  yield ctx.callActivity("PlaceUser", player);
  yield ctx.callActivity("PlaceWeapon", player);
  yield ctx.callActivity("PlaceMonster", player);
  yield ctx.callActivity("PlaceTreasure", player);

  const monitor = sameGame(ctx, "GameMonitorWorkflow");
  ctx.callSubOrchestrator("GameMonitorWorkflow", player, monitor);
  return monitor.instanceId;
}

// Waits for the events KillMonster and GotTreasure in any order; then the player has won.
async function* gameMonitorWorkflow(ctx, player) {
  yield ctx.callActivity("OpenGame", myself(ctx, "GameMonitorWorkflow", player));

  yield whenAll([ctx.waitForExternalEvent("KillMonster"), ctx.waitForExternalEvent("GotTreasure")]);

  yield narrate(ctx, player, `The monster is slain, the treasure is taken: ${player} has won! Somewhere a band begins to play.`);
  return "won";
}

async function main() {
  const worker = new TaskHubGrpcWorker({ hostAddress: process.argv[2] ?? "localhost:4001" });

  worker.addNamedOrchestrator("RunUserParallelWorkflow", runUserParallelWorkflow);
  worker.addNamedOrchestrator("UserConfirmationWorkflow", userConfirmationWorkflow);
  worker.addNamedOrchestrator("UserMonitorWorkflow", userMonitorWorkflow);
  worker.addNamedOrchestrator("RunUserSequentialWorkflow", runUserSequentialWorkflow);
  worker.addNamedOrchestrator("GameMonitorWorkflow", gameMonitorWorkflow);
  await worker.start();

  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => worker.stop().then(() => process.exit(0)));
  }
}

main();
