// The socket of docs/cookbook/reconnect.js, on npm `ws` in place of a browser's. Prints what it is told, a line for each; sends the lines of
// standard input.
//
// usage: reconnecting.mjs URL
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { load } from './packages.mjs';

globalThis.WebSocket = load('ws');
const source = readFileSync(new URL('../../docs/cookbook/reconnect.js', import.meta.url), 'utf8');
const { Reconnecting } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const socket = new Reconnecting(process.argv[2]);
socket.addEventListener('open', () => console.log('open'));
socket.addEventListener('message', ({ data }) => console.log(`message ${data}`));
socket.addEventListener('away', ({ delayMs }) => console.log(`away ${delayMs >= 250 && delayMs <= 30_000}`));
socket.addEventListener('end', ({ code, reason }) => {
  console.log(`end ${code} ${reason}`);
  process.exit();
});
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'close') socket.close();
  else if (!socket.send(line)) console.log('not sent');
});
