// A page, an API and the sockets that they speak of, from one handler.

import { HttpResponse, WsrunError, broadcast, connectionCount, handler } from "wsrun";

// The page, bundled in.
import page from "./page.html";

export default handler({
  /** What one says goes to everybody. */
  received(connection, message) {
    try {
      broadcast(message);
    } catch (error) {
      if (!(error instanceof WsrunError)) throw error;
      connection.send(error.message);
    }
  },

  http({ method, path }) {
    if (method === "GET" || method === "HEAD") {
      if (path === "/") return HttpResponse.html(page);
      if (path === "/api/count") return HttpResponse.json({ connections: connectionCount() });
    }
    return new HttpResponse("there is nothing here\n", { status: 404 });
  },
});
