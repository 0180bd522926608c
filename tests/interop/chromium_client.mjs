// A round of everything with the WebSocket of a real browser.
//
// usage: chromium_client.mjs PAGE-URL WEBSOCKET-URL
//
// The server runs the probe, as the default handler and as the subprotocol `ask`, and serves a page at PAGE-URL.
import assert from 'node:assert/strict';
import { withBrowser } from './browser.mjs';

const [pageUrl, url] = process.argv.slice(2);

await withBrowser(async (browser) => {
  const page = await browser.newPage();
  await page.goto(pageUrl);
  // The browser does not tell what it negotiated but in `extensions`.
  const seen = await page.evaluate(async (url) => {
    const open = (protocols = []) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(url, protocols);
        socket.binaryType = 'arraybuffer';
        const messages = [];
        const waiting = [];
        socket.onmessage = ({ data }) => (waiting.length ? waiting.shift()(data) : messages.push(data));
        const next = () => (messages.length ? Promise.resolve(messages.shift()) : new Promise((take) => waiting.push(take)));
        const ask = (data) => {
          socket.send(data);
          return next();
        };
        const closed = new Promise((take) => {
          socket.onclose = ({ code, reason, wasClean }) => take([code, reason, wasClean]);
        });
        const close = (...how) => {
          socket.close(...how);
          return closed;
        };
        socket.onopen = () => resolve({ socket, next, ask, closed, close });
        socket.onerror = () => reject(new Error('the connection was not opened'));
      });

    const seen = { sizes: [], closes: {} };
    const client = await open();
    seen.extensions = client.socket.extensions;
    seen.text = await client.ask('echo grüß dich, 世界');
    // Chromium sends large messages in fragments.
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const random = new Uint8Array(size);
      for (let at = 0; at < size; at += 65_536) {
        crypto.getRandomValues(random.subarray(at, at + 65_536));
      }
      const back = new Uint8Array(await client.ask(random));
      const text = 'ä'.repeat(size / 2);
      const same = back.length === size && back.every((byte, at) => byte === random[at]);
      seen.sizes.push([size, same && (await client.ask('echo ' + text)) === text]);
    }
    const replies = [await client.ask('ping and you'), await client.next()];
    seen.ping = replies.sort();
    seen.closes.mine = await client.close(3001, 'mine');

    const named = await open(['other', 'ask']);
    seen.protocol = [named.socket.protocol, await named.ask('protocol')];
    seen.closes.bare = await named.close();
    for (const command of ['close 1000 done', 'close 4321 grüße', 'close 1005 ', 'trap', 'abort']) {
      const other = await open();
      other.socket.send(command);
      seen.closes[command] = await other.closed;
    }
    return seen;
  }, url);

  assert.equal(seen.text, 'grüß dich, 世界');
  assert.match(seen.extensions, /^permessage-deflate/);
  for (const [size, same] of seen.sizes) {
    assert.ok(same, `${size} bytes came back changed`);
  }
  assert.deepEqual(seen.ping, ['ok', 'pong and you']);
  assert.deepEqual(seen.protocol, ['ask', 'ask']);
  // The code comes back (RFC 6455, 5.5.1), the reason is the sender's own.
  assert.deepEqual(seen.closes.mine, [3001, 'mine', true]);
  assert.deepEqual(seen.closes.bare, [1005, '', true]);
  assert.deepEqual(seen.closes['close 1000 done'], [1000, 'done', true]);
  assert.deepEqual(seen.closes['close 4321 grüße'], [4321, 'grüße', true]);
  assert.deepEqual(seen.closes['close 1005 '], [1005, '', true]);
  assert.equal(seen.closes.trap[0], 1011);
  assert.deepEqual(seen.closes.abort, [1006, '', false]);

  // A page of another origin: the same address under another name.
  const other = await browser.newPage();
  await other.goto(pageUrl.replace('127.0.0.1', 'localhost'));
  const refused = await other.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve(false);
        socket.onerror = () => resolve(true);
      }),
    url,
  );
  assert.ok(refused, 'a page of another origin was let in');
  console.log(`chromium ${browser.version()}: passed`);
});
