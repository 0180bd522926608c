// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

import type * as types from "./types.js";

/** What a module exports: a result with an error is answered with what is thrown. */
export interface Exports {
  handshake: {
    requested(request: types.Request): types.HandshakeAcceptance;
  };
  writable: {
    writable(connection: number): void;
  };
  chunks: {
    receivedChunk(connection: number, chunk: types.ChunksChunk): void;
  };
  packed: {
    received(connection: number, messages: Uint8Array, room: number): void;
  };
  broadcastFilter: {
    wanted(connection: number, message: types.Message): boolean;
  };
  networkFilter: {
    accepts(peer: string, local: string): boolean;
  };
  http: {
    requested(method: string, request: types.Request, body: Uint8Array): types.HttpResponse;
  };
  reconnection: {
    lost(connection: number, info: types.CloseInfo, attempt: number, afterMs: number): void;
    restored(connection: number): void;
  };
  pong: {
    pong(connection: number, payload: Uint8Array): void;
  };
  timerHandler: {
    fired(timer: number, tag: number, connection: number | null): void;
  };
  lifecycle: {
    started(): void;
    resumed(connection: number): void;
    save(): Uint8Array;
    restore(state: Uint8Array): void;
    draining(deadlineMs: number): void;
  };
  handler: {
    opened(connection: number): void;
    received(connection: number, message: types.Message): void;
    closed(connection: number, info: types.CloseInfo): void;
  };
}

export type ExportName =
  | "handshake"
  | "writable"
  | "chunks"
  | "packed"
  | "broadcast-filter"
  | "network-filter"
  | "http"
  | "reconnection"
  | "pong"
  | "timer-handler"
  | "lifecycle"
  | "handler";

export const EXPORTS: Record<ExportName, { id: string; name: keyof Exports }>;
