/* wsrun.c - what stands between wsrun.h and the host. Compile it with your handler.
 *
 * Every export of the contract is here, under a condition for `wsrun component`: "A|B=>NAME" becomes NAME where A or B is defined, and is
 * left out where neither is.
 */

/* What the handler does not define is NULL here. */
#define WSRUN_EVENT(name) __attribute__((weak))
#include "wsrun.h"
#include "wsrun_raw.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define EXPORT_IF(condition, name) __attribute__((export_name(condition "=>" name)))

#define PAGE_BYTES 65536u

/* ----------------------------------------------------------------- memory */

/* What lives until the callback returns: one block, which a larger one takes the place of when it is full. */
static char *block;
static size_t block_size;
static size_t block_used;

static void *take(size_t align, size_t size) {
    size_t at = (block_used + align - 1) & ~(align - 1);
    /* Behind bytes there is a zero, so that texts can be used as C has them. */
    size_t behind = align == 1;
    if (size > SIZE_MAX - behind - at - PAGE_BYTES) __builtin_trap();
    if (at + size + behind > block_size) {
        size_t wanted = size + behind > 2 * block_size ? size + behind : 2 * block_size;
        size_t pages = (wanted + PAGE_BYTES - 1) / PAGE_BYTES;
        size_t before = __builtin_wasm_memory_grow(0, pages);
        if (before == SIZE_MAX) __builtin_trap();
        /* What is in the old block is still in use. */
        block = (char *)(before * PAGE_BYTES);
        block_size = pages * PAGE_BYTES;
        at = 0;
    }
    block_used = at + size + behind;
    if (behind) block[at + size] = 0;
    return block + at;
}

static void give_back(void) {
    block_used = 0;
}

/* The host puts what it passes where this says. */
EXPORT("cabi_realloc")
void *wsrun_internal_realloc(void *old, size_t old_size, size_t align, size_t size) {
    char *new = take(align, size);
    for (size_t index = 0; index < (old_size < size ? old_size : size); index++) new[index] = ((char *)old)[index];
    return new;
}

void *wsrun_alloc(size_t size) {
    char *memory = take(16, size);
    for (size_t index = 0; index < size; index++) memory[index] = 0;
    return memory;
}

/* ----------------------------------------------------------------- values */

static const wsrun_string none = {NULL, 0};

static size_t length(const char *text) {
    size_t size = 0;
    while (text[size]) size++;
    return size;
}

wsrun_string wsrun_text(const char *text) {
    return (wsrun_string){text, text ? length(text) : 0};
}

static wsrun_string given(wsrun_raw_string text) {
    return (wsrun_string){text.data, text.size};
}

static wsrun_string given_bytes(wsrun_raw_bytes bytes) {
    return (wsrun_string){(const char *)bytes.data, bytes.size};
}

static wsrun_string given_optional(wsrun_raw_optional_string text) {
    return text.some ? given(text.value) : none;
}

static wsrun_raw_string string(wsrun_string text) {
    return (wsrun_raw_string){text.data, text.size};
}

static wsrun_raw_optional_string optional(const char *text) {
    wsrun_string value = wsrun_text(text);
    return (wsrun_raw_optional_string){text != NULL, string(value)};
}

/* The structs of both headers are laid out alike, so that lists need no copy. */
_Static_assert(sizeof(wsrun_string) == sizeof(wsrun_raw_string), "a text is what it is below");
_Static_assert(sizeof(wsrun_header) == sizeof(wsrun_raw_tuple_string_bytes), "a header field is what it is below");
_Static_assert(sizeof(wsrun_header) == sizeof(wsrun_raw_tuple_string_string), "a header field is what it is below");

static wsrun_headers given_headers(wsrun_raw_list_tuple_string_bytes headers) {
    return (wsrun_headers){(const wsrun_header *)headers.items, headers.count};
}

static wsrun_raw_list_tuple_string_string header_list(wsrun_headers headers) {
    return (wsrun_raw_list_tuple_string_string){(const wsrun_raw_tuple_string_string *)headers.items, headers.count};
}

static wsrun_request given_request(const wsrun_raw_request *raw) {
    return (wsrun_request){
        .role = raw->role == WSRUN_RAW_ROLE_CLIENT ? WSRUN_CLIENT : WSRUN_SERVER,
        .path = given(raw->path),
        .query = given_optional(raw->query),
        .headers = given_headers(raw->headers),
        .offered = {(const wsrun_string *)raw->offered.items, raw->offered.count},
        .peer = given(raw->peer),
        .local = given(raw->local),
        .secure = raw->secure,
        .host = given_optional(raw->host),
    };
}

static wsrun_close_info close_info(uint32_t code, const char *reason, size_t size, uint32_t by, uint32_t clean) {
    return (wsrun_close_info){
        .code = code,
        .reason = {reason, size},
        .by = by == WSRUN_RAW_CLOSED_BY_PEER ? WSRUN_BY_PEER : by == WSRUN_RAW_CLOSED_BY_HANDLER ? WSRUN_BY_HANDLER : WSRUN_BY_HOST,
        .clean = clean,
    };
}

static wsrun_message message_of(uint32_t tag, const char *data, size_t size) {
    return (wsrun_message){tag == WSRUN_RAW_MESSAGE_TEXT ? WSRUN_TEXT : WSRUN_BINARY, data, size};
}

static uint32_t message_tag(wsrun_message message) {
    return message.kind == WSRUN_TEXT ? WSRUN_RAW_MESSAGE_TEXT : WSRUN_RAW_MESSAGE_BINARY;
}

bool wsrun_equals(wsrun_string text, const char *other) {
    if (!text.data) return false;
    size_t index = 0;
    while (index < text.size && other[index] && text.data[index] == other[index]) index++;
    return index == text.size && !other[index];
}

wsrun_string wsrun_header_of(const wsrun_request *request, const char *name) {
    for (size_t index = 0; index < request->headers.count; index++) {
        if (wsrun_equals(request->headers.items[index].name, name)) return request->headers.items[index].value;
    }
    return none;
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

static wsrun_string decoded(const char *text, size_t size) {
    char *out = take(1, size);
    size_t used = 0;
    for (size_t index = 0; index < size; index++) {
        char byte = text[index];
        if (byte == '%' && index + 2 < size && hex_digit(text[index + 1]) >= 0 && hex_digit(text[index + 2]) >= 0) {
            byte = (char)(hex_digit(text[index + 1]) * 16 + hex_digit(text[index + 2]));
            index += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        out[used++] = byte;
    }
    out[used] = 0;
    return (wsrun_string){out, used};
}

wsrun_string wsrun_query_value(const wsrun_request *request, const char *name) {
    const char *query = request->query.data;
    size_t size = query ? request->query.size : 0;
    for (size_t begin = 0; begin < size;) {
        size_t end = begin;
        while (end < size && query[end] != '&') end++;
        size_t middle = begin;
        while (middle < end && query[middle] != '=') middle++;
        if (wsrun_equals(decoded(query + begin, middle - begin), name)) {
            size_t value = middle < end ? middle + 1 : end;
            return decoded(query + value, end - value);
        }
        begin = end + 1;
    }
    return none;
}

/* ----------------------------------------------------------------- errors */

static uint64_t error_number;
static const char *error_text = "";

uint64_t wsrun_error_number(void) {
    return error_number;
}

const char *wsrun_error_text(void) {
    return error_text;
}

static wsrun_status failed(wsrun_status status, uint64_t number, const char *text) {
    error_number = number;
    error_text = text;
    return status;
}

const char *wsrun_status_text(wsrun_status status) {
    switch (status) {
    case WSRUN_OK: return "done";
    case WSRUN_CLOSED: return "the connection is closed";
    case WSRUN_QUEUE_FULL: return "the queue of the connection is full";
    case WSRUN_TOO_LARGE: return "larger than the limit";
    case WSRUN_INVALID_TEXT: return "the text is not valid UTF-8";
    case WSRUN_WRONG_KIND: return "the message was begun as the other kind";
    case WSRUN_INVALID_NAME: return "the name of a topic has 1 to 256 bytes";
    case WSRUN_LIMIT: return "there are as many as there may be";
    case WSRUN_WAITING: return "some subscribers have no room, and their policy is to wait";
    case WSRUN_NOT_EXPORTED: return "the handler takes no timers";
    case WSRUN_DENIED: return "the operator does not allow it";
    case WSRUN_INVALID: return "an option cannot be used";
    case WSRUN_UNSUPPORTED_VERSION: return "there is no such WebSocket version";
    }
    return "unknown";
}

static wsrun_status send_status(const wsrun_raw_outcome_none_send_error *outcome) {
    if (!outcome->failed) return WSRUN_OK;
    const wsrun_raw_send_error *error = &outcome->value.error;
    switch (error->tag) {
    case WSRUN_RAW_SEND_ERROR_QUEUE_FULL: return failed(WSRUN_QUEUE_FULL, error->value.queue_full, "");
    case WSRUN_RAW_SEND_ERROR_TOO_LARGE: return failed(WSRUN_TOO_LARGE, error->value.too_large, "");
    default: return failed(WSRUN_CLOSED, 0, "");
    }
}

static wsrun_status publish_status(const wsrun_raw_outcome_u32_publish_error *outcome, uint32_t *receivers) {
    if (!outcome->failed) {
        if (receivers) *receivers = outcome->value.ok;
        return WSRUN_OK;
    }
    const wsrun_raw_publish_error *error = &outcome->value.error;
    if (error->tag == WSRUN_RAW_PUBLISH_ERROR_WAITING) return failed(WSRUN_WAITING, error->value.waiting, "");
    return failed(WSRUN_TOO_LARGE, error->value.too_large, "");
}

/* ------------------------------------------------------------ connections */

wsrun_status wsrun_send(wsrun_connection to, wsrun_message message) {
    wsrun_raw_outcome_none_send_error outcome;
    wsrun_raw_connections_send(to, message_tag(message), message.data, message.size, &outcome);
    return send_status(&outcome);
}

wsrun_status wsrun_send_text(wsrun_connection to, const char *text) {
    return wsrun_send(to, (wsrun_message){WSRUN_TEXT, text, length(text)});
}

wsrun_status wsrun_send_bytes(wsrun_connection to, const void *data, size_t size) {
    return wsrun_send(to, (wsrun_message){WSRUN_BINARY, data, size});
}

wsrun_status wsrun_send_chunk(wsrun_connection to, wsrun_kind kind, const void *data, size_t size, bool last) {
    wsrun_raw_outcome_none_connections_chunk_error outcome;
    wsrun_raw_connections_send_chunk(to, kind == WSRUN_TEXT, data, size, last, &outcome);
    if (!outcome.failed) return WSRUN_OK;
    const wsrun_raw_connections_chunk_error *error = &outcome.value.error;
    switch (error->tag) {
    case WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_QUEUE_FULL: return failed(WSRUN_QUEUE_FULL, error->value.queue_full, "");
    case WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_TOO_LARGE: return failed(WSRUN_TOO_LARGE, error->value.too_large, "");
    case WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_INVALID_TEXT: return failed(WSRUN_INVALID_TEXT, 0, "");
    case WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_WRONG_KIND: return failed(WSRUN_WRONG_KIND, 0, "");
    default: return failed(WSRUN_CLOSED, 0, "");
    }
}

wsrun_status wsrun_ping(wsrun_connection to, const void *data, size_t size) {
    wsrun_raw_outcome_none_send_error outcome;
    wsrun_raw_connections_ping(to, data, size, &outcome);
    return send_status(&outcome);
}

wsrun_status wsrun_pong(wsrun_connection to, const void *data, size_t size) {
    wsrun_raw_outcome_none_send_error outcome;
    wsrun_raw_connections_pong(to, data, size, &outcome);
    return send_status(&outcome);
}

void wsrun_close(wsrun_connection connection, uint16_t code, const char *reason) {
    wsrun_string text = wsrun_text(reason);
    wsrun_raw_connections_close(connection, code, text.data, text.size);
}

void wsrun_abort(wsrun_connection connection) {
    wsrun_raw_connections_abort(connection);
}

uint64_t wsrun_buffered(wsrun_connection connection) {
    return wsrun_raw_connections_buffered(connection);
}

void wsrun_want_writable(wsrun_connection connection) {
    wsrun_raw_connections_want_writable(connection);
}

void wsrun_want_writable_all(const char *protocol) {
    wsrun_string name = wsrun_text(protocol);
    wsrun_raw_connections_want_writable_all(protocol != NULL, name.data, name.size);
}

void wsrun_receive_flow(wsrun_connection connection, bool enabled) {
    wsrun_raw_connections_receive_flow(connection, enabled);
}

bool wsrun_request_of(wsrun_connection connection, wsrun_request *request) {
    wsrun_raw_optional_request answer;
    wsrun_raw_connections_request_of(connection, &answer);
    if (answer.some) *request = given_request(&answer.value);
    return answer.some;
}

wsrun_string wsrun_protocol_of(wsrun_connection connection) {
    wsrun_raw_optional_string answer;
    wsrun_raw_connections_protocol(connection, &answer);
    return given_optional(answer);
}

wsrun_string wsrun_session(wsrun_connection connection) {
    wsrun_raw_bytes answer;
    wsrun_raw_connections_session(connection, &answer);
    return given_bytes(answer);
}

wsrun_status wsrun_set_session(wsrun_connection connection, const void *data, size_t size) {
    wsrun_raw_outcome_none_send_error outcome;
    wsrun_raw_connections_set_session(connection, data, size, &outcome);
    return send_status(&outcome);
}

wsrun_status wsrun_set_auto_reply(wsrun_message received, const wsrun_message *reply) {
    wsrun_raw_outcome_none_connections_auto_reply_error outcome;
    wsrun_message with = reply ? *reply : (wsrun_message){WSRUN_TEXT, NULL, 0};
    wsrun_raw_connections_set_auto_reply(message_tag(received), received.data, received.size, reply != NULL, message_tag(with),
                                         with.data, with.size, &outcome);
    if (!outcome.failed) return WSRUN_OK;
    const wsrun_raw_connections_auto_reply_error *error = &outcome.value.error;
    if (error->tag == WSRUN_RAW_CONNECTIONS_AUTO_REPLY_ERROR_TOO_LARGE) return failed(WSRUN_TOO_LARGE, error->value.too_large, "");
    return failed(WSRUN_LIMIT, 0, "");
}

/* ----------------------------------------------------------------- topics */

wsrun_status wsrun_subscribe(wsrun_connection connection, const char *topic) {
    wsrun_raw_outcome_bool_topics_subscribe_error outcome;
    wsrun_raw_topics_subscribe(connection, topic, length(topic), &outcome);
    if (!outcome.failed) return WSRUN_OK;
    switch (outcome.value.error.tag) {
    case WSRUN_RAW_TOPICS_SUBSCRIBE_ERROR_INVALID_NAME: return failed(WSRUN_INVALID_NAME, 0, "");
    case WSRUN_RAW_TOPICS_SUBSCRIBE_ERROR_LIMIT: return failed(WSRUN_LIMIT, 0, "");
    default: return failed(WSRUN_CLOSED, 0, "");
    }
}

bool wsrun_unsubscribe(wsrun_connection connection, const char *topic) {
    return wsrun_raw_topics_unsubscribe(connection, topic, length(topic));
}

wsrun_status wsrun_publish(const char *topic, wsrun_message message, wsrun_connection except, uint32_t *receivers) {
    wsrun_raw_outcome_u32_publish_error outcome;
    wsrun_raw_topics_publish(topic, length(topic), message_tag(message), message.data, message.size, except != WSRUN_NO_CONNECTION,
                             except, &outcome);
    return publish_status(&outcome, receivers);
}

wsrun_status wsrun_publish_text(const char *topic, const char *text, wsrun_connection except) {
    return wsrun_publish(topic, (wsrun_message){WSRUN_TEXT, text, length(text)}, except, NULL);
}

wsrun_status wsrun_broadcast(const char *protocol, wsrun_message message, uint32_t *receivers) {
    wsrun_raw_outcome_u32_publish_error outcome;
    wsrun_string name = wsrun_text(protocol);
    wsrun_raw_topics_broadcast(protocol != NULL, name.data, name.size, message_tag(message), message.data, message.size, &outcome);
    return publish_status(&outcome, receivers);
}

static uint32_t slow_tag(wsrun_slow policy) {
    switch (policy) {
    case WSRUN_SLOW_DEFAULT:
    case WSRUN_SLOW_WAIT: return WSRUN_RAW_SLOW_POLICY_WAIT;
    case WSRUN_SLOW_DROP_OLDEST: return WSRUN_RAW_SLOW_POLICY_DROP_OLDEST;
    case WSRUN_SLOW_DROP_NEWEST: return WSRUN_RAW_SLOW_POLICY_DROP_NEWEST;
    case WSRUN_SLOW_LATEST_ONLY: return WSRUN_RAW_SLOW_POLICY_LATEST_ONLY;
    case WSRUN_SLOW_DISCONNECT: return WSRUN_RAW_SLOW_POLICY_DISCONNECT;
    }
    __builtin_trap();
}

void wsrun_set_slow(wsrun_connection connection, wsrun_slow policy, uint16_t code) {
    wsrun_raw_connections_set_slow_policy(connection, policy != WSRUN_SLOW_DEFAULT, slow_tag(policy), code);
}

void wsrun_set_topic_slow(const char *topic, wsrun_slow policy, uint16_t code) {
    wsrun_raw_topics_set_slow_policy(topic, length(topic), policy != WSRUN_SLOW_DEFAULT, slow_tag(policy), code);
}

uint64_t wsrun_dropped(wsrun_connection connection) {
    return wsrun_raw_connections_dropped(connection);
}

uint64_t wsrun_topic_dropped(const char *topic) {
    return wsrun_raw_topics_dropped(topic, length(topic));
}

/* ----------------------------------------------------------------- timers */

wsrun_status wsrun_set_timer(uint32_t after_ms, uint64_t tag, wsrun_connection connection, wsrun_timer *timer) {
    wsrun_raw_outcome_u64_timers_timer_error outcome;
    wsrun_raw_timers_set(after_ms, tag, connection != WSRUN_NO_CONNECTION, connection, &outcome);
    if (!outcome.failed) {
        if (timer) *timer = outcome.value.ok;
        return WSRUN_OK;
    }
    switch (outcome.value.error.tag) {
    case WSRUN_RAW_TIMERS_TIMER_ERROR_LIMIT: return failed(WSRUN_LIMIT, 0, "");
    case WSRUN_RAW_TIMERS_TIMER_ERROR_NOT_EXPORTED: return failed(WSRUN_NOT_EXPORTED, 0, "");
    default: return failed(WSRUN_CLOSED, 0, "");
    }
}

bool wsrun_cancel_timer(wsrun_timer timer) {
    return wsrun_raw_timers_cancel(timer);
}

/* --------------------------------------------------------- connecting out */

static wsrun_raw_optional_u32 unless_zero(uint32_t value) {
    return (wsrun_raw_optional_u32){value != 0, value};
}

wsrun_status wsrun_connect(const wsrun_connect_options *options, wsrun_connection *connection) {
    wsrun_raw_client_options raw = {
        .url = string(wsrun_text(options->url)),
        .protocols = {(const wsrun_raw_string *)options->protocols.items, options->protocols.count},
        .host = optional(options->host),
        .origin = optional(options->origin),
        .headers = header_list(options->headers),
        .verify = options->allow_self_signed ? WSRUN_RAW_CLIENT_VERIFY_ALLOW_SELF_SIGNED : WSRUN_RAW_CLIENT_VERIFY_FULL,
        .identity = optional(options->identity),
        .version = {options->version != 0, options->version},
        .compression = options->compression,
        .timeout_ms = unless_zero(options->timeout_ms),
        .reconnect = {options->reconnect,
                      {options->attempts_max, unless_zero(options->delay_ms), unless_zero(options->delay_max_ms)}},
        .session = {options->session, options->session_size},
    };
    wsrun_raw_outcome_u64_client_connect_error outcome;
    wsrun_raw_client_connect(&raw, &outcome);
    if (!outcome.failed) {
        if (connection) *connection = outcome.value.ok;
        return WSRUN_OK;
    }
    const wsrun_raw_client_connect_error *error = &outcome.value.error;
    switch (error->tag) {
    case WSRUN_RAW_CLIENT_CONNECT_ERROR_DENIED: return failed(WSRUN_DENIED, 0, error->value.denied.data);
    case WSRUN_RAW_CLIENT_CONNECT_ERROR_INVALID: return failed(WSRUN_INVALID, 0, error->value.invalid.data);
    case WSRUN_RAW_CLIENT_CONNECT_ERROR_UNSUPPORTED_VERSION: return failed(WSRUN_UNSUPPORTED_VERSION, 0, "");
    default: return failed(WSRUN_LIMIT, 0, "");
    }
}

wsrun_failure wsrun_failure_of(wsrun_connection connection) {
    wsrun_raw_optional_client_failure answer;
    wsrun_raw_client_failure_of(connection, &answer);
    wsrun_failure failure = {WSRUN_FAILURE_NONE, none, 0};
    if (!answer.some) return failure;
    const wsrun_raw_client_failure *raw = &answer.value;
    switch (raw->tag) {
    case WSRUN_RAW_CLIENT_FAILURE_DENIED:
        failure.kind = WSRUN_FAILURE_DENIED;
        failure.text = given(raw->value.denied);
        break;
    case WSRUN_RAW_CLIENT_FAILURE_UNREACHABLE:
        failure.kind = WSRUN_FAILURE_UNREACHABLE;
        failure.text = given(raw->value.unreachable);
        break;
    case WSRUN_RAW_CLIENT_FAILURE_TLS:
        failure.kind = WSRUN_FAILURE_TLS;
        failure.text = given(raw->value.tls);
        break;
    case WSRUN_RAW_CLIENT_FAILURE_TIMED_OUT:
        failure.kind = raw->value.timed_out == WSRUN_RAW_CLIENT_PHASE_CONNECT ? WSRUN_FAILURE_TIMED_OUT_CONNECTING
                       : raw->value.timed_out == WSRUN_RAW_CLIENT_PHASE_TLS   ? WSRUN_FAILURE_TIMED_OUT_IN_TLS
                                                                              : WSRUN_FAILURE_TIMED_OUT_IN_HANDSHAKE;
        break;
    case WSRUN_RAW_CLIENT_FAILURE_ENDED: failure.kind = WSRUN_FAILURE_ENDED; break;
    case WSRUN_RAW_CLIENT_FAILURE_REFUSED:
        failure.kind = WSRUN_FAILURE_REFUSED;
        failure.status = raw->value.refused;
        break;
    case WSRUN_RAW_CLIENT_FAILURE_REDIRECTED:
        failure.kind = WSRUN_FAILURE_REDIRECTED;
        failure.text = given_optional(raw->value.redirected);
        break;
    case WSRUN_RAW_CLIENT_FAILURE_INVALID_RESPONSE:
        failure.kind = WSRUN_FAILURE_INVALID_RESPONSE;
        failure.text = given(raw->value.invalid_response);
        break;
    case WSRUN_RAW_CLIENT_FAILURE_NOT_UPGRADED: failure.kind = WSRUN_FAILURE_NOT_UPGRADED; break;
    case WSRUN_RAW_CLIENT_FAILURE_ACCEPT_MISSING: failure.kind = WSRUN_FAILURE_ACCEPT_MISSING; break;
    case WSRUN_RAW_CLIENT_FAILURE_ACCEPT_WRONG: failure.kind = WSRUN_FAILURE_ACCEPT_WRONG; break;
    case WSRUN_RAW_CLIENT_FAILURE_PROTOCOL_NOT_OFFERED: failure.kind = WSRUN_FAILURE_PROTOCOL_NOT_OFFERED; break;
    case WSRUN_RAW_CLIENT_FAILURE_EXTENSION_NOT_OFFERED:
        failure.kind = WSRUN_FAILURE_EXTENSION_NOT_OFFERED;
        failure.text = given(raw->value.extension_not_offered);
        break;
    }
    return failure;
}

const char *wsrun_failure_text(wsrun_failure_kind kind) {
    switch (kind) {
    case WSRUN_FAILURE_NONE: return "none";
    case WSRUN_FAILURE_DENIED: return "denied";
    case WSRUN_FAILURE_UNREACHABLE: return "unreachable";
    case WSRUN_FAILURE_TLS: return "TLS failed";
    case WSRUN_FAILURE_TIMED_OUT_CONNECTING: return "timed out: no transport";
    case WSRUN_FAILURE_TIMED_OUT_IN_TLS: return "timed out: the TLS handshake did not end";
    case WSRUN_FAILURE_TIMED_OUT_IN_HANDSHAKE: return "timed out: the opening handshake was not answered";
    case WSRUN_FAILURE_ENDED: return "server ended the transport in the opening handshake";
    case WSRUN_FAILURE_REFUSED: return "server refused";
    case WSRUN_FAILURE_REDIRECTED: return "server redirected";
    case WSRUN_FAILURE_INVALID_RESPONSE: return "invalid response";
    case WSRUN_FAILURE_NOT_UPGRADED: return "response does not upgrade to WebSocket";
    case WSRUN_FAILURE_ACCEPT_MISSING: return "accept header is missing";
    case WSRUN_FAILURE_ACCEPT_WRONG: return "accept header does not answer the key";
    case WSRUN_FAILURE_PROTOCOL_NOT_OFFERED: return "server chose a subprotocol that was not offered";
    case WSRUN_FAILURE_EXTENSION_NOT_OFFERED: return "server chose an extension that was not offered";
    }
    return "unknown";
}

uint16_t wsrun_response_of(wsrun_connection connection, wsrun_headers *headers) {
    wsrun_raw_optional_client_response answer;
    wsrun_raw_client_response_of(connection, &answer);
    if (!answer.some) return 0;
    if (headers) *headers = given_headers(answer.value.headers);
    return answer.value.status;
}

/* --------------------------------------------------------------- the host */

wsrun_string wsrun_hostname(void) {
    wsrun_raw_string answer;
    wsrun_raw_host_info_hostname(&answer);
    return given(answer);
}

wsrun_string wsrun_handler_name(void) {
    wsrun_raw_string answer;
    wsrun_raw_host_info_handler_name(&answer);
    return given(answer);
}

wsrun_string wsrun_config(const char *key) {
    wsrun_raw_optional_string answer;
    wsrun_raw_host_info_config(key, length(key), &answer);
    return given_optional(answer);
}

uint32_t wsrun_connection_count(void) {
    return wsrun_raw_host_info_connection_count();
}

/* ---------------------------------------------------------------- exports */

EXPORT(WSRUN_RAW_HANDLER_OPENED)
void wsrun_internal_opened(uint64_t connection) {
    if (wsrun_on_opened) wsrun_on_opened(connection);
    give_back();
}

EXPORT(WSRUN_RAW_HANDLER_RECEIVED)
void wsrun_internal_received(uint64_t connection, uint32_t tag, const char *data, size_t size) {
    if (wsrun_on_received) wsrun_on_received(connection, message_of(tag, data, size));
    give_back();
}

/* Messages that arrived together come in one call: before each are 4 bytes with its size, and with whether it is a text. */
EXPORT_IF("wsrun_on_received", WSRUN_RAW_PACKED_RECEIVED)
void wsrun_internal_packed(uint64_t connection, const uint8_t *at, size_t size, uint32_t room) {
    const uint32_t is_text = UINT32_C(1) << 31;
    const uint8_t *end = at + size;
    (void)room;
    while (at < end) {
        uint32_t prefix = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        size_t length = prefix & ~is_text;
        /* A copy has the zero behind it. */
        char *data = take(1, length);
        __builtin_memcpy(data, at + 4, length);
        wsrun_on_received(connection, message_of(prefix & is_text ? WSRUN_RAW_MESSAGE_TEXT : WSRUN_RAW_MESSAGE_BINARY, data, length));
        at += 4 + length;
    }
    give_back();
}

EXPORT(WSRUN_RAW_HANDLER_CLOSED)
void wsrun_internal_closed(uint64_t connection, uint32_t code, const char *reason, size_t size, uint32_t by, uint32_t clean) {
    wsrun_close_info info = close_info(code, reason, size, by, clean);
    if (wsrun_on_closed) wsrun_on_closed(connection, &info);
    give_back();
}

/* The host reads what is returned before it passes anything again: what is given back is still there. */

EXPORT_IF("wsrun_on_handshake", WSRUN_RAW_HANDSHAKE_REQUESTED)
const void *wsrun_internal_handshake(const wsrun_raw_request *raw) {
    static wsrun_raw_outcome_handshake_acceptance_handshake_refusal outcome;
    wsrun_request request = given_request(raw);
    wsrun_acceptance acceptance = {0};
    wsrun_refusal refusal = {.status = 403};
    outcome.failed = !wsrun_on_handshake(&request, &acceptance, &refusal);
    if (outcome.failed) {
        outcome.value.error = (wsrun_raw_handshake_refusal){refusal.status, header_list(refusal.headers), string(refusal.body)};
    } else {
        outcome.value.ok = (wsrun_raw_handshake_acceptance){
            .protocol = {acceptance.protocol.data != NULL, string(acceptance.protocol)},
            .headers = header_list(acceptance.headers),
            .session = {acceptance.session, acceptance.session_size},
        };
    }
    give_back();
    return &outcome;
}

EXPORT_IF("wsrun_on_writable", WSRUN_RAW_WRITABLE_WRITABLE)
void wsrun_internal_writable(uint64_t connection) {
    wsrun_on_writable(connection);
    give_back();
}

EXPORT_IF("wsrun_on_chunk", WSRUN_RAW_CHUNKS_RECEIVED_CHUNK)
void wsrun_internal_chunk(uint64_t connection, uint32_t text, const char *data, size_t size, uint32_t first, uint32_t last,
                          uint64_t remaining) {
    wsrun_chunk chunk = {text ? WSRUN_TEXT : WSRUN_BINARY, data, size, first, last, remaining};
    wsrun_on_chunk(connection, &chunk);
    give_back();
}

EXPORT_IF("wsrun_on_broadcast", WSRUN_RAW_BROADCAST_FILTER_WANTED)
uint32_t wsrun_internal_broadcast(uint64_t connection, uint32_t tag, const char *data, size_t size) {
    bool wanted = wsrun_on_broadcast(connection, message_of(tag, data, size));
    give_back();
    return wanted;
}

EXPORT_IF("wsrun_on_accept", WSRUN_RAW_NETWORK_FILTER_ACCEPTS)
uint32_t wsrun_internal_accept(const char *peer, size_t peer_size, const char *local, size_t local_size) {
    bool accepts = wsrun_on_accept((wsrun_string){peer, peer_size}, (wsrun_string){local, local_size});
    give_back();
    return accepts;
}

/* Its parameters are too many to be passed one by one. */
struct http_parameters {
    wsrun_raw_string method;
    wsrun_raw_request request;
    wsrun_raw_bytes body;
};

EXPORT_IF("wsrun_on_http", WSRUN_RAW_HTTP_REQUESTED)
const void *wsrun_internal_http(const struct http_parameters *raw) {
    static wsrun_raw_http_response answer;
    wsrun_http_request request = {given(raw->method), given_request(&raw->request), given_bytes(raw->body)};
    wsrun_http_response response = {.status = 200};
    wsrun_on_http(&request, &response);
    answer.status = response.status;
    answer.headers = header_list(response.headers);
    if (response.file.data) {
        answer.body.tag = WSRUN_RAW_HTTP_BODY_FILE;
        answer.body.value.file = string(response.file);
    } else {
        answer.body.tag = WSRUN_RAW_HTTP_BODY_BYTES;
        answer.body.value.bytes = (wsrun_raw_bytes){(const uint8_t *)response.body.data, response.body.size};
    }
    give_back();
    return &answer;
}

EXPORT_IF("wsrun_on_lost|wsrun_on_restored", WSRUN_RAW_RECONNECTION_LOST)
void wsrun_internal_lost(uint64_t connection, uint32_t code, const char *reason, size_t size, uint32_t by, uint32_t clean,
                         uint32_t attempt, uint32_t after_ms) {
    wsrun_close_info info = close_info(code, reason, size, by, clean);
    if (wsrun_on_lost) wsrun_on_lost(connection, &info, attempt, after_ms);
    give_back();
}

EXPORT_IF("wsrun_on_lost|wsrun_on_restored", WSRUN_RAW_RECONNECTION_RESTORED)
void wsrun_internal_restored(uint64_t connection) {
    if (wsrun_on_restored) wsrun_on_restored(connection);
    give_back();
}

EXPORT_IF("wsrun_on_pong", WSRUN_RAW_PONG_PONG)
void wsrun_internal_pong(uint64_t connection, const char *payload, size_t size) {
    wsrun_on_pong(connection, (wsrun_string){payload, size});
    give_back();
}

EXPORT_IF("wsrun_on_timer", WSRUN_RAW_TIMER_HANDLER_FIRED)
void wsrun_internal_timer(uint64_t timer, uint64_t tag, uint32_t some, uint64_t connection) {
    wsrun_on_timer(timer, tag, some ? connection : WSRUN_NO_CONNECTION);
    give_back();
}

/* One of them makes all of them. */
#define LIFECYCLE "wsrun_on_started|wsrun_on_resumed|wsrun_on_save|wsrun_on_restore|wsrun_on_draining"

EXPORT_IF(LIFECYCLE, WSRUN_RAW_LIFECYCLE_STARTED)
void wsrun_internal_started(void) {
    if (wsrun_on_started) wsrun_on_started();
    give_back();
}

EXPORT_IF(LIFECYCLE, WSRUN_RAW_LIFECYCLE_RESUMED)
void wsrun_internal_resumed(uint64_t connection) {
    if (wsrun_on_resumed) wsrun_on_resumed(connection);
    give_back();
}

EXPORT_IF(LIFECYCLE, WSRUN_RAW_LIFECYCLE_SAVE)
const void *wsrun_internal_save(void) {
    static wsrun_raw_bytes state;
    wsrun_string saved = wsrun_on_save ? wsrun_on_save() : none;
    state = (wsrun_raw_bytes){(const uint8_t *)saved.data, saved.size};
    give_back();
    return &state;
}

EXPORT_IF(LIFECYCLE, WSRUN_RAW_LIFECYCLE_RESTORE)
const void *wsrun_internal_restore(const char *data, size_t size) {
    static wsrun_raw_outcome_none_string outcome;
    const char *error = wsrun_on_restore ? wsrun_on_restore((wsrun_string){data, size}) : NULL;
    outcome.failed = error != NULL;
    outcome.value.error = string(wsrun_text(error));
    give_back();
    return &outcome;
}

EXPORT_IF(LIFECYCLE, WSRUN_RAW_LIFECYCLE_DRAINING)
void wsrun_internal_draining(uint32_t deadline_ms) {
    if (wsrun_on_draining) wsrun_on_draining(deadline_ms);
    give_back();
}
