// What the build looks for in a handler.

/** @import { Handler } from "../index.js" */
/** @import { ExportName } from "./raw/exports.js" */

/**
 * Which export each method needs, but for those that every handler has.
 *
 * @type {Record<Exclude<keyof Handler, "opened" | "received" | "closed">, ExportName>}
 */
export const EXPORT_OF_METHOD = {
  handshake: "handshake",
  writable: "writable",
  receivedChunk: "chunks",
  wanted: "broadcast-filter",
  accepts: "network-filter",
  http: "http",
  lost: "reconnection",
  restored: "reconnection",
  pong: "pong",
  timer: "timer-handler",
  started: "lifecycle",
  resumed: "lifecycle",
  save: "lifecycle",
  restore: "lifecycle",
  draining: "lifecycle",
};

export const METHODS = ["opened", "received", "closed", ...Object.keys(EXPORT_OF_METHOD)];

/**
 * What the build asks of a default export, as JSON: the methods that a handler can have, and the names of its others.
 *
 * @param {any} definition
 */
export function described(definition) {
  const start = typeof definition === "function" ? definition.prototype : definition;
  if (typeof start !== "object" || start === null) return JSON.stringify({ wrong: true });
  const found = METHODS.filter((method) => typeof start[method] === "function");
  const waiting = found.find((method) => start[method].constructor.name === "AsyncFunction");
  const names = new Set();
  for (let at = start; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === "function" && name !== "constructor" && !METHODS.includes(name)) names.add(name);
    }
  }
  return JSON.stringify({ found, waiting, others: [...names] });
}

/** What other interfaces call them. */
const ALIASES = { message: "received", connect: "opened", connected: "opened", disconnect: "closed", disconnected: "closed" };

/**
 * The method that is meant by a name that is none, if it is close to one that the handler does not have.
 *
 * @param {string} name
 * @param {string[]} found
 * @returns {string | undefined}
 */
export function meant(name, found) {
  const plain = name.toLowerCase().replaceAll("_", "");
  const bare = plain.replace(/^on(?=.)|^handle(?=.)/, "");
  const known = METHODS.filter((method) => !found.includes(method));
  const alias = Object.hasOwn(ALIASES, bare) ? ALIASES[/** @type {keyof typeof ALIASES} */ (bare)] : undefined;
  if (alias !== undefined && known.includes(alias)) return alias;
  const distances = known.map((method) => {
    const target = method.toLowerCase();
    return { method, apart: Math.min(distance(plain, target), distance(bare, target)), allowed: target.length < 6 ? 1 : 2 };
  });
  const near = distances.filter(({ apart, allowed }) => apart <= allowed).sort((one, other) => one.apart - other.apart);
  return near[0]?.method;
}

/** How many letters must be changed, added, taken away or swapped with the next. */
function distance(/** @type {string} */ one, /** @type {string} */ other) {
  /** @type {number[][]} */
  const rows = [Array.from({ length: other.length + 1 }, (_, index) => index)];
  for (let at = 1; at <= one.length; at++) {
    const row = [at];
    for (let to = 1; to <= other.length; to++) {
      const differs = one[at - 1] === other[to - 1] ? 0 : 1;
      row[to] = Math.min(rows[at - 1][to] + 1, row[to - 1] + 1, rows[at - 1][to - 1] + differs);
      if (at > 1 && to > 1 && one[at - 1] === other[to - 2] && one[at - 2] === other[to - 1]) {
        row[to] = Math.min(row[to], rows[at - 2][to - 2] + 1);
      }
    }
    rows.push(row);
  }
  return rows[one.length][other.length];
}
