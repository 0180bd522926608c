// Rooms in which people with names talk to each other.
//
// A room is a topic: the host delivers what is said. Who sits where is session data, which the host keeps too, so that people stay in their
// rooms when the handler traps; the lists of who is there are rebuilt from it.

import { WsrunError, publish } from "wsrun";
import type { Connection, Handler, Message } from "wsrun";

import { ChatError, inOrder, joined, left, parse, refused, said, welcome } from "./protocol";

/** Where a connection is and under which name: its session data. */
interface Seat {
  name: string;
  room: string;
}

export default class Chat implements Handler {
  /** Name to connection, by room. A room is there while somebody is in it. */
  #rooms = new Map<string, Map<string, Connection>>();

  received(connection: Connection, message: Message): void {
    const seat = this.#seatOf(connection);
    try {
      if (typeof message !== "string") throw new ChatError("this chat is made of text");
      const request = parse(message);
      switch (request.type) {
        case "join":
          this.#join(connection, seat, { name: request.name, room: request.room });
          break;
        case "say":
          say(seat, request.text);
          break;
        case "leave":
          this.#leave(connection, seat);
          break;
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error;
      reply(connection, refused(error.message));
    }
  }

  /** This instance has taken over: it learns who is there. */
  resumed(connection: Connection): void {
    this.#seatOf(connection);
  }

  closed(connection: Connection): void {
    this.#leave(connection, this.#seatOf(connection));
  }

  /** The seat of a connection. An instance that is new puts it into the list of its room. */
  #seatOf(connection: Connection): Seat | undefined {
    const seat: Seat | undefined = connection.session;
    if (seat === undefined) return undefined;
    const names = this.#namesIn(seat.room);
    if (!names.has(seat.name)) names.set(seat.name, connection);
    return seat;
  }

  #namesIn(room: string): Map<string, Connection> {
    let names = this.#rooms.get(room);
    if (names === undefined) {
      names = new Map<string, Connection>();
      this.#rooms.set(room, names);
    }
    return names;
  }

  #join(connection: Connection, old: Seat | undefined, { name, room }: Seat): void {
    const holder = this.#rooms.get(room)?.get(name);
    if (holder !== undefined && holder !== connection) throw new ChatError("somebody in this room has that name");
    this.#leave(connection, old);
    attempt(() => connection.subscribe(room), "there are too many rooms: try again later");
    attempt(() => {
      connection.session = { name, room };
    }, "the connection is closing");

    const names = this.#namesIn(room);
    names.set(name, connection);
    // That it fails takes a queue smaller than an event. Who is there is told to each who joins anyway.
    tryTo(() => publish(room, joined(name), { except: connection }));
    reply(connection, welcome(name, room, inOrder(names.keys())));
  }

  #leave(connection: Connection, seat: Seat | undefined): void {
    if (seat === undefined) return;
    const { name, room } = seat;
    const names = this.#namesIn(room);
    if (names.get(name) === connection) names.delete(name);
    if (names.size === 0) this.#rooms.delete(room);
    connection.unsubscribe(room);
    // The connection may be gone already, and its session data with it.
    tryTo(() => {
      connection.session = undefined;
    });
    tryTo(() => publish(room, left(name)));
  }
}

function say(seat: Seat | undefined, text: string): void {
  if (seat === undefined) throw new ChatError("join a room first");
  attempt(() => publish(seat.room, said(seat.name, text)), "nobody heard that: try again later");
}

function reply(connection: Connection, event: string): void {
  const error = tryTo(() => connection.send(event));
  if (error !== undefined) connection.close(1008, error.message);
}

/** Does something, and tells the sender if the host did not take it. */
function attempt(action: () => void, message: string): void {
  if (tryTo(action) !== undefined) throw new ChatError(message);
}

/** Does something: the error, if the host did not take it. */
function tryTo(action: () => void): WsrunError | undefined {
  try {
    action();
  } catch (error) {
    if (!(error instanceof WsrunError)) throw error;
    return error;
  }
  return undefined;
}
