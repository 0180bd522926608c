// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

declare const host: {
  send(connection: number, messages: Uint8Array): void;
};
export default host;
