/** @import { Request as RawRequest } from "./raw/types.js" */

/** Header fields in order, names in lower case. */
export class Headers {
  #fields;

  constructor(fields) {
    this.#fields = fields;
  }

  get(name) {
    const value = this.bytes(name);
    if (value === null) return null;
    try {
      return decoder.decode(value);
    } catch {
      return null;
    }
  }

  has(name) {
    return this.bytes(name) !== null;
  }

  bytes(name) {
    const wanted = name.toLowerCase();
    return this.#fields.find(([field]) => field === wanted)?.[1] ?? null;
  }

  all(name) {
    const wanted = name.toLowerCase();
    return this.#fields.filter(([field]) => field === wanted).map(([, value]) => value);
  }

  get size() {
    return this.#fields.length;
  }

  *[Symbol.iterator]() {
    for (const [name, value] of this.#fields) yield [name, new TextDecoder().decode(value)];
  }
}

export class Request {
  /** @param {Omit<RawRequest, "headers"> & { headers: Headers }} values */
  constructor({ role, path, query, headers, offered, peer, local, secure, host }) {
    this.role = role;
    this.path = path;
    this.query = query;
    this.headers = headers;
    this.offered = offered;
    this.peer = peer;
    this.local = local;
    this.secure = secure;
    this.host = host;
  }

  queryValue(name) {
    for (const parameter of this.query?.split("&") ?? []) {
      const at = parameter.indexOf("=");
      const [key, value] = at < 0 ? [parameter, ""] : [parameter.slice(0, at), parameter.slice(at + 1)];
      if (percentDecoded(key) === name) return percentDecoded(value);
    }
    return null;
  }

  offers(protocol) {
    return this.offered.includes(protocol);
  }
}

export class HttpRequest extends Request {
  /**
   * @param {string} method
   * @param {ConstructorParameters<typeof Request>[0]} values
   * @param {Uint8Array} body
   */
  constructor(method, values, body) {
    super(values);
    this.method = method;
    this.body = body;
  }

  text() {
    return decoder.decode(this.body);
  }

  json() {
    return JSON.parse(this.text());
  }
}

/** @param {RawRequest} request */
export function requestOf(request) {
  return new Request(valuesOf(request));
}

/**
 * @param {string} method
 * @param {RawRequest} request
 * @param {Uint8Array} body
 */
export function httpRequestOf(method, request, body) {
  return new HttpRequest(method, valuesOf(request), body);
}

/** @param {RawRequest} request */
function valuesOf(request) {
  return { ...request, headers: new Headers(request.headers) };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** null when it is not UTF-8. */
function percentDecoded(text) {
  const data = new TextEncoder().encode(text);
  const decoded = [];
  for (let index = 0; index < data.length; index++) {
    const digits = String.fromCharCode(data[index + 1], data[index + 2]);
    if (data[index] === 0x25 && /^[0-9a-f]{2}$/i.test(digits)) {
      decoded.push(parseInt(digits, 16));
      index += 2;
    } else {
      decoded.push(data[index] === 0x2b ? 0x20 : data[index]);
    }
  }
  try {
    return decoder.decode(new Uint8Array(decoded));
  } catch {
    return null;
  }
}
