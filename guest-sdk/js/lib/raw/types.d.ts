// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

export type Message =
  | { tag: "text"; val: string }
  | { tag: "binary"; val: Uint8Array };

export type SendError =
  | { tag: "closed"; val?: undefined }
  | { tag: "queue-full"; val: number }
  | { tag: "too-large"; val: number };

export type ConnectionsChunkError =
  | { tag: "closed"; val?: undefined }
  | { tag: "queue-full"; val: number }
  | { tag: "too-large"; val: number }
  | { tag: "invalid-text"; val?: undefined }
  | { tag: "wrong-kind"; val?: undefined };

export type SlowPolicy =
  | { tag: "wait"; val?: undefined }
  | { tag: "drop-oldest"; val?: undefined }
  | { tag: "drop-newest"; val?: undefined }
  | { tag: "latest-only"; val?: undefined }
  | { tag: "disconnect"; val: number };

export type ConnectionsAutoReplyError =
  | { tag: "too-large"; val: number }
  | { tag: "limit"; val?: undefined };

export type Role = "server" | "client";

export interface Request {
  role: Role;
  path: string;
  query: string | null;
  headers: [string, Uint8Array][];
  offered: string[];
  peer: string;
  local: string;
  secure: boolean;
  host: string | null;
}

export type TopicsSubscribeError =
  | { tag: "closed"; val?: undefined }
  | { tag: "invalid-name"; val?: undefined }
  | { tag: "limit"; val?: undefined };

export type PublishError =
  | { tag: "waiting"; val: number }
  | { tag: "too-large"; val: number };

export type ClientVerify = "full" | "allow-self-signed";

export interface ClientReconnect {
  attemptsMax: number;
  delayMs: number | null;
  delayMaxMs: number | null;
}

export interface ClientOptions {
  url: string;
  protocols: string[];
  host: string | null;
  origin: string | null;
  headers: [string, string][];
  verify: ClientVerify;
  identity: string | null;
  version: number | null;
  compression: boolean;
  timeoutMs: number | null;
  reconnect: ClientReconnect | null;
  session: Uint8Array;
}

export type ClientConnectError =
  | { tag: "denied"; val: string }
  | { tag: "invalid"; val: string }
  | { tag: "unsupported-version"; val: Uint8Array }
  | { tag: "limit"; val?: undefined };

export type ClientPhase = "connect" | "tls" | "handshake";

export type ClientFailure =
  | { tag: "denied"; val: string }
  | { tag: "unreachable"; val: string }
  | { tag: "tls"; val: string }
  | { tag: "timed-out"; val: ClientPhase }
  | { tag: "ended"; val?: undefined }
  | { tag: "refused"; val: number }
  | { tag: "redirected"; val: string | null }
  | { tag: "invalid-response"; val: string }
  | { tag: "not-upgraded"; val?: undefined }
  | { tag: "accept-missing"; val?: undefined }
  | { tag: "accept-wrong"; val?: undefined }
  | { tag: "protocol-not-offered"; val?: undefined }
  | { tag: "extension-not-offered"; val: string };

export interface ClientResponse {
  status: number;
  headers: [string, Uint8Array][];
}

export type TimersTimerError =
  | { tag: "closed"; val?: undefined }
  | { tag: "limit"; val?: undefined }
  | { tag: "not-exported"; val?: undefined };

export interface HandshakeAcceptance {
  protocol: string | null;
  headers: [string, string][];
  session: Uint8Array;
}

export interface HandshakeRefusal {
  status: number;
  headers: [string, string][];
  body: string;
}

export interface ChunksChunk {
  text: boolean;
  data: Uint8Array;
  first: boolean;
  final: boolean;
  remaining: number;
}

export type HttpBody =
  | { tag: "bytes"; val: Uint8Array }
  | { tag: "file"; val: string };

export interface HttpResponse {
  status: number;
  headers: [string, string][];
  body: HttpBody;
}

export type ClosedBy = "peer" | "handler" | "host";

export interface CloseInfo {
  code: number;
  reason: string;
  by: ClosedBy;
  clean: boolean;
}

/** What the functions of the host answer with when they do not do what they are asked for. */
export type HostError =
  | ClientConnectError
  | ConnectionsAutoReplyError
  | ConnectionsChunkError
  | PublishError
  | SendError
  | TimersTimerError
  | TopicsSubscribeError;

/** What is made of each case of a variant. */
export type Made<V extends { tag: string; val?: unknown }, T> = {
  [K in V["tag"]]: (val: Extract<V, { tag: K }>["val"]) => T;
};
