import topics from "./raw/topics.js";

import { ask } from "./errors.js";
import { message, optionalString, slowPolicy, string } from "./values.js";

/**
 * @param {string} topic
 * @param {import("../index.js").MessageToSend} data
 * @param {{ except?: { id: number } | null }} options
 */
export function publish(topic, data, { except } = {}) {
  return ask(topics.publish, string(topic, "a topic"), message(data), except?.id ?? null);
}

/**
 * @param {import("../index.js").MessageToSend} data
 * @param {{ protocol?: string | null }} options
 */
export function broadcast(data, { protocol } = {}) {
  return ask(topics.broadcast, optionalString(protocol, "a subprotocol"), message(data));
}

export function setSlowPolicy(topic, policy) {
  topics.setSlowPolicy(string(topic, "a topic"), slowPolicy(policy));
}

export function droppedOf(topic) {
  return topics.dropped(string(topic, "a topic"));
}
