// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

declare const host: {
  set(afterMs: number, tag: number, connection: number | null): number;
  cancel(timer: number): boolean;
};
export default host;
