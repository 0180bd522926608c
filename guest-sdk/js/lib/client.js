/** @import * as sdk from "../index.js" */
/** @import { ClientFailure, ClientPhase, ClientVerify, Made } from "./raw/types.js" */

import client from "./raw/client.js";

import { connectionOf } from "./connection.js";
import { ask } from "./errors.js";
import { Headers } from "./request.js";
import { fields, integer, optionalMilliseconds, optionalString, sessionOf, string } from "./values.js";

/**
 * @param {string} url
 * @param {sdk.ConnectOptions} options
 */
export function connect(url, options = {}) {
  const { protocols = [], verify = "full", version, compression = true, timeout, reconnect } = options;
  if (!Object.hasOwn(VERIFY, verify)) throw new TypeError("verify is full or allowSelfSigned");
  const id = ask(client.connect, {
    url: string(url, "a URL"),
    protocols: protocols.map((protocol) => string(protocol, "a subprotocol")),
    host: optionalString(options.host, "host"),
    origin: optionalString(options.origin, "origin"),
    headers: fields(options.headers),
    verify: VERIFY[verify],
    identity: optionalString(options.identity, "identity"),
    version: version == null ? null : integer(version, 255, "a version"),
    compression: Boolean(compression),
    timeoutMs: optionalMilliseconds(timeout, "timeout"),
    reconnect: reconnectOf(reconnect),
    session: sessionOf(options),
  });
  return connectionOf(id);
}

/** @type {Record<NonNullable<sdk.ConnectOptions["verify"]>, ClientVerify>} */
const VERIFY = { full: "full", allowSelfSigned: "allow-self-signed" };

/** @param {sdk.ConnectOptions["reconnect"]} reconnect */
function reconnectOf(reconnect) {
  if (reconnect == null || reconnect === false) return null;
  const { attemptsMax = 0, delay, delayMax } = reconnect === true ? {} : reconnect;
  return {
    attemptsMax: integer(attemptsMax, 0xffff_ffff, "attemptsMax"),
    delayMs: optionalMilliseconds(delay, "delay"),
    delayMaxMs: optionalMilliseconds(delayMax, "delayMax"),
  };
}

export function responseOf(connection) {
  const response = client.responseOf(connection.id);
  return response === null ? null : { status: response.status, headers: new Headers(response.headers) };
}

export function failureOf(connection) {
  const failure = client.failureOf(connection.id);
  return failure === null ? null : FAILURES[failure.tag](/** @type {never} */ (failure.val));
}

/** @type {Record<ClientPhase, string>} */
const PHASES = {
  connect: "connecting",
  tls: "the TLS handshake",
  handshake: "the opening handshake",
};

/** @type {Made<ClientFailure, sdk.Failure>} */
const FAILURES = {
  denied: (text) => ({ kind: "denied", message: `the address is not allowed: ${text}` }),
  unreachable: (text) => ({ kind: "unreachable", message: `the server cannot be reached: ${text}` }),
  tls: (text) => ({ kind: "tls", message: `TLS failed: ${text}` }),
  "timed-out": (phase) => ({ kind: "timedOut", phase, message: `${PHASES[phase]} took too long` }),
  ended: () => ({ kind: "ended", message: "the server ended the connection before it answered" }),
  refused: (status) => ({ kind: "refused", status, message: `the server refused with status ${status}` }),
  redirected: (location) => ({
    kind: "redirected",
    location,
    message: location === null
      ? "the server redirects without saying where"
      : `the server redirects to ${location}, which is not followed`,
  }),
  "invalid-response": (text) => ({ kind: "invalidResponse", message: `the answer is not valid HTTP: ${text}` }),
  "not-upgraded": () => ({ kind: "notUpgraded", message: "the answer does not upgrade to WebSocket" }),
  "accept-missing": () => ({ kind: "acceptMissing", message: "the answer has not one sec-websocket-accept" }),
  "accept-wrong": () => ({ kind: "acceptWrong", message: "sec-websocket-accept does not answer the key" }),
  "protocol-not-offered": () => ({
    kind: "protocolNotOffered",
    message: "the server chose a subprotocol that was not offered",
  }),
  "extension-not-offered": (extension) => ({
    kind: "extensionNotOffered",
    extension,
    message: `the server chose an extension that was not offered: ${extension}`,
  }),
};
