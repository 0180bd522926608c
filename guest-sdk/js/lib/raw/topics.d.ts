// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

declare const host: {
  subscribe(connection: number, topic: string): boolean;
  unsubscribe(connection: number, topic: string): boolean;
  publish(topic: string, message: types.Message, except: number | null): number;
  broadcast(protocol: string | null, message: types.Message): number;
  setSlowPolicy(topic: string, policy: types.SlowPolicy | null): void;
  dropped(topic: string): number;
};
export default host;
