// A round of everything with npm `ws`, an implementation that is not ours.
//
// usage: ws_client.mjs URL [CA-FILE]
//
// The server runs the probe, as the default handler and as the subprotocol `ask`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { load } from './packages.mjs';

const WebSocket = load('ws');
const { version } = load('ws/package.json');
const [url, caFile] = process.argv.slice(2);
const tls = caFile ? { ca: readFileSync(caFile), servername: 'localhost' } : {};
const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000];

// A connection whose messages can be awaited in order.
class Client {
  #messages = [];
  #waiting = [];

  static async open(protocols = [], options = {}) {
    const client = new Client();
    client.socket = new WebSocket(url, protocols, { ...tls, ...options });
    client.socket.on('message', (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      const waiting = client.#waiting.shift();
      waiting ? waiting(message) : client.#messages.push(message);
    });
    client.closed = new Promise((resolve) => {
      client.socket.on('close', (code, reason) => resolve([code, reason.toString()]));
    });
    await once(client.socket, 'open');
    return client;
  }

  next() {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  ask(data) {
    this.socket.send(data);
    return this.next();
  }

  async close(code, reason) {
    this.socket.close(code, reason);
    return this.closed;
  }
}

async function messages(options, compressed) {
  const client = await Client.open([], options);
  assert.equal(client.socket.extensions, compressed ? 'permessage-deflate' : '');
  assert.equal(await client.ask('echo grüß dich, 世界'), 'grüß dich, 世界');
  for (const size of SIZES) {
    const text = 'ä'.repeat(size / 2);
    assert.equal(await client.ask('echo ' + text), text);
    const binary = Buffer.alloc(size, 0x5a);
    assert.ok(binary.equals(await client.ask(binary)), `${size} bytes`);
  }
  const fragments = ['echo ', 'one', '', ' mess', 'age'];
  fragments.forEach((part, at) => client.socket.send(part, { fin: at === fragments.length - 1 }));
  assert.equal(await client.next(), 'one message');
  client.socket.send(Buffer.alloc(70_000, 1), { fin: false });
  client.socket.send(Buffer.alloc(70_000, 2), { fin: true });
  assert.ok((await client.next()).equals(Buffer.concat([Buffer.alloc(70_000, 1), Buffer.alloc(70_000, 2)])));
  await client.close();
}

async function manyMessagesAtOnce() {
  const client = await Client.open();
  for (let number = 0; number < 2_000; number += 1) {
    client.socket.send(`echo ${number}`);
  }
  for (let number = 0; number < 2_000; number += 1) {
    assert.equal(await client.next(), String(number));
  }
  await client.close();
}

async function pings() {
  const client = await Client.open();
  client.socket.ping('are you there');
  assert.equal(String((await once(client.socket, 'pong'))[0]), 'are you there');
  const replies = [await client.ask('ping and you'), await client.next()].sort();
  assert.deepEqual(replies, ['ok', 'pong and you']);
  await client.close();
}

async function closes() {
  // The code comes back (RFC 6455, 5.5.1), the reason is the sender's own.
  for (const [code, reason] of [[1000, ''], [1000, 'done'], [3001, 'mine'], [4999, '']]) {
    assert.equal((await (await Client.open()).close(code, reason))[0], code);
  }
  assert.deepEqual(await (await Client.open()).close(), [1005, '']);
  for (const [command, code, reason] of [
    ['close 1000 done', 1000, 'done'],
    ['close 4321 grüße', 4321, 'grüße'],
    ['close 1005 ', 1005, ''],
    ['trap', 1011, undefined],
    ['abort', 1006, ''],
  ]) {
    const client = await Client.open();
    client.socket.send(command);
    const [seenCode, seenReason] = await client.closed;
    assert.equal(seenCode, code, command);
    if (reason !== undefined) {
      assert.equal(seenReason, reason, command);
    }
  }
}

async function subprotocols() {
  const client = await Client.open(['other', 'ask']);
  assert.equal(client.socket.protocol, 'ask');
  assert.equal(await client.ask('protocol'), 'ask');
  await client.close();
}

async function refusals() {
  const socket = new WebSocket(url, [], { ...tls, origin: 'http://elsewhere.example' });
  const [, response] = await once(socket, 'unexpected-response');
  assert.equal(response.statusCode, 403);
  socket.on('error', () => {});
  socket.terminate();
}

await messages({}, true);
await messages({ perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 } }, true);
await messages({ perMessageDeflate: { serverMaxWindowBits: 10, clientMaxWindowBits: 9, threshold: 0 } }, true);
await messages({ perMessageDeflate: false }, false);
await manyMessagesAtOnce();
await pings();
await closes();
await subprotocols();
await refusals();
console.log(`ws ${version}: passed`);
process.exit(0);
