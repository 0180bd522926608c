import topics from "wsrun:websocket/topics@0.1.0";

import { ask } from "./errors.js";
import { message, optionalString, slowPolicy, string } from "./values.js";

export function publish(topic, data, { except } = {}) {
  return ask(topics.publish, string(topic, "a topic"), message(data), except?.id ?? null);
}

export function broadcast(data, { protocol } = {}) {
  return ask(topics.broadcast, optionalString(protocol, "a subprotocol"), message(data));
}

export function setSlowPolicy(topic, policy) {
  topics.setSlowPolicy(string(topic, "a topic"), slowPolicy(policy));
}

export function droppedOf(topic) {
  return topics.dropped(string(topic, "a topic"));
}
