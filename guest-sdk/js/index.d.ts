/**
 * Handlers for wsrun: the default export of a module is a class, or an object, with some of the methods of {@link Handler}.
 *
 * ```js
 * import { handler } from "wsrun";
 *
 * export default handler({
 *   received(connection, message) {
 *     connection.send(message);
 *   },
 * });
 * ```
 */

/** One whole message: a string is text, bytes are binary. */
export type Message = string | Uint8Array;

/** A message to send. Half a surrogate pair in a text becomes U+FFFD. */
export type MessageToSend = string | Uint8Array | ArrayBuffer | ArrayBufferView;

/** What a message is made of. */
export type MessageKind = "text" | "binary";

/** Which side of the opening handshake this host was. */
export type Role = "server" | "client";

/** What becomes of published messages that a subscriber has no room for. */
export type SlowPolicy =
  /** Nobody gets it: publishing throws {@link WaitingError}. */
  | "wait"
  /** The oldest published messages that wait for the connection make room for it. */
  | "dropOldest"
  /** It is left out for the connection. */
  | "dropNewest"
  /** Of a topic, only the newest message waits for the connection. */
  | "latestOnly"
  /** The connection is closed with this code. */
  | { disconnect: number };

/**
 * What an application does with its connections. Every method may be left out; the component has the exports for those that are there. They
 * must be methods: a function in a field of a class is not seen.
 *
 * The events of one connection come in order and one at a time: `handshake`, `opened`, any number of `received`, `closed` exactly once.
 * Nothing runs beside a method, and none returns a promise.
 *
 * A class is made without arguments before the first callback, and lives as long as the instance. A method that throws or overruns its
 * deadline has no effect: nothing that it sent, published, closed or set is applied, the connection that it was called for is closed with
 * 1011, and a new instance takes over the others. The error is in the log of the host.
 */
export interface Handler {
  /** A connection is open: messages may be sent to it. */
  opened?(connection: Connection): void;

  /** The peer sent a message, at most 1 MiB by default. Not called when there is {@link receivedChunk}. */
  received?(connection: Connection, message: Message): void;

  /**
   * The connection is gone, or one of {@link connect} could not be made. It has left its topics, its timers are cancelled, and its session
   * data can be read for the last time.
   */
  closed?(connection: Connection, info: CloseInfo): void;

  /**
   * Accepts or refuses an opening handshake, with {@link accept} or {@link refuse}; nothing accepts. Without this method every handshake
   * that the host's own rules allow is accepted. An error that is thrown answers 500.
   */
  handshake?(request: Request): Acceptance | Refusal | void;

  /** The queue of the connection has drained below a quarter of its limit. Called once for each {@link Connection.wantWritable}. */
  writable?(connection: Connection): void;

  /** The peer sent a part of a message, at most 4 GiB in all by default. Takes the place of {@link received}. */
  receivedChunk?(connection: Connection, chunk: Chunk): void;

  /**
   * Whether a broadcast goes to this connection. What the method itself sends goes behind the broadcast. A broadcast in it is an error, and
   * an error leaves the connection out and closes it with 1011.
   */
  wanted?(connection: Connection, message: Message): boolean;

  /**
   * Whether a peer may go on, before anything is read of it; `false` ends the transport without a word. Only the default handler of a server
   * is asked. `peer` is `ip:port`, or `unix`; `local` the address that it connected to, or the path of the Unix socket.
   */
  accepts?(peer: string, local: string): boolean;

  /** Answers a plain HTTP request. Only the default handler of a server is asked, for what `--static` does not answer. */
  http?(request: HttpRequest): HttpResponse;

  /**
   * An outbound connection with `reconnect` ended, or could not be made, and the host tries again in `after` milliseconds. `attempt` counts
   * from 1 since the connection was last open. {@link closed} follows only when the host gives up, or the handler closes the connection.
   */
  lost?(connection: Connection, info: CloseInfo, attempt: number, after: number): void;

  /** An outbound connection that was {@link lost} is open again. One that never was open before is told by {@link opened} instead. */
  restored?(connection: Connection): void;

  /** The peer sent a pong, asked for or not, with at most 125 bytes. Pongs to the host's keep-alive pings are not reported. */
  pong?(connection: Connection, payload: Uint8Array): void;

  /** A timer fired. It is spent: set it again for a period. `connection` is the one whose {@link Connection.setTimer} set it. */
  timer?(tag: number, connection: Connection | null, timer: Timer): void;

  /** The instance was made: at start, after a trap, for a new version, after sleep. Nothing else is called before it. */
  started?(): void;

  /** A connection that was opened with an earlier instance is this one's. Called once for each, before its first event here. */
  resumed?(connection: Connection): void;

  /** The state that the next version is to have, at most 16 MiB by default. Empty, or nothing: `restore` is not called. */
  save?(): string | Uint8Array | void;

  /** Takes the state that the version before has saved; follows `started`. An error keeps the old version, and the operator reads its text. */
  restore?(state: SavedState): void;

  /** The host is going to close every connection and to end. What is still open after `deadline` milliseconds is cut. */
  draining?(deadline: number): void;
}

/** Returns the handler as it is: for its types, in a module that exports an object. */
export function handler<T extends Handler>(definition: T & ThisType<T>): T;

/**
 * One WebSocket of this handler. The object is the same in every callback until it has closed, in one instance: it can be compared with `===`
 * and be a key. It stays valid to hold after the connection is gone; sending then throws {@link ClosedError}, and what throws nothing does
 * nothing.
 *
 * Nothing here blocks. Effects are applied in order when the callback returns, and none of them if it throws.
 */
export class Connection {
  private constructor();

  /** The connection with this number. A number that is not this handler's is an unknown connection, never somebody else's. */
  static from(id: number): Connection;

  /** The host's number: unique while the host runs. */
  readonly id: number;

  /**
   * Sends a message: a string as text, bytes as binary. That it returns means queued.
   *
   * @throws {ClosedError} @throws {QueueFullError} @throws {TooLargeError}
   */
  send(message: MessageToSend): void;

  /**
   * Sends one message in parts, each a frame: the first call begins it, `last` ends it. A part of a text may be bytes that end inside a
   * character. Whole messages sent meanwhile wait until the last part was sent. The parts are not compressed. At most 4 GiB in all by default.
   *
   * @throws {ClosedError} @throws {QueueFullError} @throws {TooLargeError} @throws {InvalidTextError} @throws {WrongKindError}
   */
  sendChunk(kind: MessageKind, data: MessageToSend, last: boolean): void;

  /** Sends a ping with at most 125 bytes. The answer comes to {@link Handler.pong}. Throws as {@link send}. */
  ping(payload?: MessageToSend): void;

  /** Sends a pong that answers no ping, with at most 125 bytes. The host answers pings itself. Throws as {@link send}. */
  pong(payload?: MessageToSend): void;

  /**
   * Starts the closing handshake after everything that is queued.
   *
   * `code` is 1000 by default; 1000-1003, 1007-1014 and 3000-4999 may be sent, and 1005 is a close frame without a code. `reason` is cut to
   * 123 bytes.
   */
  close(code?: number, reason?: string): void;

  /** Ends the transport at once: no close frame, and what is queued is lost. */
  abort(): void;

  /** Bytes queued and not yet taken by the socket, what this callback sent so far included; 0 when the connection is unknown. */
  readonly buffered: number;

  /** Asks for one {@link Handler.writable} when the queue is below a quarter of its limit, which may be at once. */
  wantWritable(): void;

  /** What becomes of published messages that this connection has no room for. It goes before the policy of a topic; null takes it back. */
  setSlowPolicy(policy: SlowPolicy | null): void;

  /** Published messages that a policy has left out for this connection so far. */
  readonly dropped: number;

  /** Stops reading from the peer: its own sends come to block, and its pings and close frames are not seen either. */
  pause(): void;

  /** Reads from the peer again. */
  resume(): void;

  /** The opening request; null when the connection is unknown. */
  readonly request: Request | null;

  /** The subprotocol agreed on; null when there is none. */
  readonly protocol: string | null;

  /**
   * Data that the host keeps for this connection: it survives a trap of the handler. A value with a JSON form, of 64 KiB by default;
   * `undefined` when there is none, and to take it back. What is read is a copy: assign it again to change it.
   *
   * Assigning throws {@link ClosedError} and {@link TooLargeError}; reading throws a SyntaxError if {@link sessionBytes} are no JSON.
   */
  session: any;

  /** The same data as the bytes that they are. */
  get sessionBytes(): Uint8Array;
  set sessionBytes(data: Uint8Array | ArrayBuffer | ArrayBufferView);

  /**
   * Subscribes to a topic, a name of 1 to 256 bytes; false when the connection was subscribed already.
   *
   * @throws {ClosedError} @throws {InvalidNameError} @throws {LimitError}
   */
  subscribe(topic: string): boolean;

  /** Ends a subscription; false when there was none. */
  unsubscribe(topic: string): boolean;

  /**
   * Calls {@link Handler.timer} once, `after` milliseconds from now, unless the connection closes before.
   *
   * @throws {ClosedError} @throws {LimitError} @throws {NoTimerMethodError}
   */
  setTimer(after: number, tag?: number): Timer;
}

/** A timer kept by the host: it survives a trap of the handler. */
export class Timer {
  private constructor();
  static from(id: number): Timer;
  /** The host's number: unique while the host runs. */
  readonly id: number;
  /** False when it has fired, was cancelled or never was. */
  cancel(): boolean;
}

/**
 * Calls {@link Handler.timer} once, `after` milliseconds from now. `tag` is a whole number, 0 by default.
 *
 * @throws {LimitError} @throws {NoTimerMethodError}
 */
export function setTimer(after: number, tag?: number): Timer;

/** Asks for one {@link Handler.writable} of every open connection of this handler on this worker, or of those of a subprotocol. */
export function wantWritableAll(options?: { protocol?: string | null }): void;

/**
 * Has the host answer a message with a fixed reply, on every connection of the handler (on this worker), without calling the handler. null
 * takes it back.
 *
 * @throws {TooLargeError} when one of them is larger than 2 KiB
 * @throws {LimitError} when there are 16 already
 */
export function setAutoReply(received: MessageToSend, reply: MessageToSend | null): void;

/** How a connection ended. */
export interface CloseInfo {
  /** The code of the first close frame; 1005 when it carried none, 1006 when the transport ended without one. */
  readonly code: number;
  /** The reason beside the code; empty when there was none. */
  readonly reason: string;
  /** Who ended it. */
  readonly by: "peer" | "handler" | "host";
  /** True when close frames went both ways. */
  readonly clean: boolean;
}

/** A part of a message that the peer sent. */
export interface Chunk {
  /** The kind of the message, the same in all its parts. */
  readonly kind: MessageKind;
  /** At most 256 KiB. A part of a text may end inside a character; all parts together are valid UTF-8. */
  readonly data: Uint8Array;
  /** Whether the message begins here. */
  readonly first: boolean;
  /** Whether the message ends here. */
  readonly last: boolean;
  /** Payload bytes still to come in the current frame, before decompression. */
  readonly remaining: number;
}

/** The state of the version before. */
export interface SavedState {
  bytes(): Uint8Array;
  text(): string;
  json(): any;
}

/** Header fields in order, names in lower case. */
export interface Headers extends Iterable<[name: string, value: string]> {
  /** The first value of a field; null when there is none, or it is not UTF-8. */
  get(name: string): string | null;
  has(name: string): boolean;
  /** The first value of a field as received. */
  bytes(name: string): Uint8Array | null;
  /** All values of a field as received. */
  all(name: string): Uint8Array[];
  /** How many fields there are. */
  readonly size: number;
}

/** The opening request of a connection. */
export interface Request {
  readonly role: Role;
  /** The path, percent-encoded as received, beginning with `/`. */
  readonly path: string;
  /** What follows the first `?`, percent-encoded as received; null when there is no `?`. */
  readonly query: string | null;
  readonly headers: Headers;
  /** Subprotocols offered, in the peer's order. */
  readonly offered: string[];
  /** The peer's address, `ip:port`; `unix` for a Unix socket. */
  readonly peer: string;
  /** The address that it connected to, `ip:port`, or the path of the Unix socket. */
  readonly local: string;
  /** True over TLS. */
  readonly secure: boolean;
  /** The Host header. */
  readonly host: string | null;
  /** The first value of a query parameter, decoded; null when there is none. */
  queryValue(name: string): string | null;
  /** Whether the peer offers a subprotocol. */
  offers(protocol: string): boolean;
}

/** A plain HTTP request. */
export interface HttpRequest extends Request {
  readonly method: string;
  /** At most 1 MiB by default. */
  readonly body: Uint8Array;
  /** The body as text. Throws when it is not UTF-8. */
  text(): string;
  /** The body as JSON. Throws when it is none. */
  json(): any;
}

/** Header fields to send: an object, or pairs where a name comes more than once. */
export type HeaderFields = Record<string, string> | Iterable<readonly [name: string, value: string]>;

/** Session data of a connection from its beginning: a value, or bytes as they are. */
export interface SessionOptions {
  session?: any;
  sessionBytes?: Uint8Array | ArrayBuffer | ArrayBufferView;
}

/** An accepted handshake. */
export class Acceptance {
  private constructor();
  private readonly value: unknown;
}

/** A refused handshake. */
export class Refusal {
  private constructor();
  private readonly value: unknown;
}

/** Accepts a handshake. `protocol` must be one that was offered; without it the choice is the host's. */
export function accept(options?: SessionOptions & { protocol?: string | null; headers?: HeaderFields }): Acceptance;

/** Refuses a handshake with a status of 300 to 599. The body is `text/plain` unless a header says otherwise. */
export function refuse(status: number, options?: { headers?: HeaderFields; body?: string }): Refusal;

/** Status, 200 by default, and header fields of a response. */
export interface HttpResponseInit {
  status?: number;
  headers?: HeaderFields;
}

/** The answer to a plain HTTP request. */
export class HttpResponse {
  /** Text is `text/plain; charset=utf-8`, bytes are `application/octet-stream`, unless a header says otherwise; null is empty. */
  constructor(body?: MessageToSend | null, init?: HttpResponseInit);
  static html(html: string, init?: HttpResponseInit): HttpResponse;
  static json(value: unknown, init?: HttpResponseInit): HttpResponse;
  /** A file of the folder that the operator grants (`--files DIR`). Ranges, conditions and the content type are the host's work. */
  static file(path: string, init?: HttpResponseInit): HttpResponse;
  private readonly value: unknown;
}

/**
 * Sends a message to every subscriber of a topic but `except`, on all workers: the number of connections of this worker that it will be sent
 * to. What becomes of a subscriber that has no room is told by the {@link SlowPolicy} of the connection, else by that of the topic, else it
 * is closed with 1008.
 *
 * @throws {WaitingError} @throws {TooLargeError}
 */
export function publish(topic: string, message: MessageToSend, options?: { except?: Connection | null }): number;

/** Sends a message to every open connection of this handler, on all workers, or to those of a subprotocol. Throws as {@link publish}. */
export function broadcast(message: MessageToSend, options?: { protocol?: string | null }): number;

/** What becomes of messages of a topic that a subscriber has no room for, on this worker; null takes it back. At most 1,000 topics have one. */
export function setSlowPolicy(topic: string, policy: SlowPolicy | null): void;

/** Messages of a topic that policies have left out so far, on this worker. */
export function droppedOf(topic: string): number;

/** How to connect. */
export interface ConnectOptions extends SessionOptions {
  /** Subprotocols to offer, the preferred first. */
  protocols?: string[];
  /** The Host header, in place of the one that the URL means. */
  host?: string | null;
  /** The Origin header. */
  origin?: string | null;
  /** Further header fields. */
  headers?: HeaderFields;
  /** Whom to trust over TLS: a certificate of a known root, or for that name a self-signed one too. "full" by default. */
  verify?: "full" | "allowSelfSigned";
  /** The name of a client certificate that the operator gave (`--client-cert`). */
  identity?: string | null;
  /** The protocol version: 13, 8 or 7; the newest by default. */
  version?: number | null;
  /** Whether to offer compression; true by default. */
  compression?: boolean;
  /** Milliseconds for name and transport, for TLS, and for the opening handshake, each. */
  timeout?: number | null;
  /** Whether the host connects again when the connection is lost or cannot be made. */
  reconnect?: boolean | Reconnect | null;
}

/** How the host connects again. */
export interface Reconnect {
  /** Attempts in a row that may fail; 0, which is the default, for no limit. */
  attemptsMax?: number;
  /** Milliseconds before the first attempt, 500 by default. It doubles with each attempt that fails, and half of it is random. */
  delay?: number | null;
  /** The longest wait in milliseconds, 30,000 by default. */
  delayMax?: number | null;
}

/**
 * Connects to a `ws://` or `wss://` URL once the callback has returned: {@link Handler.opened} follows, or {@link Handler.closed}. Nothing is
 * allowed unless the operator grants it (`--allow-connect HOST[:PORT]`).
 *
 * @throws {DeniedError} @throws {InvalidOptionError} @throws {UnsupportedVersionError} @throws {LimitError}
 */
export function connect(url: string, options?: ConnectOptions): Connection;

/** Why the last opening handshake of a connection failed; null when it succeeded, is under way, or the connection is unknown. */
export function failureOf(connection: Connection): Failure | null;

/** How the server answered the last opening handshake; null when it did not, or the connection is not one of {@link connect}. */
export function responseOf(connection: Connection): { readonly status: number; readonly headers: Headers } | null;

/** Why the opening handshake of a connection of {@link connect} failed. `message` says it in words. */
export type Failure = { readonly message: string } & (
  | {
      readonly kind:
        | "denied"
        | "unreachable"
        | "tls"
        | "ended"
        | "invalidResponse"
        | "notUpgraded"
        | "acceptMissing"
        | "acceptWrong"
        | "protocolNotOffered";
    }
  | { readonly kind: "timedOut"; readonly phase: "connect" | "tls" | "handshake" }
  | { readonly kind: "refused"; readonly status: number }
  | { readonly kind: "redirected"; readonly location: string | null }
  | { readonly kind: "extensionNotOffered"; readonly extension: string }
);

/** The name of the machine. */
export function hostname(): string;
/** The name of this handler: its `--protocol` name, else its file name without the extension. */
export function handlerName(): string;
/** A value given with `--config KEY=VALUE`. */
export function config(key: string): string | null;
/** Connections of this handler that are open on this worker. */
export function connectionCount(): number;

/** What every error that the host answers with is an instance of. */
export class WsrunError extends Error {}
/** The connection is closing, closed or not this handler's. */
export class ClosedError extends WsrunError {}
/** The queue of the connection would exceed its limit: call {@link Connection.wantWritable} and try again, or close. */
export class QueueFullError extends WsrunError {
  readonly queuedBytes: number;
}
/** Larger than the limit. */
export class TooLargeError extends WsrunError {
  readonly bytesMax: number;
}
/** The parts of a text so far are not the beginning of valid UTF-8, or the last one ends inside a character. */
export class InvalidTextError extends WsrunError {}
/** The message was begun as the other kind. */
export class WrongKindError extends WsrunError {}
/** Subscribers with the policy `wait` have no room. Nobody got the message. */
export class WaitingError extends WsrunError {
  readonly subscribers: number;
}
/** The name of a topic is empty or longer than 256 bytes. */
export class InvalidNameError extends WsrunError {}
/** There are as many as there may be. */
export class LimitError extends WsrunError {}
/** The handler has no method `timer`, so nobody would be told. */
export class NoTimerMethodError extends WsrunError {}
/** The operator does not allow the connection. */
export class DeniedError extends WsrunError {
  /** What would allow it. */
  readonly reason: string;
}
/** An option cannot be used. */
export class InvalidOptionError extends WsrunError {
  /** Which, and why. */
  readonly reason: string;
}
/** The protocol version is not supported. */
export class UnsupportedVersionError extends WsrunError {
  /** Those that are. */
  readonly versions: number[];
}

declare global {
  /** Lines in the log of the host. */
  var console: Record<"debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;

  /** Randomness of the host. */
  var crypto: {
    getRandomValues<T extends ArrayBufferView>(array: T): T;
    randomUUID(): string;
  };

  class TextEncoder {
    readonly encoding: "utf-8";
    encode(text?: string): Uint8Array<ArrayBuffer>;
  }

  class TextDecoder {
    constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
    readonly encoding: "utf-8";
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    decode(data?: ArrayBuffer | ArrayBufferView): string;
  }
}
