// An echo server with npm `ws`, for handlers that connect out. Prints `listening on URL` and runs until it is ended.
//
// The text `close CODE REASON` closes. permessage-deflate is spoken with those who offer it.
import { load } from './packages.mjs';

const { WebSocketServer } = load('ws');
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (protocols) => (protocols.has('chat') ? 'chat' : false),
});
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => {
    const [command, code, ...reason] = isBinary ? [] : data.toString().slice(0, 200).split(' ');
    if (command === 'close') socket.close(Number(code), reason.join(' '));
    else socket.send(data, { binary: isBinary });
  });
});
