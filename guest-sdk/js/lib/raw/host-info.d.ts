// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

declare const host: {
  hostname(): string;
  handlerName(): string;
  config(key: string): string | null;
  connectionCount(): number;
};
export default host;
