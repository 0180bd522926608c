import host from "wsrun:websocket/host-info@0.1.0";

import { string } from "./values.js";

export function hostname() {
  return host.hostname();
}

export function handlerName() {
  return host.handlerName();
}

export function config(key) {
  return host.config(string(key, "a key"));
}

export function connectionCount() {
  return host.connectionCount();
}
