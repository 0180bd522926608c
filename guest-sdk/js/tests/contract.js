// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

/** The functions of the host, and the cases of the errors that they answer with. */
export const IMPORTS = {
  "packed-send": {
    send: [],
  },
  "connections": {
    send: ["closed", "queue-full", "too-large"],
    sendChunk: ["closed", "queue-full", "too-large", "invalid-text", "wrong-kind"],
    ping: ["closed", "queue-full", "too-large"],
    pong: ["closed", "queue-full", "too-large"],
    close: [],
    abort: [],
    buffered: [],
    wantWritable: [],
    wantWritableAll: [],
    setSlowPolicy: [],
    dropped: [],
    receiveFlow: [],
    setAutoReply: ["too-large", "limit"],
    requestOf: [],
    protocol: [],
    session: [],
    setSession: ["closed", "queue-full", "too-large"],
  },
  "topics": {
    subscribe: ["closed", "invalid-name", "limit"],
    unsubscribe: [],
    publish: ["waiting", "too-large"],
    broadcast: ["waiting", "too-large"],
    setSlowPolicy: [],
    dropped: [],
  },
  "client": {
    connect: ["denied", "invalid", "unsupported-version", "limit"],
    failureOf: [],
    responseOf: [],
  },
  "timers": {
    set: ["closed", "limit", "not-exported"],
    cancel: [],
  },
  "host-info": {
    hostname: [],
    handlerName: [],
    config: [],
    connectionCount: [],
  },
};

/** How many values each function of an export is given. */
export const EXPORTED = {
  handshake: {
    requested: 1,
  },
  writable: {
    writable: 1,
  },
  chunks: {
    receivedChunk: 2,
  },
  packed: {
    received: 3,
  },
  broadcastFilter: {
    wanted: 2,
  },
  networkFilter: {
    accepts: 2,
  },
  http: {
    requested: 3,
  },
  reconnection: {
    lost: 4,
    restored: 1,
  },
  pong: {
    pong: 2,
  },
  timerHandler: {
    fired: 3,
  },
  lifecycle: {
    started: 0,
    resumed: 1,
    save: 0,
    restore: 1,
    draining: 1,
  },
  handler: {
    opened: 1,
    received: 2,
    closed: 2,
  },
};

/** The cases of variants and enums. */
export const CASES = {
  Message: ["text", "binary"],
  SendError: ["closed", "queue-full", "too-large"],
  ConnectionsChunkError: ["closed", "queue-full", "too-large", "invalid-text", "wrong-kind"],
  SlowPolicy: ["wait", "drop-oldest", "drop-newest", "latest-only", "disconnect"],
  ConnectionsAutoReplyError: ["too-large", "limit"],
  Role: ["server", "client"],
  TopicsSubscribeError: ["closed", "invalid-name", "limit"],
  PublishError: ["waiting", "too-large"],
  ClientVerify: ["full", "allow-self-signed"],
  ClientConnectError: ["denied", "invalid", "unsupported-version", "limit"],
  ClientPhase: ["connect", "tls", "handshake"],
  ClientFailure: ["denied", "unreachable", "tls", "timed-out", "ended", "refused", "redirected", "invalid-response", "not-upgraded", "accept-missing", "accept-wrong", "protocol-not-offered", "extension-not-offered"],
  TimersTimerError: ["closed", "limit", "not-exported"],
  HttpBody: ["bytes", "file"],
  ClosedBy: ["peer", "handler", "host"],
};
