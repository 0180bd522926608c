import connections from "./raw/connections.js";
import timers from "./raw/timers.js";
import topics from "./raw/topics.js";

import { ask } from "./errors.js";
import { requestOf } from "./request.js";
import {
  bytes,
  bytesOrText,
  closeCode,
  decodeSession,
  encodeSession,
  integer,
  message,
  milliseconds,
  optionalString,
  slowPolicy,
  string,
} from "./values.js";

export class Connection {
  #id;

  constructor(id) {
    this.#id = id;
  }

  /** The connection with this number: the same object as callbacks are given, while it is open. */
  static from(id) {
    return open.get(integer(id, Number.MAX_SAFE_INTEGER, "the id of a connection")) ?? new Connection(id);
  }

  get id() {
    return this.#id;
  }

  send(data) {
    ask(connections.send, this.#id, message(data));
  }

  sendChunk(kind, data, last) {
    if (kind !== "text" && kind !== "binary") throw new TypeError("a message is text or binary");
    ask(connections.sendChunk, this.#id, kind === "text", bytesOrText(data), Boolean(last));
  }

  ping(payload = "") {
    ask(connections.ping, this.#id, bytesOrText(payload));
  }

  pong(payload = "") {
    ask(connections.pong, this.#id, bytesOrText(payload));
  }

  close(code = 1000, reason = "") {
    connections.close(this.#id, closeCode(code), string(reason, "the reason of a close"));
  }

  abort() {
    connections.abort(this.#id);
  }

  get buffered() {
    return connections.buffered(this.#id);
  }

  wantWritable() {
    connections.wantWritable(this.#id);
  }

  setSlowPolicy(policy) {
    connections.setSlowPolicy(this.#id, slowPolicy(policy));
  }

  get dropped() {
    return connections.dropped(this.#id);
  }

  pause() {
    connections.receiveFlow(this.#id, false);
  }

  resume() {
    connections.receiveFlow(this.#id, true);
  }

  get request() {
    const request = connections.requestOf(this.#id);
    return request === null ? null : requestOf(request);
  }

  get protocol() {
    return connections.protocol(this.#id);
  }

  get session() {
    return decodeSession(this.sessionBytes);
  }

  set session(value) {
    this.sessionBytes = encodeSession(value);
  }

  get sessionBytes() {
    return connections.session(this.#id);
  }

  set sessionBytes(data) {
    ask(connections.setSession, this.#id, bytes(data));
  }

  subscribe(topic) {
    return ask(topics.subscribe, this.#id, string(topic, "a topic"));
  }

  unsubscribe(topic) {
    return topics.unsubscribe(this.#id, string(topic, "a topic"));
  }

  setTimer(after, tag = 0) {
    return startTimer(after, tag, this.#id);
  }
}

export class Timer {
  #id;

  constructor(id) {
    this.#id = id;
  }

  static from(id) {
    return new Timer(integer(id, Number.MAX_SAFE_INTEGER, "the id of a timer"));
  }

  get id() {
    return this.#id;
  }

  cancel() {
    return timers.cancel(this.#id);
  }
}

export function setTimer(after, tag = 0) {
  return startTimer(after, tag, null);
}

/** @param {{ protocol?: string | null }} options */
export function wantWritableAll({ protocol } = {}) {
  connections.wantWritableAll(optionalString(protocol, "a subprotocol"));
}

export function setAutoReply(received, reply) {
  ask(connections.setAutoReply, message(received), reply == null ? null : message(reply));
}

/** The objects of connections that callbacks were called for: each is the same one until it has closed. */
const open = new Map();

export function connectionOf(id) {
  let connection = open.get(id);
  if (connection === undefined) {
    // The engine has given the next number that it can have, which may be another connection's.
    if (!Number.isSafeInteger(id)) throw new RangeError("a host with more than 32 workers has ids that are no numbers of JavaScript");
    connection = new Connection(id);
    open.set(id, connection);
  }
  return connection;
}

export function forget(connection) {
  open.delete(connection.id);
}

function startTimer(after, tag, connection) {
  const wait = milliseconds(after, "the time of a timer");
  return new Timer(ask(timers.set, wait, integer(tag, Number.MAX_SAFE_INTEGER, "the tag of a timer"), connection));
}
