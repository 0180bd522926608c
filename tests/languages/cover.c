/* See README.md. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wsrun.h"

static unsigned messages, resumed;
static bool started, restored_state;

static char *format(const char *template, ...) {
    char *text = wsrun_alloc(1024);
    va_list arguments;
    va_start(arguments, template);
    vsnprintf(text, 1024, template, arguments);
    va_end(arguments);
    return text;
}

static const char *shown(wsrun_string text) {
    return text.data ? text.data : "-";
}

static const char *name_of(wsrun_status status) {
    static const char *const names[] = {"ok",           "closed",       "queue-full", "too-large", "invalid-text",
                                        "wrong-kind",   "invalid-name", "limit",      "waiting",   "not-exported",
                                        "denied",       "invalid",      "unsupported-version"};
    return names[status];
}

static const char *boolean(bool value) {
    return value ? "true" : "false";
}

static const char *by(wsrun_closed_by who) {
    return who == WSRUN_BY_PEER ? "peer" : who == WSRUN_BY_HANDLER ? "handler" : "host";
}

static wsrun_message text(const char *data) {
    return (wsrun_message){WSRUN_TEXT, data, strlen(data)};
}

static void tell(const char *line) {
    wsrun_publish_text("clients", line, WSRUN_NO_CONNECTION);
}

static bool is_client(wsrun_connection connection) {
    wsrun_request request;
    return wsrun_request_of(connection, &request) && request.role == WSRUN_CLIENT;
}

static bool has_session(wsrun_connection connection, const char *session) {
    return wsrun_equals(wsrun_session(connection), session);
}

bool wsrun_on_handshake(const wsrun_request *request, wsrun_acceptance *acceptance, wsrun_refusal *refusal) {
    wsrun_header *header = wsrun_alloc(sizeof *header);
    if (wsrun_equals(request->path, "/refuse")) {
        *header = (wsrun_header){wsrun_text("x-why"), wsrun_text("because")};
        *refusal = (wsrun_refusal){418, {header, 1}, wsrun_text("no")};
        return false;
    }
    *header = (wsrun_header){wsrun_text("x-sdk"), wsrun_text("yes")};
    acceptance->headers = (wsrun_headers){header, 1};
    if (request->offered.count) acceptance->protocol = request->offered.items[request->offered.count - 1];
    wsrun_string name = wsrun_query_value(request, "name");
    acceptance->session = name.data;
    acceptance->session_size = name.size;
    return true;
}

void wsrun_on_opened(wsrun_connection connection) {
    if (!is_client(connection)) {
        wsrun_send_text(connection, "opened server");
        return;
    }
    wsrun_headers headers;
    unsigned status = wsrun_response_of(connection, &headers);
    tell(format("out opened %s %s %u %s", shown(wsrun_protocol_of(connection)), shown(wsrun_session(connection)), status,
                boolean(headers.count > 2)));
    if (has_session(connection, "again")) wsrun_send_text(connection, "abort");
}

static const char *connect_to(const char *path, bool again, uint8_t version) {
    static const wsrun_string protocols[] = {{"one", 3}, {"two", 3}};
    static const wsrun_header header = {{"x-test", 6}, {"sent", 4}};
    wsrun_connect_options options = {
        .url = format("%s%s", shown(wsrun_config("url")), path),
        .protocols = {protocols, 2},
        .origin = "http://origin.example",
        .headers = {&header, 1},
        .version = version,
        .compression = true,
        .timeout_ms = 5000,
        .reconnect = again,
        .attempts_max = 3,
        .delay_ms = 20,
        .session = again ? "again" : "once",
        .session_size = again ? 5 : 4,
    };
    wsrun_connection connection;
    wsrun_status status = wsrun_connect(&options, &connection);
    if (status == WSRUN_OK) return "ok";
    return format("%s %s", name_of(status), boolean(*wsrun_error_text()));
}

/* The next word of a command. */
static char *word(char **rest) {
    char *begin = *rest, *end = strchr(begin, ' ');
    if (end) *end++ = 0;
    *rest = end ? end : begin + strlen(begin);
    return begin;
}

static const char *answer(wsrun_connection connection, wsrun_message message) {
    char *rest = memcpy(wsrun_alloc(message.size + 1), message.data, message.size);
    const char *command = word(&rest);
    uint32_t count = 0;
    wsrun_timer timer;
    wsrun_status status;
#define IS(name) (strcmp(command, name) == 0)
    if (IS("request")) {
        wsrun_request request;
        if (!wsrun_request_of(connection, &request)) return "unknown";
        return format("%s %s %s %s %u %s %s", request.role == WSRUN_SERVER ? "server" : "client", shown(request.path),
                      shown(request.query), shown(wsrun_header_of(&request, "x-test")), (unsigned)request.offered.count,
                      boolean(request.secure), shown(request.host));
    }
    if (IS("protocol")) return shown(wsrun_protocol_of(connection));
    if (IS("session")) return shown(wsrun_session(connection));
    if (IS("keep")) return name_of(wsrun_set_session(connection, rest, strlen(rest)));
    if (IS("sub")) return name_of(wsrun_subscribe(connection, rest));
    if (IS("unsub")) return boolean(wsrun_unsubscribe(connection, rest));
    if (IS("pub") || IS("pubx")) {
        const char *topic = word(&rest);
        status = wsrun_publish(topic, text(rest), IS("pubx") ? connection : WSRUN_NO_CONNECTION, &count);
        return format("%s %u", name_of(status), (unsigned)count);
    }
    if (IS("cast")) {
        status = wsrun_broadcast(NULL, text(rest), &count);
        return format("%s %u", name_of(status), (unsigned)count);
    }
    if (IS("castp")) {
        const char *protocol = word(&rest);
        status = wsrun_broadcast(protocol, text(rest), &count);
        return format("%s %u", name_of(status), (unsigned)count);
    }
    if (IS("slow")) {
        wsrun_set_slow(connection, WSRUN_SLOW_DISCONNECT, 4001);
        wsrun_set_slow(connection, WSRUN_SLOW_DEFAULT, 0);
        wsrun_set_topic_slow("slow", WSRUN_SLOW_LATEST_ONLY, 0);
        wsrun_receive_flow(connection, true);
        return format("%u %u", (unsigned)wsrun_dropped(connection), (unsigned)wsrun_topic_dropped("slow"));
    }
    if (IS("timer")) return name_of(wsrun_set_timer(1, UINT64_C(1) << 40, connection, NULL));
    if (IS("timer0")) return name_of(wsrun_set_timer(1, 8, WSRUN_NO_CONNECTION, NULL));
    if (IS("cancel")) {
        wsrun_set_timer(60000, 9, connection, &timer);
        bool first = wsrun_cancel_timer(timer);
        return format("%s %s", boolean(first), boolean(wsrun_cancel_timer(timer)));
    }
    if (IS("ping")) return name_of(wsrun_ping(connection, rest, strlen(rest)));
    if (IS("pong")) return name_of(wsrun_pong(connection, rest, strlen(rest)));
    if (IS("parts")) {
        wsrun_send_chunk(connection, WSRUN_TEXT, "ab", 2, false);
        return name_of(wsrun_send_chunk(connection, WSRUN_TEXT, "cd", 2, true));
    }
    if (IS("wrong")) {
        wsrun_send_chunk(connection, WSRUN_TEXT, "a", 1, false);
        status = wsrun_send_chunk(connection, WSRUN_BINARY, "b", 1, true);
        wsrun_send_chunk(connection, WSRUN_TEXT, "", 0, true);
        return name_of(status);
    }
    if (IS("invalid")) return name_of(wsrun_send_chunk(connection, WSRUN_TEXT, "\xff", 1, true));
    if (IS("large")) {
        static const char large[3 << 20];
        status = wsrun_send_bytes(connection, large, sizeof large);
        return format("%s %u", name_of(status), (unsigned)wsrun_error_number());
    }
    if (IS("full")) {
        static const char part[1 << 16];
        while ((status = wsrun_send_bytes(connection, part, sizeof part)) == WSRUN_OK) {}
        wsrun_want_writable(connection);
        return status == WSRUN_QUEUE_FULL && wsrun_error_number() == wsrun_buffered(connection) ? NULL : "wrong";
    }
    if (IS("writable")) {
        wsrun_want_writable_all(*rest ? rest : NULL);
        return NULL;
    }
    if (IS("unknown")) return name_of(wsrun_send_text(999, "x"));
    if (IS("auto")) {
        wsrun_message reply = text("beat!");
        return name_of(wsrun_set_auto_reply(text("beat?"), &reply));
    }
    if (IS("unauto")) return name_of(wsrun_set_auto_reply(text("beat?"), NULL));
    if (IS("host")) {
        return format("%s %s %s %u %s", shown(wsrun_handler_name()), shown(wsrun_config("key")), shown(wsrun_config("none")),
                      (unsigned)wsrun_connection_count(), boolean(wsrun_hostname().size > 0));
    }
    if (IS("connect")) return connect_to("/?name=out", false, 0);
    if (IS("reconnect")) return connect_to("/?name=out", true, 0);
    if (IS("refused")) return connect_to("/refuse", false, 0);
    if (IS("version")) return connect_to("/", false, 9);
    if (IS("connect-to")) {
        wsrun_connect_options options = {.url = rest};
        status = wsrun_connect(&options, NULL);
        return format("%s %s", name_of(status), boolean(*wsrun_error_text()));
    }
    if (IS("life")) return format("%s %s %u %u", boolean(started), boolean(restored_state), resumed, messages);
    if (IS("close")) {
        wsrun_close(connection, 4001, "bye");
        return NULL;
    }
    if (IS("abort")) {
        wsrun_abort(connection);
        return NULL;
    }
    return "unknown command";
}

void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    messages++;
    if (is_client(connection)) {
        tell(format("out got %.*s", (int)message.size, message.data));
        if (!has_session(connection, "again")) wsrun_close(connection, WSRUN_CLOSE_NORMAL, "");
        return;
    }
    if (message.kind == WSRUN_BINARY) {
        wsrun_send_bytes(connection, message.data, message.size);
        return;
    }
    const char *reply = answer(connection, message);
    if (reply) wsrun_send_text(connection, reply);
}

void wsrun_on_closed(wsrun_connection connection, const wsrun_close_info *info) {
    wsrun_failure failure = wsrun_failure_of(connection);
    if (failure.kind == WSRUN_FAILURE_REFUSED) {
        tell(format("out refused %u", failure.status));
    } else {
        tell(format("closed %u %s %s %s", info->code, info->reason.size ? shown(info->reason) : "-", by(info->by), boolean(info->clean)));
    }
}

void wsrun_on_lost(wsrun_connection connection, const wsrun_close_info *info, uint32_t attempt, uint32_t after_ms) {
    (void)connection;
    tell(format("lost %u %u %s", info->code, (unsigned)attempt, boolean(after_ms <= 20)));
}

void wsrun_on_restored(wsrun_connection connection) {
    tell("restored");
    wsrun_close(connection, WSRUN_CLOSE_NORMAL, "");
}

void wsrun_on_writable(wsrun_connection connection) {
    wsrun_send_text(connection, "writable");
}

bool wsrun_on_broadcast(wsrun_connection connection, wsrun_message message) {
    (void)message;
    return !has_session(connection, "deaf");
}

bool wsrun_on_accept(wsrun_string peer, wsrun_string local) {
    return strncmp(peer.data, "127.0.0.2:", 10) != 0 && local.size > 0;
}

void wsrun_on_http(const wsrun_http_request *request, wsrun_http_response *response) {
    if (wsrun_equals(request->request.path, "/file")) {
        response->file = wsrun_text("file.txt");
        return;
    }
    wsrun_header *header = wsrun_alloc(sizeof *header);
    *header = (wsrun_header){wsrun_text("x-method"), request->method};
    *response = (wsrun_http_response){
        .status = 201,
        .headers = {header, 1},
        .body = wsrun_text(format("%s %s %u", shown(request->request.path), shown(wsrun_query_value(&request->request, "a b")),
                                  (unsigned)request->body.size)),
    };
}

void wsrun_on_pong(wsrun_connection connection, wsrun_string payload) {
    wsrun_send_text(connection, format("pong %s", payload.data));
}

void wsrun_on_timer(wsrun_timer timer, uint64_t tag, wsrun_connection connection) {
    (void)timer;
    if (connection == WSRUN_NO_CONNECTION) {
        tell(format("timer %llu", (unsigned long long)tag));
    } else {
        wsrun_send_text(connection, format("timer %llu", (unsigned long long)tag));
    }
}

void wsrun_on_started(void) {
    started = true;
}

void wsrun_on_resumed(wsrun_connection connection) {
    (void)connection;
    resumed++;
}

wsrun_string wsrun_on_save(void) {
    return wsrun_text(format("%u", messages));
}

const char *wsrun_on_restore(wsrun_string state) {
    if (sscanf(state.data, "%u", &messages) != 1) return "no number";
    restored_state = true;
    return NULL;
}

void wsrun_on_draining(uint32_t deadline_ms) {
    tell(format("draining %s", boolean(deadline_ms > 0)));
}
