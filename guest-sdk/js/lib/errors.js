/** @import { HostError } from "./raw/types.js" */

/** What every error that the host answers with is an instance of. */
export class WsrunError extends Error {
  get name() {
    return this.constructor.name;
  }
}

export class ClosedError extends WsrunError {
  constructor() {
    super("the connection is closed");
  }
}

export class QueueFullError extends WsrunError {
  constructor(queuedBytes) {
    super(`the queue of the connection is full: ${queuedBytes} bytes`);
    this.queuedBytes = queuedBytes;
  }
}

export class TooLargeError extends WsrunError {
  constructor(bytesMax) {
    super(`larger than the limit of ${bytesMax} bytes`);
    this.bytesMax = bytesMax;
  }
}

export class InvalidTextError extends WsrunError {
  constructor() {
    super("the parts of the text are not valid UTF-8");
  }
}

export class WrongKindError extends WsrunError {
  constructor() {
    super("the message was begun as the other kind");
  }
}

export class WaitingError extends WsrunError {
  constructor(subscribers) {
    super(`${subscribers} subscribers have no room for the message`);
    this.subscribers = subscribers;
  }
}

export class InvalidNameError extends WsrunError {
  constructor() {
    super("the name of a topic has 1 to 256 bytes");
  }
}

export class LimitError extends WsrunError {
  constructor() {
    super("there are as many as there may be");
  }
}

export class NoTimerMethodError extends WsrunError {
  constructor() {
    super("the handler has no method `timer`");
  }
}

export class DeniedError extends WsrunError {
  constructor(reason) {
    super(`connecting is not allowed: ${reason}`);
    this.reason = reason;
  }
}

export class InvalidOptionError extends WsrunError {
  constructor(reason) {
    super(`an option cannot be used: ${reason}`);
    this.reason = reason;
  }
}

export class UnsupportedVersionError extends WsrunError {
  constructor(versions) {
    super(`the version is not supported, but these are: ${[...versions].join(" ")}`);
    this.versions = [...versions];
  }
}

/** @type {{ [K in HostError["tag"]]: new (val: Extract<HostError, { tag: K }>["val"]) => WsrunError }} */
const ERRORS = {
  closed: ClosedError,
  "queue-full": QueueFullError,
  "too-large": TooLargeError,
  "invalid-text": InvalidTextError,
  "wrong-kind": WrongKindError,
  waiting: WaitingError,
  "invalid-name": InvalidNameError,
  limit: LimitError,
  "not-exported": NoTimerMethodError,
  denied: DeniedError,
  invalid: InvalidOptionError,
  "unsupported-version": UnsupportedVersionError,
};

/**
 * Calls the host: what it answers with an error is thrown as one of those above.
 *
 * @template {unknown[]} V
 * @template R
 * @param {(...values: V) => R} method
 * @param {V} values
 * @returns {R}
 */
export function ask(method, ...values) {
  try {
    return method(...values);
  } catch (/** @type {any} */ error) {
    const kind = ERRORS[error?.payload?.tag];
    if (kind === undefined) throw error;
    throw new kind(error.payload.val);
  }
}
