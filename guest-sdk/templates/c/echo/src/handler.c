/* Sends back what it receives. */

#include "wsrun.h"

void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    wsrun_send(connection, message);
}
