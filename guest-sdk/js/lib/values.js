// Values on their way to the host. What does not fit the contract would trap in the runtime with a text that nobody understands: it is a
// TypeError or a RangeError here.

/** @import { Message, SlowPolicy } from "./raw/types.js" */

/**
 * A message: a string is text, bytes are binary.
 *
 * @returns {Message}
 */
export function message(value) {
  return typeof value === "string"
    ? { tag: "text", val: value.toWellFormed() }
    : { tag: "binary", val: bytes(value) };
}

/** @returns {Uint8Array} */
export function bytes(value) {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`a string or bytes are needed, not ${kindOf(value)}`);
}

/** Bytes, or text as UTF-8. */
export function bytesOrText(value) {
  return typeof value === "string" ? new TextEncoder().encode(value) : bytes(value);
}

export function string(value, what) {
  if (typeof value !== "string") throw new TypeError(`${what} is a string, not ${kindOf(value)}`);
  return value.toWellFormed();
}

export function optionalString(value, what) {
  return value == null ? null : string(value, what);
}

export function integer(value, max, what) {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`${what} is a whole number from 0 to ${max}, not ${String(value)}`);
  }
  return value;
}

/** Milliseconds, rounded up: nothing comes earlier than asked for. */
export function milliseconds(value, what) {
  if (typeof value !== "number" || !(value >= 0)) {
    throw new RangeError(`${what} is a number of milliseconds, not ${String(value)}`);
  }
  return Math.min(Math.ceil(value), 0xffff_ffff);
}

export function optionalMilliseconds(value, what) {
  return value == null ? null : milliseconds(value, what);
}

/** A close code that may be sent: the host traps on any other. */
export function closeCode(code) {
  const standard = (code >= 1000 && code <= 1003) || code === 1005 || (code >= 1007 && code <= 1014);
  if (!Number.isInteger(code) || !(standard || (code >= 3000 && code <= 4999))) {
    throw new RangeError(`${String(code)} is no close code that may be sent`);
  }
  return code;
}

/**
 * Header fields: an object, or a list of pairs where a name comes more than once.
 *
 * @returns {[string, string][]}
 */
export function fields(headers) {
  if (headers == null) return [];
  const pairs = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return pairs.map(([name, value]) => [string(name, "the name of a header field"), string(value, `the header field ${name}`)]);
}

/** @type {{ [K in Exclude<SlowPolicy["tag"], "disconnect">]: Exclude<import("../index.js").SlowPolicy, object> }} */
const SLOW_POLICIES = { wait: "wait", "drop-oldest": "dropOldest", "drop-newest": "dropNewest", "latest-only": "latestOnly" };

/** @returns {SlowPolicy | null} */
export function slowPolicy(policy) {
  if (policy == null) return null;
  const tag = Object.keys(SLOW_POLICIES).find((tag) => SLOW_POLICIES[tag] === policy);
  if (tag !== undefined) return /** @type {SlowPolicy} */ ({ tag });
  if (typeof policy === "object" && "disconnect" in policy) return { tag: "disconnect", val: closeCode(policy.disconnect) };
  throw new TypeError("a slow policy is wait, dropOldest, dropNewest, latestOnly or { disconnect: code }");
}

/**
 * Session data: a value as JSON, `undefined` for none, or bytes as they are.
 *
 * @param {import("../index.js").SessionOptions} options
 */
export function sessionOf({ session, sessionBytes }) {
  return sessionBytes === undefined ? encodeSession(session) : bytes(sessionBytes);
}

export function encodeSession(value) {
  if (value === undefined) return new Uint8Array(0);
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError("session data is a value that has a JSON form");
  return new TextEncoder().encode(json);
}

export function decodeSession(data) {
  return data.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(data));
}

function kindOf(value) {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}
