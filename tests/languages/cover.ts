// See README.md.

import {
  ClosedError,
  Connection,
  DeniedError,
  HttpResponse,
  InvalidNameError,
  InvalidOptionError,
  InvalidTextError,
  LimitError,
  NoTimerMethodError,
  QueueFullError,
  Timer,
  TooLargeError,
  UnsupportedVersionError,
  WaitingError,
  WrongKindError,
  WsrunError,
  accept,
  broadcast,
  config,
  connect,
  connectionCount,
  droppedOf,
  failureOf,
  handlerName,
  hostname,
  publish,
  refuse,
  responseOf,
  setAutoReply,
  setSlowPolicy,
  setTimer,
  wantWritableAll,
} from "wsrun";
import type {
  Acceptance,
  CloseInfo,
  ConnectOptions,
  Failure,
  Handler,
  HttpRequest,
  Message,
  Reconnect,
  Refusal,
  Request,
  SavedState,
  SlowPolicy,
} from "wsrun";

const large = new Uint8Array(3 << 20);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What an error is called in the answers of all languages. */
function nameOf(error: WsrunError): string {
  if (error instanceof ClosedError) return "closed";
  if (error instanceof QueueFullError) return "queue-full";
  if (error instanceof TooLargeError) return `too-large ${error.bytesMax}`;
  if (error instanceof InvalidTextError) return "invalid-text";
  if (error instanceof WrongKindError) return "wrong-kind";
  if (error instanceof WaitingError) return `waiting ${error.subscribers}`;
  if (error instanceof InvalidNameError) return "invalid-name";
  if (error instanceof LimitError) return "limit";
  if (error instanceof NoTimerMethodError) return "no-timer";
  if (error instanceof DeniedError) return `denied ${error.reason.length > 0}`;
  if (error instanceof InvalidOptionError) return `invalid ${error.reason.length > 0}`;
  if (error instanceof UnsupportedVersionError) return `unsupported-version ${error.versions.includes(9)}`;
  return error.name;
}

/** What came of something that has no value, or a number that is shown. */
function outcomeOf(action: () => number | boolean | object | void): string {
  try {
    const value = action();
    return typeof value === "number" ? `ok ${value}` : "ok";
  } catch (error) {
    if (!(error instanceof WsrunError)) throw error;
    return nameOf(error);
  }
}

function tell(line: string): void {
  publish("clients", line);
}

function isClient(connection: Connection): boolean {
  return connection.request?.role === "client";
}

function sessionText(connection: Connection): string {
  return decoder.decode(connection.sessionBytes);
}

function cut(text: string): [first: string, rest: string] {
  const at = text.indexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function connectTo(path: string, { again = false, version = null }: { again?: boolean; version?: number | null } = {}): string {
  const reconnect: Reconnect | null = again ? { attemptsMax: 3, delay: 20, delayMax: 1000 } : null;
  const options: ConnectOptions = {
    protocols: ["one", "two"],
    host: null,
    origin: "http://origin.example",
    headers: { "x-test": "sent" },
    verify: "full",
    identity: null,
    version,
    compression: true,
    timeout: 5000,
    reconnect,
    sessionBytes: encoder.encode(again ? "again" : "once"),
  };
  return outcomeOf(() => connect(`${config("url")}${path}`, options));
}

/** The status of a refusal; a failure of another kind has none. */
function refusedWith(failure: Failure | null): number | null {
  return failure?.kind === "refused" ? failure.status : null;
}

/** That a method is missing does not compile: `receivedChunk`, which takes the place of `received`, is in parts.ts. */
export default class Cover implements Required<Omit<Handler, "receivedChunk">> {
  #messages = 0;
  #resumed = 0;
  #wasStarted = false;
  #wasRestored = false;

  handshake(request: Request): Acceptance | Refusal {
    if (request.path === "/refuse") return refuse(418, { headers: { "x-why": "because" }, body: "no" });
    return accept({
      protocol: request.offered.at(-1),
      headers: [["x-sdk", "yes"]],
      sessionBytes: encoder.encode(request.queryValue("name") ?? ""),
    });
  }

  opened(connection: Connection): void {
    if (!isClient(connection)) return connection.send("opened server");
    const response = responseOf(connection);
    if (response === null) throw new Error("an open connection was answered");
    const { status, headers } = response;
    tell(`out opened ${connection.protocol ?? "-"} ${sessionText(connection)} ${status} ${headers.size > 2}`);
    if (sessionText(connection) === "again") connection.send("abort");
  }

  received(connection: Connection, message: Message): void {
    this.#messages += 1;
    if (isClient(connection)) {
      tell(`out got ${message}`);
      if (sessionText(connection) !== "again") connection.close();
      return;
    }
    const answer = typeof message === "string" ? this.#answer(connection, message) : message;
    if (answer !== undefined) connection.send(answer);
  }

  #answer(connection: Connection, message: string): Message | void {
    const [command, rest] = cut(message);
    const [first, second] = cut(rest);
    switch (command) {
      case "request": {
        if (connection.request === null) return "none";
        const { role, path, query, headers, offered, secure, host } = connection.request;
        return `${role} ${path} ${query ?? "-"} ${headers.get("X-Test") ?? "-"} ${offered.length} ${secure} ${host ?? "-"}`;
      }
      case "protocol":
        return connection.protocol ?? "-";
      case "session":
        return sessionText(connection);
      case "keep":
        return outcomeOf(() => {
          connection.sessionBytes = encoder.encode(rest);
        });
      case "sub":
        return outcomeOf(() => connection.subscribe(rest));
      case "unsub":
        return String(connection.unsubscribe(rest));
      case "pub":
        return outcomeOf(() => publish(first, second));
      case "pubx":
        return outcomeOf(() => publish(first, second, { except: connection }));
      case "cast":
        return outcomeOf(() => broadcast(rest));
      case "castp":
        return outcomeOf(() => broadcast(second, { protocol: first }));
      case "slow": {
        const policies: (SlowPolicy | null)[] = ["wait", "dropOldest", "dropNewest", { disconnect: 4001 }, null];
        for (const policy of policies) connection.setSlowPolicy(policy);
        setSlowPolicy("slow", "latestOnly");
        connection.pause();
        connection.resume();
        return `${connection.dropped} ${droppedOf("slow")}`;
      }
      case "timer":
        return outcomeOf(() => connection.setTimer(1, 2 ** 40));
      case "timer0":
        return outcomeOf(() => setTimer(1, 8));
      case "cancel": {
        const timer = connection.setTimer(60_000, 9);
        return `${Timer.from(timer.id).cancel()} ${timer.cancel()}`;
      }
      case "ping":
        return outcomeOf(() => connection.ping(rest));
      case "pong":
        return outcomeOf(() => connection.pong(encoder.encode(rest)));
      case "parts":
        connection.sendChunk("text", "ab", false);
        return outcomeOf(() => connection.sendChunk("text", encoder.encode("cd"), true));
      case "wrong": {
        connection.sendChunk("text", "a", false);
        const outcome = outcomeOf(() => connection.sendChunk("binary", "b", true));
        connection.sendChunk("text", "", true);
        return outcome;
      }
      case "invalid":
        return outcomeOf(() => connection.sendChunk("text", new Uint8Array([0xff]), true));
      case "large":
        return outcomeOf(() => connection.send(large));
      case "full":
        return fill(connection);
      case "writable":
        return wantWritableAll({ protocol: rest === "" ? null : rest });
      case "unknown":
        return outcomeOf(() => Connection.from(999).send("x"));
      case "auto":
        return outcomeOf(() => setAutoReply("beat?", "beat!"));
      case "unauto":
        return outcomeOf(() => setAutoReply("beat?", null));
      case "host":
        return `${handlerName()} ${config("key") ?? "-"} ${config("none") ?? "-"} ${connectionCount()} ${hostname().length > 0}`;
      case "connect":
        return connectTo("/?name=out");
      case "reconnect":
        return connectTo("/?name=out", { again: true });
      case "refused":
        return connectTo("/refuse");
      case "version":
        return connectTo("/", { version: 9 });
      case "connect-to":
        return outcomeOf(() => connect(rest));
      case "life":
        return `${this.#wasStarted} ${this.#wasRestored} ${this.#resumed} ${this.#messages}`;
      case "close":
        return connection.close(4001, "bye");
      case "abort":
        return connection.abort();
      default:
        return "unknown command";
    }
  }

  closed(connection: Connection, { code, reason, by, clean }: CloseInfo): void {
    const status = refusedWith(failureOf(connection));
    if (status !== null) return tell(`out refused ${status}`);
    tell(`closed ${code} ${reason || "-"} ${by} ${clean}`);
  }

  lost(_connection: Connection, { code }: CloseInfo, attempt: number, after: number): void {
    tell(`lost ${code} ${attempt} ${after <= 20}`);
  }

  restored(connection: Connection): void {
    tell("restored");
    connection.close();
  }

  writable(connection: Connection): void {
    connection.send("writable");
  }

  wanted(connection: Connection, _message: Message): boolean {
    return sessionText(connection) !== "deaf";
  }

  accepts(peer: string, local: string): boolean {
    return !peer.startsWith("127.0.0.2:") && local.length > 0;
  }

  http(request: HttpRequest): HttpResponse {
    if (request.path === "/file") return HttpResponse.file("file.txt");
    const text = `${request.path} ${request.queryValue("a b") ?? "-"} ${request.body.length}`;
    return new HttpResponse(text, { status: 201, headers: { "x-method": request.method } });
  }

  pong(connection: Connection, payload: Uint8Array): void {
    connection.send(`pong ${decoder.decode(payload)}`);
  }

  timer(tag: number, connection: Connection | null, _timer: Timer): void {
    const line = `timer ${tag}`;
    if (connection === null) tell(line);
    else connection.send(line);
  }

  started(): void {
    this.#wasStarted = true;
  }

  resumed(_connection: Connection): void {
    this.#resumed += 1;
  }

  save(): string {
    return JSON.stringify(this.#messages);
  }

  restore(state: SavedState): void {
    const messages: number = state.json();
    this.#messages = messages;
    this.#wasRestored = true;
  }

  draining(deadline: number): void {
    tell(`draining ${deadline > 0}`);
  }
}

/** Sends until nothing more is taken. */
function fill(connection: Connection): string | void {
  for (;;) {
    try {
      connection.send(large.subarray(0, 1 << 16));
    } catch (error) {
      connection.wantWritable();
      if (error instanceof QueueFullError && error.queuedBytes === connection.buffered) return;
      return "wrong";
    }
  }
}
