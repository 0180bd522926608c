// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

/** The exports of the contract: what a world calls them, and what the module. */
export const EXPORTS = {
  "handshake": { id: "wsrun:websocket/handshake@0.1.0", name: "handshake" },
  "writable": { id: "wsrun:websocket/writable@0.1.0", name: "writable" },
  "chunks": { id: "wsrun:websocket/chunks@0.1.0", name: "chunks" },
  "packed": { id: "wsrun:websocket/packed@0.1.0", name: "packed" },
  "broadcast-filter": { id: "wsrun:websocket/broadcast-filter@0.1.0", name: "broadcastFilter" },
  "network-filter": { id: "wsrun:websocket/network-filter@0.1.0", name: "networkFilter" },
  "http": { id: "wsrun:websocket/http@0.1.0", name: "http" },
  "reconnection": { id: "wsrun:websocket/reconnection@0.1.0", name: "reconnection" },
  "pong": { id: "wsrun:websocket/pong@0.1.0", name: "pong" },
  "timer-handler": { id: "wsrun:websocket/timer-handler@0.1.0", name: "timerHandler" },
  "lifecycle": { id: "wsrun:websocket/lifecycle@0.1.0", name: "lifecycle" },
  "handler": { id: "wsrun:websocket/handler@0.1.0", name: "handler" },
};
