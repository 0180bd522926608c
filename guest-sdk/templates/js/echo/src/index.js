// Sends back what it receives.

import { handler } from "wsrun";

export default handler({
  received(connection, message) {
    connection.send(message);
  },
});
