// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

declare const host: {
  send(to: number, message: types.Message): void;
  sendChunk(to: number, text: boolean, data: Uint8Array, final: boolean): void;
  ping(to: number, payload: Uint8Array): void;
  pong(to: number, payload: Uint8Array): void;
  close(connection: number, code: number, reason: string): void;
  abort(connection: number): void;
  buffered(connection: number): number;
  wantWritable(connection: number): void;
  wantWritableAll(protocol: string | null): void;
  setSlowPolicy(connection: number, policy: types.SlowPolicy | null): void;
  dropped(connection: number): number;
  receiveFlow(connection: number, enabled: boolean): void;
  setAutoReply(received: types.Message, reply: types.Message | null): void;
  requestOf(connection: number): types.Request | null;
  protocol(connection: number): string | null;
  session(connection: number): Uint8Array;
  setSession(connection: number, data: Uint8Array): void;
};
export default host;
