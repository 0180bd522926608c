// Between what the host calls and the methods of a handler.

import { Acceptance, HttpResponse, Refusal } from "./answers.js";
import { Timer, connectionOf, forget } from "./connection.js";
import { httpRequestOf, requestOf } from "./request.js";
import { bytesOrText } from "./values.js";

/** @import { Exports } from "./raw/exports.js" */

/**
 * The exports of the component for a handler: a class, of which one is made before the first callback, or an object.
 *
 * @returns {Omit<Exports, "packed">}
 */
export function exportsOf(definition) {
  let handler = typeof definition === "function" ? undefined : definition;

  const call = (method, ...values) => {
    try {
      handler ??= new definition();
      const result = handler[method]?.(...values);
      if (typeof result?.then === "function") {
        throw new TypeError(`${method} returns a promise: what is sent later has no callback to belong to`);
      }
      return result;
    } catch (error) {
      console.error(error);
      throw error;
    }
  };

  return {
    handler: {
      opened: (id) => call("opened", connectionOf(id)),
      received: (id, message) => call("received", connectionOf(id), message.val),
      closed: (id, info) => {
        const connection = connectionOf(id);
        call("closed", connection, info);
        forget(connection);
      },
    },
    handshake: {
      requested: (request) => {
        const answer = call("handshake", requestOf(request)) ?? new Acceptance();
        if (answer instanceof Refusal) throw answer.value;
        return expected(answer, Acceptance, "handshake returns accept(…), refuse(…) or nothing");
      },
    },
    writable: {
      writable: (id) => call("writable", connectionOf(id)),
    },
    chunks: {
      receivedChunk: (id, { text, data, first, final, remaining }) => {
        const chunk = { kind: text ? "text" : "binary", data, first, last: final, remaining };
        call("receivedChunk", connectionOf(id), chunk);
      },
    },
    broadcastFilter: {
      wanted: (id, message) => Boolean(call("wanted", connectionOf(id), message.val)),
    },
    networkFilter: {
      accepts: (peer, local) => Boolean(call("accepts", peer, local)),
    },
    http: {
      requested: (method, request, body) =>
        expected(call("http", httpRequestOf(method, request, body)), HttpResponse, "http returns an HttpResponse"),
    },
    reconnection: {
      lost: (id, info, attempt, after) => call("lost", connectionOf(id), info, attempt, after),
      restored: (id) => call("restored", connectionOf(id)),
    },
    pong: {
      pong: (id, payload) => call("pong", connectionOf(id), payload),
    },
    timerHandler: {
      fired: (timer, tag, id) => call("timer", tag, id === null ? null : connectionOf(id), new Timer(timer)),
    },
    lifecycle: {
      started: () => call("started"),
      resumed: (id) => call("resumed", connectionOf(id)),
      save: () => bytesOrText(call("save") ?? ""),
      restore: (state) => {
        try {
          call("restore", new SavedState(state));
        } catch (/** @type {any} */ error) {
          throw String(error?.message ?? error);
        }
      },
      draining: (deadline) => call("draining", deadline),
    },
  };
}

function expected(value, kind, text) {
  if (value instanceof kind) return value.value;
  const error = new TypeError(text);
  console.error(error);
  throw error;
}

class SavedState {
  #data;

  constructor(data) {
    this.#data = data;
  }

  bytes() {
    return this.#data;
  }

  text() {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.#data);
  }

  json() {
    return JSON.parse(this.text());
  }
}
