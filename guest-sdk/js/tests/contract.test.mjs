// The SDK covers the contract: what is generated from wit/ is compared with what is written by hand, over a host that is not there.
//
// Run with `node --test guest-sdk/js/tests/`. What types can tell, `tsc -p guest-sdk/js/tests` does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CASES, EXPORTED, IMPORTS } from "./contract.js";
import { answers, asked } from "./host.js";

const sdk = await import("../index.js");
const { ask } = await import("../lib/errors.js");
const { exportsOf } = await import("../lib/glue.js");
const { EXPORT_OF_METHOD } = await import("../lib/methods.js");
const { EXPORTS } = await import("../lib/raw/exports.js");
const { slowPolicy } = await import("../lib/values.js");

const connection = sdk.Connection.from(7);

/** Everything of the SDK that asks the host. */
const CALLS = [
  () => connection.send("text"),
  () => connection.sendChunk("text", "part", true),
  () => connection.ping(),
  () => connection.pong(),
  () => connection.close(),
  () => connection.abort(),
  () => connection.buffered,
  () => connection.wantWritable(),
  () => connection.setSlowPolicy("wait"),
  () => connection.dropped,
  () => connection.pause(),
  () => connection.request,
  () => connection.protocol,
  () => connection.sessionBytes,
  () => (connection.session = 1),
  () => connection.subscribe("topic"),
  () => connection.unsubscribe("topic"),
  () => connection.setTimer(1),
  () => sdk.Timer.from(1).cancel(),
  () => sdk.setTimer(1),
  () => sdk.wantWritableAll(),
  () => sdk.setAutoReply("text", new Uint8Array(1)),
  () => sdk.publish("topic", "text"),
  () => sdk.broadcast("text"),
  () => sdk.setSlowPolicy("topic", { disconnect: 4000 }),
  () => sdk.droppedOf("topic"),
  () => sdk.connect("ws://host/", { reconnect: true }),
  () => sdk.failureOf(connection),
  () => sdk.responseOf(connection),
  () => sdk.hostname(),
  () => sdk.handlerName(),
  () => sdk.config("key"),
  () => sdk.connectionCount(),
];

test("every function of the host is called", () => {
  answers.set("client.connect", 8);
  asked.clear();
  for (const call of CALLS) call();
  const { "packed-send": _, ...imports } = IMPORTS;
  const expected = Object.entries(imports).flatMap(([name, all]) => Object.keys(all).map((method) => `${name}.${method}`));
  assert.deepEqual([...asked].sort(), expected.sort());
});

test("every error is one of the SDK", () => {
  for (const [name, methods] of Object.entries(IMPORTS)) {
    for (const [method, errors] of Object.entries(methods)) {
      for (const tag of errors) {
        const refuse = () => {
          throw Object.assign(new Error(), { payload: { tag, val: [1] } });
        };
        assert.throws(() => ask(refuse), sdk.WsrunError, `${tag} of ${name}.${method}`);
      }
    }
  }
});

test("every failure has its words", () => {
  const kinds = CASES.ClientFailure.map((tag) => {
    answers.set("client.failureOf", { tag, val: "connect" });
    return sdk.failureOf(connection).kind;
  });
  assert.equal(new Set(kinds).size, CASES.ClientFailure.length);
  const phases = CASES.ClientPhase.map((val) => {
    answers.set("client.failureOf", { tag: "timed-out", val });
    return sdk.failureOf(connection).message;
  });
  assert.ok(phases.every((text) => !text.includes("undefined")), phases.join());
});

test("every policy can be set", () => {
  const policies = ["wait", "dropOldest", "dropNewest", "latestOnly", { disconnect: 4000 }];
  assert.deepEqual(policies.map((policy) => slowPolicy(policy).tag), CASES.SlowPolicy);
});

test("every export has its functions", () => {
  const { packed: _, ...exported } = EXPORTED;
  const found = Object.entries(exportsOf({})).map(([name, methods]) => [
    name,
    Object.fromEntries(Object.entries(methods).map(([method, body]) => [method, body.length])),
  ]);
  assert.deepEqual(Object.fromEntries(found), exported);
});

test("every export belongs to a method", () => {
  assert.deepEqual([...new Set(["handler", "packed", ...Object.values(EXPORT_OF_METHOD)])].sort(), Object.keys(EXPORTS).sort());
});
