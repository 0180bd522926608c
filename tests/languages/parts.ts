// See README.md.

import { handler } from "wsrun";
import type { Chunk, Connection } from "wsrun";

export default handler({
  receivedChunk(connection: Connection, { kind, data, first, last, remaining }: Chunk): void {
    connection.send(`${kind} ${data.length} ${Number(first)} ${Number(last)} ${remaining}`);
  },
});
