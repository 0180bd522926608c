// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

declare const host: {
  connect(options: types.ClientOptions): number;
  failureOf(connection: number): types.ClientFailure | null;
  responseOf(connection: number): types.ClientResponse | null;
};
export default host;
