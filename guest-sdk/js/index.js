export { accept, refuse, HttpResponse } from "./lib/answers.js";
export { connect, failureOf, responseOf } from "./lib/client.js";
export { Connection, Timer, setAutoReply, setTimer, wantWritableAll } from "./lib/connection.js";
export {
  ClosedError,
  DeniedError,
  InvalidNameError,
  InvalidOptionError,
  InvalidTextError,
  LimitError,
  NoTimerMethodError,
  QueueFullError,
  TooLargeError,
  UnsupportedVersionError,
  WaitingError,
  WrongKindError,
  WsrunError,
} from "./lib/errors.js";
export { config, connectionCount, handlerName, hostname } from "./lib/host.js";
export { broadcast, droppedOf, publish, setSlowPolicy } from "./lib/topics.js";

/** The handler itself: for editors and `tsc`, which learn the types of its methods from here. */
export function handler(definition) {
  return definition;
}
