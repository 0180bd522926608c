// npm `ws` on Node, as its README has it.
const fs = require("fs");
const http = require("http");
const https = require("https");
const { WebSocket, WebSocketServer } = require("ws");

const { PORT, MODE, TLS_CERT, TLS_KEY, DEFLATE } = process.env;

const server = TLS_CERT
  ? https.createServer({ cert: fs.readFileSync(TLS_CERT), key: fs.readFileSync(TLS_KEY) })
  : http.createServer();
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: DEFLATE === "1" ? { threshold: 0 } : false,
});
sockets.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => {
    if (MODE !== "fan") {
      socket.send(data, { binary });
      return;
    }
    for (const client of sockets.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary });
    }
  });
});
server.listen(Number(PORT), "127.0.0.1", 4096);
