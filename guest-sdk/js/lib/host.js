import host from "./raw/host-info.js";

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
