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
