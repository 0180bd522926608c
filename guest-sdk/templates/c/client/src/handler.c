/* Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it. */

#include <stdio.h>

#include "wsrun.h"

/* Everybody who is connected here. */
static const char listeners[] = "listeners";

/* The connection to the server, while it is open. The host keeps topics when it lets an instance go: one that has just been made reaches the
 * server by this name before it is told of the connection. */
static const char server[] = "server";

/* The connection to the server, as soon as it is known; the host makes it anew when it is lost. */
static wsrun_connection upstream = WSRUN_NO_CONNECTION;

static bool is_upstream(wsrun_connection connection) {
    wsrun_request request;
    return wsrun_request_of(connection, &request) && request.role == WSRUN_CLIENT;
}

void wsrun_on_started(void) {
    wsrun_string url = wsrun_config("url");
    if (!url.data) {
        fprintf(stderr, "say where to connect to: --config url=ws://...\n");
        return;
    }
    /* Who speaks is told when there is no room for it. */
    wsrun_set_topic_slow(server, WSRUN_SLOW_WAIT, 0);
    wsrun_connect_options options = {.url = url.data, .reconnect = true};
    if (wsrun_connect(&options, &upstream) != WSRUN_OK) fprintf(stderr, "not connected: %s\n", wsrun_error_text());
}

/* This instance has taken over from another, whose connection to the server goes on: one is enough. */
void wsrun_on_resumed(wsrun_connection connection) {
    if (!is_upstream(connection)) return;
    wsrun_close(upstream, WSRUN_CLOSE_NORMAL, "");
    upstream = connection;
}

void wsrun_on_opened(wsrun_connection connection) {
    wsrun_subscribe(connection, is_upstream(connection) ? server : listeners);
}

void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    if (is_upstream(connection)) {
        wsrun_publish(listeners, message, WSRUN_NO_CONNECTION, NULL);
        return;
    }
    uint32_t receivers = 0;
    if (wsrun_publish(server, message, WSRUN_NO_CONNECTION, &receivers) != WSRUN_OK || receivers == 0) {
        wsrun_send_text(connection, "the server is away: try again later");
    }
}

void wsrun_on_lost(wsrun_connection connection, const wsrun_close_info *info, uint32_t attempt, uint32_t after_ms) {
    wsrun_unsubscribe(connection, server);
    fprintf(stderr, "lost the server (%d): attempt %u in %u ms\n", info->code, (unsigned)attempt, (unsigned)after_ms);
}

void wsrun_on_restored(wsrun_connection connection) {
    wsrun_subscribe(connection, server);
}

void wsrun_on_closed(wsrun_connection connection, const wsrun_close_info *info) {
    (void)info;
    wsrun_failure failure = wsrun_failure_of(connection);
    if (failure.kind != WSRUN_FAILURE_NONE) fprintf(stderr, "not connected: %s\n", wsrun_failure_text(failure.kind));
    if (connection == upstream) upstream = WSRUN_NO_CONNECTION;
}
