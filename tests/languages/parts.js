// See README.md.

import { handler } from "wsrun";

export default handler({
  receivedChunk(connection, { kind, data, first, last, remaining }) {
    connection.send(`${kind} ${data.length} ${Number(first)} ${Number(last)} ${remaining}`);
  },
});
