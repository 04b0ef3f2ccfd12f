// Reports of checks, for test/lib/SdkTest.pm.
"use strict";

const { isDeepStrictEqual, inspect } = require("util");

function check(ok, name, why) {
  console.log(JSON.stringify({ ok: !!ok, name, why: ok ? undefined : why }));
}

function is(found, expected, name) {
  check(isDeepStrictEqual(found, expected), name, `found ${inspect(found)}, expected ${inspect(expected)}`);
}

// The status of gRPC with which a promise is rejected, and its text; the SDK wraps some of them.
async function status(promise) {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return `${error.code ?? error.constructor.name} ${error.details ?? error.message}`;
  }
}

async function matches(promise, pattern, name) {
  const found = await status(promise);
  check(pattern.test(found), name, `found ${found}, expected ${pattern}`);
}

function main(body) {
  body().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
}

const quiet = { error() {}, warn() {}, info() {}, debug() {} };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

module.exports = { check, is, status, matches, main, quiet, sleep };
