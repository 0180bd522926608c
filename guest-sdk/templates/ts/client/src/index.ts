// Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it.

import { WsrunError, config, connect, failureOf, publish, setSlowPolicy } from "wsrun";
import type { CloseInfo, Connection, Handler, Message } from "wsrun";

/** Everybody who is connected here. */
const LISTENERS = "listeners";

/**
 * The connection to the server, while it is open. The host keeps topics when it lets an instance go: one that has just been made reaches the
 * server by this name before it is told of the connection.
 */
const SERVER = "server";

export default class Relay implements Handler {
  /** The connection to the server, as soon as it is known; the host makes it anew when it is lost. */
  #upstream: Connection | null = null;

  started(): void {
    const url = config("url");
    if (url === null) {
      console.error("say where to connect to: --config url=ws://...");
      return;
    }
    // Who speaks is told when there is no room for it.
    setSlowPolicy(SERVER, "wait");
    try {
      this.#upstream = connect(url, { reconnect: true });
    } catch (error) {
      if (!(error instanceof WsrunError)) throw error;
      console.error(`not connected: ${error.message}`);
    }
  }

  /** This instance has taken over from another, whose connection to the server goes on: one is enough. */
  resumed(connection: Connection): void {
    if (!isUpstream(connection)) return;
    this.#upstream?.close();
    this.#upstream = connection;
  }

  opened(connection: Connection): void {
    connection.subscribe(isUpstream(connection) ? SERVER : LISTENERS);
  }

  received(connection: Connection, message: Message): void {
    if (isUpstream(connection)) {
      publish(LISTENERS, message);
    } else if (!forward(message)) {
      connection.send("the server is away: try again later");
    }
  }

  lost(connection: Connection, info: CloseInfo, attempt: number, after: number): void {
    connection.unsubscribe(SERVER);
    console.error(`lost the server (${info.code}): attempt ${attempt} in ${after} ms`);
  }

  restored(connection: Connection): void {
    connection.subscribe(SERVER);
  }

  closed(connection: Connection): void {
    const failure = failureOf(connection);
    if (failure !== null) console.error(`not connected: ${failure.message}`);
    if (connection === this.#upstream) this.#upstream = null;
  }
}

/** Whether the server is there, and has room for the message. */
function forward(message: Message): boolean {
  try {
    return publish(SERVER, message) > 0;
  } catch (error) {
    if (!(error instanceof WsrunError)) throw error;
    return false;
  }
}

function isUpstream(connection: Connection): boolean {
  return connection.request?.role === "client";
}
