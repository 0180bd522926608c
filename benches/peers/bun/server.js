// Bun's own server, which is uWebSockets inside.
const { PORT, MODE, TLS_CERT, TLS_KEY, DEFLATE } = process.env;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(PORT),
  tls: TLS_CERT ? { cert: Bun.file(TLS_CERT), key: Bun.file(TLS_KEY) } : undefined,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no", { status: 400 })),
  websocket: {
    perMessageDeflate: DEFLATE === "1",
    maxPayloadLength: 16 << 20,
    backpressureLimit: 16 << 20,
    idleTimeout: 900,
    sendPings: false,
    open(socket) {
      if (MODE === "fan") socket.subscribe("all");
    },
    message(socket, message) {
      if (MODE === "fan") server.publish("all", message);
      else socket.send(message, DEFLATE === "1");
    },
  },
});
