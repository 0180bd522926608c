// What QuickJS does not bring: console, text in UTF-8, and randomness that is not the same in every instance.

import random from "wasi:random/random@0.2.12";
import stderr from "wasi:cli/stderr@0.2.12";

class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    text = String(text);
    const data = new Uint8Array(text.length * 3);
    let length = 0;
    for (let index = 0; index < text.length; index++) {
      let code = text.charCodeAt(index);
      if (code < 0x80) {
        data[length++] = code;
        continue;
      }
      if (code >= 0xd800 && code <= 0xdfff) {
        const low = text.charCodeAt(index + 1);
        if (code < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          index++;
        } else {
          code = 0xfffd;
        }
      }
      if (code < 0x800) {
        data[length++] = 0xc0 | (code >> 6);
      } else {
        if (code < 0x10000) {
          data[length++] = 0xe0 | (code >> 12);
        } else {
          data[length++] = 0xf0 | (code >> 18);
          data[length++] = 0x80 | ((code >> 12) & 0x3f);
        }
        data[length++] = 0x80 | ((code >> 6) & 0x3f);
      }
      data[length++] = 0x80 | (code & 0x3f);
    }
    return data.slice(0, length);
  }
}

class TextDecoder {
  #fatal;
  #ignoreBOM;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^\s*utf-?8\s*$/i.test(label)) throw new RangeError(`the encoding ${label} is not known: only utf-8 is`);
    this.#fatal = fatal;
    this.#ignoreBOM = ignoreBOM;
  }

  get encoding() {
    return "utf-8";
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#ignoreBOM;
  }

  /** The algorithm of the Encoding standard: a malformed sequence is replaced where it stops being the beginning of a valid one. */
  decode(input = new Uint8Array(0), { stream = false } = {}) {
    if (stream) throw new TypeError("TextDecoder does not decode in parts here");
    const data = input instanceof Uint8Array
      ? input
      : ArrayBuffer.isView(input)
        ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
        : new Uint8Array(input);
    const parts = [];
    let units = [];
    let index = !this.#ignoreBOM && data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf ? 3 : 0;
    while (index < data.length) {
      if (units.length >= 4096) {
        parts.push(String.fromCharCode.apply(null, units));
        units = [];
      }
      const first = data[index++];
      if (first < 0x80) {
        units.push(first);
        continue;
      }
      let needed = 0;
      let code = 0;
      let least = 0x80;
      let most = 0xbf;
      if (first >= 0xc2 && first <= 0xdf) {
        needed = 1;
        code = first & 0x1f;
      } else if (first >= 0xe0 && first <= 0xef) {
        if (first === 0xe0) least = 0xa0;
        if (first === 0xed) most = 0x9f;
        needed = 2;
        code = first & 0xf;
      } else if (first >= 0xf0 && first <= 0xf4) {
        if (first === 0xf0) least = 0x90;
        if (first === 0xf4) most = 0x8f;
        needed = 3;
        code = first & 0x7;
      }
      let valid = needed > 0;
      for (; needed > 0 && valid; needed--) {
        const next = data[index];
        valid = next >= least && next <= most;
        if (valid) {
          code = (code << 6) | (next & 0x3f);
          index++;
        }
        least = 0x80;
        most = 0xbf;
      }
      if (!valid) {
        if (this.#fatal) throw new TypeError("the bytes are not valid UTF-8");
        units.push(0xfffd);
      } else if (code >= 0x10000) {
        units.push(0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
      } else {
        units.push(code);
      }
    }
    parts.push(String.fromCharCode.apply(null, units));
    return parts.join("");
  }
}

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return described(value);
  if (typeof value === "object" && value !== null) {
    try {
      return JSON.stringify(value);
    } catch {
      return String(value);
    }
  }
  return String(value);
}

/** An error with where it was thrown. */
function described(error) {
  const stack = String(error.stack ?? "").trimEnd();
  return stack === "" ? String(error) : `${String(error)}\n${stack}`;
}

const LINE_BYTES_MAX = 4096;

function log(...values) {
  const data = new TextEncoder().encode(`${values.map(shown).join(" ")}\n`);
  // A stream of WASI takes so many bytes at once.
  const stream = stderr.getStderr();
  try {
    for (let start = 0; start < data.length; start += LINE_BYTES_MAX) {
      stream.blockingWriteAndFlush(data.slice(start, start + LINE_BYTES_MAX));
    }
  } catch {
    // There is nobody left to tell.
  } finally {
    stream[Symbol.dispose]();
  }
}

function getRandomValues(array) {
  if (!ArrayBuffer.isView(array)) throw new TypeError("getRandomValues fills a typed array");
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(random.getRandomBytes(array.byteLength));
  return array;
}

function randomUUID() {
  const data = getRandomValues(new Uint8Array(16));
  data[6] = (data[6] & 0x0f) | 0x40;
  data[8] = (data[8] & 0x3f) | 0x80;
  const digits = [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// The generator of the runtime has its seed from the build: every instance would draw the same numbers. This one is xoshiro128**, seeded by
// the host when the first number is drawn.
let state;

function next() {
  state ??= new Uint32Array(getRandomValues(new Uint8Array(16)).buffer);
  const turned = Math.imul(state[1], 5);
  const result = Math.imul((turned << 7) | (turned >>> 25), 9) >>> 0;
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = (state[3] << 11) | (state[3] >>> 21);
  return result;
}

Math.random = () => ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;

Object.assign(globalThis, {
  TextEncoder,
  TextDecoder,
  console: { debug: log, log, info: log, warn: log, error: log },
  crypto: { getRandomValues, randomUUID },
});
