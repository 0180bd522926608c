// Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it.

import { WsrunError, config, connect, failureOf, publish } from "wsrun";

/** Everybody who is connected here. */
const LISTENERS = "listeners";

export default class Relay {
  /** The connection to the server; the host makes it anew when it is lost. */
  #upstream = null;

  started() {
    const url = config("url");
    if (url === null) {
      console.error("say where to connect to: --config url=ws://...");
      return;
    }
    try {
      this.#upstream = connect(url, { reconnect: true });
    } catch (error) {
      if (!(error instanceof WsrunError)) throw error;
      console.error(`not connected: ${error.message}`);
    }
  }

  /** This instance has taken over from another, whose connection to the server goes on: one is enough. */
  resumed(connection) {
    if (!isUpstream(connection)) return;
    this.#upstream?.close();
    this.#upstream = connection;
  }

  opened(connection) {
    if (!isUpstream(connection)) connection.subscribe(LISTENERS);
  }

  received(connection, message) {
    if (isUpstream(connection)) {
      publish(LISTENERS, message);
    } else if (!this.#forward(message)) {
      connection.send("the server is away: try again later");
    }
  }

  #forward(message) {
    try {
      this.#upstream?.send(message);
      return this.#upstream !== null;
    } catch (error) {
      if (!(error instanceof WsrunError)) throw error;
      return false;
    }
  }

  lost(_connection, info, attempt, after) {
    console.error(`lost the server (${info.code}): attempt ${attempt} in ${after} ms`);
  }

  closed(connection) {
    const failure = failureOf(connection);
    if (failure !== null) console.error(`not connected: ${failure.message}`);
    if (connection === this.#upstream) this.#upstream = null;
  }
}

function isUpstream(connection) {
  return connection.request?.role === "client";
}
