// A WebSocket that comes back: for pages, and wherever there is a WebSocket.

const DELAY_MS = 500;
const DELAY_MS_MAX = 30_000;

export class Reconnecting extends EventTarget {
  #url;
  #socket;
  #attempts = 0;
  #timer;

  // Tells "open" with each new connection, "message" with `data`, "away" with `delayMs`, and
  // "end" with `code` and `reason`.
  constructor(url) {
    super();
    this.#url = url;
    this.#connect();
  }

  // False while there is no connection: nothing is kept for later. What must not be lost is sent
  // again when "open" comes.
  send(message) {
    if (this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(message);
    return true;
  }

  close() {
    clearTimeout(this.#timer);
    this.#attempts = Infinity;
    this.#socket.close(1000);
  }

  #connect() {
    this.#socket = new WebSocket(this.#url);
    this.#socket.onopen = () => {
      this.#attempts = 0;
      this.#tell("open");
    };
    this.#socket.onmessage = (event) => this.#tell("message", { data: event.data });
    this.#socket.onclose = (event) => this.#closed(event);
  }

  #closed({ code, reason }) {
    // The server is done with us, or we with it: it would say the same again.
    const isFinal = code === 1000 || code === 1008 || (code >= 4000 && code < 5000);
    if (isFinal || this.#attempts === Infinity) return this.#tell("end", { code, reason });
    // Twice as long each time, and half of it by chance: a thousand pages do not come back at once.
    const longest = Math.min(DELAY_MS * 2 ** this.#attempts, DELAY_MS_MAX);
    const delayMs = longest * (0.5 + Math.random() / 2);
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.#connect(), delayMs);
    this.#tell("away", { delayMs });
  }

  #tell(type, more) {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
}
