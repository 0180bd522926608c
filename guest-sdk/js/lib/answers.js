// What `handshake` and `http` return.

/** @import * as sdk from "../index.js" */
/** @import { HandshakeAcceptance, HandshakeRefusal, HttpBody, HttpResponse as HttpAnswer } from "./raw/types.js" */

import { bytesOrText, fields, integer, optionalString, sessionOf, string } from "./values.js";

export class Acceptance {
  /** @param {NonNullable<Parameters<typeof sdk.accept>[0]>} options */
  constructor(options = {}) {
    /** @type {HandshakeAcceptance} */
    this.value = {
      protocol: optionalString(options.protocol, "a subprotocol"),
      headers: fields(options.headers),
      session: sessionOf(options),
    };
  }
}

export class Refusal {
  /**
   * @param {number} status
   * @param {Parameters<typeof sdk.refuse>[1]} options
   */
  constructor(status, { headers, body = "" } = {}) {
    /** @type {HandshakeRefusal} */
    this.value = {
      status: integer(status, 0xffff, "a status"),
      headers: fields(headers),
      body: string(body, "the body of a refusal"),
    };
  }
}

export function accept(options) {
  return new Acceptance(options);
}

export function refuse(status, options) {
  return new Refusal(status, options);
}

export class HttpResponse {
  /**
   * @param {sdk.MessageToSend | null} body
   * @param {sdk.HttpResponseInit} init
   */
  constructor(body = null, { status = 200, headers } = {}) {
    const type = typeof body === "string" ? "text/plain; charset=utf-8" : body === null ? null : "application/octet-stream";
    const data = body === null ? new Uint8Array(0) : bytesOrText(body);
    this.value = response({ tag: "bytes", val: data }, type, status, headers);
  }

  /**
   * @param {string} html
   * @param {sdk.HttpResponseInit} init
   */
  static html(html, init = {}) {
    return new HttpResponse(string(html, "HTML"), typed("text/html; charset=utf-8", init));
  }

  /**
   * @param {unknown} value
   * @param {sdk.HttpResponseInit} init
   */
  static json(value, init = {}) {
    const json = JSON.stringify(value);
    if (json === undefined) throw new TypeError("the value has no JSON form");
    return new HttpResponse(json, typed("application/json", init));
  }

  /**
   * @param {string} path
   * @param {sdk.HttpResponseInit} init
   */
  static file(path, { status = 200, headers } = {}) {
    const file = new HttpResponse();
    file.value = response({ tag: "file", val: string(path, "the path of a file") }, null, status, headers);
    return file;
  }
}

/**
 * @param {HttpBody} body
 * @returns {HttpAnswer}
 */
function response(body, type, status, headers) {
  const all = fields(headers);
  if (type !== null && !hasType(all)) all.push(["content-type", type]);
  return { status: integer(status, 0xffff, "a status"), headers: all, body };
}

function typed(type, init) {
  const all = fields(init.headers);
  return { ...init, headers: hasType(all) ? all : [...all, ["content-type", type]] };
}

function hasType(all) {
  return all.some(([name]) => name.toLowerCase() === "content-type");
}
