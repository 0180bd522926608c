// One WebSocket that comes back: after an end it connects again, later and later, with jitter so that a restarted server does not meet
// all its pages at once.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
// A connection that lasted this long was a good one: the next delay is the first again.
const STABLE_MS = 5_000;

/**
 * @param {string} protocol the subprotocol, which names the handler
 * @param {HTMLElement} status where the state is shown: its text, and `data-state` connecting | open | waiting
 * @param {{open?: (send: (text: string) => boolean) => void, message: (text: string) => void, close?: () => void}} events
 * @returns {(text: string) => boolean} sends a text message; false when there is no connection
 */
export function connect(protocol, status, events) {
  const url = (location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/";
  let socket = null;
  let delay = FIRST_DELAY_MS;
  let retryAt = 0;
  let timer = 0;

  const show = (state, text) => {
    status.dataset.state = state;
    if (status.textContent !== text) status.textContent = text;
  };

  const send = (text) => {
    if (socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(text);
    return true;
  };

  const open = () => {
    clearTimeout(timer);
    retryAt = 0;
    show("connecting", "Connecting…");
    status.title = "";
    const current = new WebSocket(url, [protocol]);
    let openedAt = Infinity;
    socket = current;
    current.onopen = () => {
      openedAt = performance.now();
      show("open", "Connected");
      events.open?.(send);
    };
    current.onmessage = (event) => {
      if (typeof event.data === "string") events.message(event.data);
    };
    current.onclose = (event) => {
      socket = null;
      events.close?.();
      if (performance.now() - openedAt > STABLE_MS) delay = FIRST_DELAY_MS;
      status.title = `closed with ${event.code}${event.reason && ": " + event.reason}`;
      retryAt = performance.now() + delay * (0.75 + Math.random() / 2);
      delay = Math.min(delay * 2, LONGEST_DELAY_MS);
      wait();
    };
  };

  const wait = () => {
    const left = retryAt - performance.now();
    if (left <= 0) {
      open();
      return;
    }
    show("waiting", `Reconnecting in ${Math.ceil(left / 1000)} s`);
    timer = setTimeout(wait, Math.min(left, 1000));
  };

  // Somebody looks, or the network is back: no reason to wait longer.
  const hurry = () => {
    if (retryAt !== 0 && document.visibilityState === "visible") open();
  };
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);

  open();
  return send;
}
