// See README.md.

import {
  Connection,
  HttpResponse,
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

const large = new Uint8Array(3 << 20);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const NAMES = {
  ClosedError: "closed",
  QueueFullError: "queue-full",
  InvalidTextError: "invalid-text",
  WrongKindError: "wrong-kind",
  InvalidNameError: "invalid-name",
  UnsupportedVersionError: "unsupported-version false",
};

/** What came of something that has no value, or a number that is shown. */
function outcomeOf(action) {
  try {
    const value = action();
    return typeof value === "number" ? `ok ${value}` : "ok";
  } catch (error) {
    if (!(error instanceof WsrunError)) throw error;
    if (error.name === "TooLargeError") return `too-large ${error.bytesMax}`;
    if (error.name === "DeniedError") return `denied ${error.reason.length > 0}`;
    if (error.name === "InvalidOptionError") return `invalid ${error.reason.length > 0}`;
    return NAMES[error.name] ?? error.name;
  }
}

function tell(line) {
  publish("clients", line);
}

function isClient(connection) {
  return connection.request?.role === "client";
}

function sessionText(connection) {
  return decoder.decode(connection.sessionBytes);
}

function cut(text) {
  const at = text.indexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function connectTo(path, { again = false, version = null } = {}) {
  return outcomeOf(() => {
    connect(`${config("url")}${path}`, {
      protocols: ["one", "two"],
      origin: "http://origin.example",
      headers: { "x-test": "sent" },
      version,
      compression: true,
      timeout: 5000,
      reconnect: again ? { attemptsMax: 3, delay: 20 } : null,
      sessionBytes: encoder.encode(again ? "again" : "once"),
    });
  });
}

export default class Cover {
  messages = 0;
  resumedCount = 0;
  wasStarted = false;
  wasRestored = false;

  handshake(request) {
    if (request.path === "/refuse") return refuse(418, { headers: { "x-why": "because" }, body: "no" });
    return accept({
      protocol: request.offered.at(-1),
      headers: [["x-sdk", "yes"]],
      sessionBytes: encoder.encode(request.queryValue("name") ?? ""),
    });
  }

  opened(connection) {
    if (!isClient(connection)) return connection.send("opened server");
    const { status, headers } = responseOf(connection);
    tell(`out opened ${connection.protocol ?? "-"} ${sessionText(connection)} ${status} ${headers.size > 2}`);
    if (sessionText(connection) === "again") connection.send("abort");
  }

  received(connection, message) {
    this.messages += 1;
    if (isClient(connection)) {
      tell(`out got ${message}`);
      if (sessionText(connection) !== "again") connection.close();
      return;
    }
    const answer = typeof message === "string" ? this.answer(connection, message) : message;
    if (answer !== undefined) connection.send(answer);
  }

  answer(connection, message) {
    const [command, rest] = cut(message);
    const [first, second] = cut(rest);
    switch (command) {
      case "request": {
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
      case "slow":
        connection.setSlowPolicy({ disconnect: 4001 });
        connection.setSlowPolicy(null);
        setSlowPolicy("slow", "latestOnly");
        connection.pause();
        connection.resume();
        return `${connection.dropped} ${droppedOf("slow")}`;
      case "timer":
        return outcomeOf(() => connection.setTimer(1, 2 ** 40));
      case "timer0":
        return outcomeOf(() => setTimer(1, 8));
      case "cancel": {
        const timer = connection.setTimer(60_000, 9);
        return `${timer.cancel()} ${timer.cancel()}`;
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
        return this.fill(connection);
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
        return outcomeOf(() => void connect(rest));
      case "life":
        return `${this.wasStarted} ${this.wasRestored} ${this.resumedCount} ${this.messages}`;
      case "close":
        return connection.close(4001, "bye");
      case "abort":
        return connection.abort();
      default:
        return "unknown command";
    }
  }

  fill(connection) {
    for (;;) {
      try {
        connection.send(large.subarray(0, 1 << 16));
      } catch (error) {
        connection.wantWritable();
        return error.name === "QueueFullError" && error.queuedBytes === connection.buffered ? undefined : "wrong";
      }
    }
  }

  closed(connection, { code, reason, by, clean }) {
    const failure = failureOf(connection);
    if (failure?.kind === "refused") return tell(`out refused ${failure.status}`);
    tell(`closed ${code} ${reason || "-"} ${by} ${clean}`);
  }

  lost(_, { code }, attempt, after) {
    tell(`lost ${code} ${attempt} ${after <= 20}`);
  }

  restored(connection) {
    tell("restored");
    connection.close();
  }

  writable(connection) {
    connection.send("writable");
  }

  wanted(connection) {
    return sessionText(connection) !== "deaf";
  }

  accepts(peer, local) {
    return !peer.startsWith("127.0.0.2:") && local.length > 0;
  }

  http(request) {
    if (request.path === "/file") return HttpResponse.file("file.txt");
    const text = `${request.path} ${request.queryValue("a b") ?? "-"} ${request.body.length}`;
    return new HttpResponse(text, { status: 201, headers: { "x-method": request.method } });
  }

  pong(connection, payload) {
    connection.send(`pong ${decoder.decode(payload)}`);
  }

  timer(tag, connection) {
    const line = `timer ${tag}`;
    if (connection === null) tell(line);
    else connection.send(line);
  }

  started() {
    this.wasStarted = true;
  }

  resumed() {
    this.resumedCount += 1;
  }

  save() {
    return JSON.stringify(this.messages);
  }

  restore(state) {
    this.messages = state.json();
    this.wasRestored = true;
  }

  draining(deadline) {
    tell(`draining ${deadline > 0}`);
  }
}
