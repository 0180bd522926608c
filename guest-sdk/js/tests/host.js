// Stands for the host: remembers what it is asked, and answers as it was told to.

import { register } from "node:module";

/** The functions that were called, as `interface.function`. */
export const asked = new Set();

/** What functions answer, by the same names. The others answer with null. */
export const answers = new Map();

globalThis.wsrunTestHost = (name) =>
  new Proxy({}, {
    get: (_, method) => (...values) => {
      asked.add(`${name}.${method}`);
      const answer = answers.get(`${name}.${method}`) ?? null;
      return typeof answer === "function" ? answer(...values) : answer;
    },
  });

const HOOKS = `export function resolve(name, context, next) {
  const found = /^wsrun:websocket\\/([a-z-]+)@/.exec(name);
  if (!found) return next(name, context);
  const code = "export default globalThis.wsrunTestHost(" + JSON.stringify(found[1]) + ");";
  return { url: "data:text/javascript," + encodeURIComponent(code), shortCircuit: true };
}`;
register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
