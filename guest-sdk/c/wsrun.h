/* wsrun.h - writes handlers for the WebSocket runtime wsrun in C and C++.
 *
 * A handler is a program without a main: define those of the functions `wsrun_on_...` that you need, and no others. The host calls them,
 * and calls none that is not there.
 *
 *     #include "wsrun.h"
 *
 *     void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
 *         wsrun_send(connection, message);
 *     }
 *
 * What holds everywhere:
 *
 * - Events of one connection come in order and one at a time; nothing runs beside a function of yours.
 * - Nothing that you call blocks or calls back. Effects happen in order when your function returns, and none of them if it traps (abort(),
 *   a failed assert()) or overruns its deadline: then the one connection closes with 1011, and a new instance with fresh memory takes over.
 * - Everything that you are given, by a parameter or by a function here, lives until your function returns. Copy what you keep.
 * - Texts that you are given are UTF-8 and end with a NUL that is not counted, though they may have others inside.
 * - What has no value has `data` NULL. Structs that you pass may be set to zero where you do not care.
 */
#ifndef WSRUN_H
#define WSRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- values */

/* One WebSocket of this handler: a number that may be kept, compared and sent. It is never reused while the host runs. */
typedef uint64_t wsrun_connection;

/* A timer; never reused, never 0. */
typedef uint64_t wsrun_timer;

#define WSRUN_NO_CONNECTION UINT64_MAX

/* Text, or bytes. */
typedef struct wsrun_string {
    const char *data;
    size_t size;
} wsrun_string;

/* Some texts. */
typedef struct wsrun_strings {
    const wsrun_string *items;
    size_t count;
} wsrun_strings;

/* A header field. Names that you are given are in lower case; values may be any bytes. */
typedef struct wsrun_header {
    wsrun_string name;
    wsrun_string value;
} wsrun_header;

typedef struct wsrun_headers {
    const wsrun_header *items;
    size_t count;
} wsrun_headers;

typedef enum wsrun_kind { WSRUN_TEXT, WSRUN_BINARY } wsrun_kind;

/* A whole message (RFC 6455, 5.6). */
typedef struct wsrun_message {
    wsrun_kind kind;
    const char *data;
    size_t size;
} wsrun_message;

/* How something went. `wsrun_status_text` says it in words. */
typedef enum wsrun_status {
    WSRUN_OK,
    /* The connection is closing, closed or not this handler's. */
    WSRUN_CLOSED,
    /* The queue would exceed its limit: wsrun_error_number() bytes are queued. Ask for wsrun_want_writable, and try again when it is told. */
    WSRUN_QUEUE_FULL,
    /* Larger than the limit of wsrun_error_number() bytes. */
    WSRUN_TOO_LARGE,
    /* The parts so far are not the beginning of valid UTF-8, or the last part ends inside a character. */
    WSRUN_INVALID_TEXT,
    /* The message was begun as the other kind. */
    WSRUN_WRONG_KIND,
    /* The name of a topic has 1 to 256 bytes. */
    WSRUN_INVALID_NAME,
    /* There are as many as there may be. */
    WSRUN_LIMIT,
    /* wsrun_error_number() subscribers whose policy is to wait have no room. Nobody got the message. */
    WSRUN_WAITING,
    /* The handler does not define wsrun_on_timer. */
    WSRUN_NOT_EXPORTED,
    /* The operator does not allow it: wsrun_error_text() says what would. */
    WSRUN_DENIED,
    /* An option cannot be used: wsrun_error_text() says which and why. */
    WSRUN_INVALID,
    /* There is no such WebSocket version. */
    WSRUN_UNSUPPORTED_VERSION
} wsrun_status;

/* Close codes (RFC 6455, 7.4). 3000 to 4999 are the application's. */
enum {
    WSRUN_CLOSE_NORMAL = 1000,
    WSRUN_CLOSE_GOING_AWAY = 1001,
    WSRUN_CLOSE_PROTOCOL_ERROR = 1002,
    WSRUN_CLOSE_UNSUPPORTED_DATA = 1003,
    WSRUN_CLOSE_NO_STATUS = 1005,
    WSRUN_CLOSE_ABNORMAL = 1006,
    WSRUN_CLOSE_INVALID_PAYLOAD = 1007,
    WSRUN_CLOSE_POLICY_VIOLATION = 1008,
    WSRUN_CLOSE_MESSAGE_TOO_BIG = 1009,
    WSRUN_CLOSE_MANDATORY_EXTENSION = 1010,
    WSRUN_CLOSE_INTERNAL_ERROR = 1011,
    WSRUN_CLOSE_SERVICE_RESTART = 1012,
    WSRUN_CLOSE_TRY_AGAIN_LATER = 1013,
    WSRUN_CLOSE_BAD_GATEWAY = 1014
};

typedef enum wsrun_closed_by { WSRUN_BY_PEER, WSRUN_BY_HANDLER, WSRUN_BY_HOST } wsrun_closed_by;

/* How a connection ended. */
typedef struct wsrun_close_info {
    /* 1005 when the close frame carried none, 1006 when the transport ended without a close frame. */
    uint16_t code;
    wsrun_string reason;
    wsrun_closed_by by;
    /* Close frames went both ways. */
    bool clean;
} wsrun_close_info;

typedef enum wsrun_role { WSRUN_SERVER, WSRUN_CLIENT } wsrun_role;

/* The opening request of a connection, or a plain HTTP request. */
typedef struct wsrun_request {
    /* Which side this host was. */
    wsrun_role role;
    /* Percent-encoded as received, beginning with '/'. */
    wsrun_string path;
    /* What follows the first '?'; NULL when there is none. */
    wsrun_string query;
    wsrun_headers headers;
    /* Subprotocols offered, in the peer's order. */
    wsrun_strings offered;
    /* `ip:port`, or `unix`. */
    wsrun_string peer;
    wsrun_string local;
    /* Over TLS. */
    bool secure;
    /* The Host header; NULL when there was none. */
    wsrun_string host;
} wsrun_request;

/* A text of your own. */
wsrun_string wsrun_text(const char *text);
/* Whether a text is this one. */
bool wsrun_equals(wsrun_string text, const char *other);
/* The value of the first header field of this name, in lower case; NULL when there is none. */
wsrun_string wsrun_header_of(const wsrun_request *request, const char *name);
/* The decoded value of the first parameter of the query with this name; NULL when there is none. */
wsrun_string wsrun_query_value(const wsrun_request *request, const char *name);
/* What a status means, in English. */
const char *wsrun_status_text(wsrun_status status);
/* The number that belongs to the last status that was not WSRUN_OK. */
uint64_t wsrun_error_number(void);
/* The text that belongs to it; "" when there is none. */
const char *wsrun_error_text(void);
/* Memory that lives until your function returns; zeroed. It does not fail: a handler that asks for more than it may have is ended. */
void *wsrun_alloc(size_t size);

/* ----------------------------------------------------- what you may define */

/* Puts the function into the component if you define it. */
#ifndef WSRUN_EVENT
#define WSRUN_EVENT(name) __attribute__((export_name(name)))
#endif

/* A connection is open: messages may be sent to it. */
WSRUN_EVENT("wsrun_on_opened") void wsrun_on_opened(wsrun_connection connection);

/* The peer sent a message, at most 1 MiB by default. */
WSRUN_EVENT("wsrun_on_received") void wsrun_on_received(wsrun_connection connection, wsrun_message message);

/* The connection is gone, or one that wsrun_connect made could not be opened: wsrun_failure_of tells. */
WSRUN_EVENT("wsrun_on_closed") void wsrun_on_closed(wsrun_connection connection, const wsrun_close_info *info);

/* What an accepted handshake starts with. */
typedef struct wsrun_acceptance {
    /* The subprotocol to agree on, one that was offered; NULL for the host's choice. */
    wsrun_string protocol;
    /* Header fields added to the response. */
    wsrun_headers headers;
    /* Session data of the new connection. */
    const void *session;
    size_t session_size;
} wsrun_acceptance;

/* How a refused one is answered. */
typedef struct wsrun_refusal {
    /* 300 to 599. */
    uint16_t status;
    wsrun_headers headers;
    wsrun_string body;
} wsrun_refusal;

/* Accepts (true) or refuses (false) an opening handshake. Both structs are zero at first, the status of the refusal 403. */
WSRUN_EVENT("wsrun_on_handshake")
bool wsrun_on_handshake(const wsrun_request *request, wsrun_acceptance *acceptance, wsrun_refusal *refusal);

/* The queue of the connection has drained: once for each wsrun_want_writable. */
WSRUN_EVENT("wsrun_on_writable") void wsrun_on_writable(wsrun_connection connection);

/* A part of a message. */
typedef struct wsrun_chunk {
    wsrun_kind kind;
    /* At most 256 KiB. A part of a text may end inside a character. */
    const char *data;
    size_t size;
    /* The message begins here, or ends here. */
    bool first;
    bool last;
    /* Bytes still to come in the current frame, before decompression. */
    uint64_t remaining;
} wsrun_chunk;

/* A part of a message arrived: takes the place of wsrun_on_received, for messages larger than memory. */
WSRUN_EVENT("wsrun_on_chunk") void wsrun_on_chunk(wsrun_connection connection, const wsrun_chunk *chunk);

/* A broadcast is about to go to a connection: false leaves it out. */
WSRUN_EVENT("wsrun_on_broadcast") bool wsrun_on_broadcast(wsrun_connection connection, wsrun_message message);

/* A peer connected, before anything is read: false ends the transport. Only the default handler of a server is asked. */
WSRUN_EVENT("wsrun_on_accept") bool wsrun_on_accept(wsrun_string peer, wsrun_string local);

/* A plain HTTP request. */
typedef struct wsrun_http_request {
    wsrun_string method;
    wsrun_request request;
    wsrun_string body;
} wsrun_http_request;

/* Its answer. */
typedef struct wsrun_http_response {
    /* 200 to 599. */
    uint16_t status;
    wsrun_headers headers;
    wsrun_string body;
    /* In place of the body: a file of the folder that the operator grants (--files DIR), by its path in it. */
    wsrun_string file;
} wsrun_http_response;

/* Answers a plain HTTP request: the response is zero at first, its status 200. Only the default handler of a server is asked. */
WSRUN_EVENT("wsrun_on_http") void wsrun_on_http(const wsrun_http_request *request, wsrun_http_response *response);

/* An outbound connection ended and the host tries again; `attempt` counts from 1 since it was last open. */
WSRUN_EVENT("wsrun_on_lost")
void wsrun_on_lost(wsrun_connection connection, const wsrun_close_info *info, uint32_t attempt, uint32_t after_ms);
/* It is open again, under the same number. */
WSRUN_EVENT("wsrun_on_restored") void wsrun_on_restored(wsrun_connection connection);

/* The peer sent a pong, asked for or not, with at most 125 bytes. */
WSRUN_EVENT("wsrun_on_pong") void wsrun_on_pong(wsrun_connection connection, wsrun_string payload);

/* A timer fired; it is spent. `connection` is the one that it was set for, or WSRUN_NO_CONNECTION. */
WSRUN_EVENT("wsrun_on_timer") void wsrun_on_timer(wsrun_timer timer, uint64_t tag, wsrun_connection connection);

/* The instance was made: at start, after a trap, for a new version, after sleep. Nothing else is called before it. */
WSRUN_EVENT("wsrun_on_started") void wsrun_on_started(void);
/* A connection of an earlier instance is this one's: once for each, before its first event here. */
WSRUN_EVENT("wsrun_on_resumed") void wsrun_on_resumed(wsrun_connection connection);
/* The state that the next version is to have; of no bytes when there is none. */
WSRUN_EVENT("wsrun_on_save") wsrun_string wsrun_on_save(void);
/* Takes the state of the version before: NULL, or why it cannot, which keeps the old version. */
WSRUN_EVENT("wsrun_on_restore") const char *wsrun_on_restore(wsrun_string state);
/* The host is going to end, and cuts in `deadline_ms` milliseconds what is still open. */
WSRUN_EVENT("wsrun_on_draining") void wsrun_on_draining(uint32_t deadline_ms);

/* ------------------------------------------------------------ connections */

/* Sends a whole message. WSRUN_OK means queued. */
wsrun_status wsrun_send(wsrun_connection to, wsrun_message message);
wsrun_status wsrun_send_text(wsrun_connection to, const char *text);
wsrun_status wsrun_send_bytes(wsrun_connection to, const void *data, size_t size);
/* Sends a message in parts: the first call begins it, `last` ends it. */
wsrun_status wsrun_send_chunk(wsrun_connection to, wsrun_kind kind, const void *data, size_t size, bool last);
/* A ping, or a pong that answers none, with at most 125 bytes. */
wsrun_status wsrun_ping(wsrun_connection to, const void *data, size_t size);
wsrun_status wsrun_pong(wsrun_connection to, const void *data, size_t size);
/* Starts the closing handshake after everything that is queued. Traps on a code that may not be sent. The reason is cut to 123 bytes. */
void wsrun_close(wsrun_connection connection, uint16_t code, const char *reason);
/* Ends the transport at once; what is queued is lost. */
void wsrun_abort(wsrun_connection connection);
/* Bytes queued and not yet taken by the socket. */
uint64_t wsrun_buffered(wsrun_connection connection);
/* Asks for one wsrun_on_writable when the queue is below a quarter of its limit. */
void wsrun_want_writable(wsrun_connection connection);
/* The same for all connections, or for those that agreed on a subprotocol; NULL for all. */
void wsrun_want_writable_all(const char *protocol);
/* Stops (false) or resumes (true) reading from the peer. */
void wsrun_receive_flow(wsrun_connection connection, bool enabled);
/* The opening request; false when the connection is unknown. */
bool wsrun_request_of(wsrun_connection connection, wsrun_request *request);
/* The subprotocol agreed on; NULL when there is none. */
wsrun_string wsrun_protocol_of(wsrun_connection connection);
/* Bytes that the host keeps for the connection, also when the handler traps. Of no bytes at first. */
wsrun_string wsrun_session(wsrun_connection connection);
/* Replaces them, at most 64 KiB by default. */
wsrun_status wsrun_set_session(wsrun_connection connection, const void *data, size_t size);
/* Has the host answer a message with that reply, on every connection, without calling the handler. NULL takes it back. */
wsrun_status wsrun_set_auto_reply(wsrun_message received, const wsrun_message *reply);

/* ----------------------------------------------------------------- topics */

/* What becomes of a published message that a subscriber has no room for. */
typedef enum wsrun_slow {
    /* That of the topic, or of the host: the connection is closed with 1008. */
    WSRUN_SLOW_DEFAULT,
    /* Nobody gets it: WSRUN_WAITING. */
    WSRUN_SLOW_WAIT,
    WSRUN_SLOW_DROP_OLDEST,
    WSRUN_SLOW_DROP_NEWEST,
    WSRUN_SLOW_LATEST_ONLY,
    /* The connection is closed with the code. */
    WSRUN_SLOW_DISCONNECT
} wsrun_slow;

/* Subscribes a connection to a topic, a name of 1 to 256 bytes. */
wsrun_status wsrun_subscribe(wsrun_connection connection, const char *topic);
/* Ends a subscription; false when there was none. */
bool wsrun_unsubscribe(wsrun_connection connection, const char *topic);
/* Sends a message to every subscriber but `except`, which may be WSRUN_NO_CONNECTION. `receivers` may be NULL. */
wsrun_status wsrun_publish(const char *topic, wsrun_message message, wsrun_connection except, uint32_t *receivers);
wsrun_status wsrun_publish_text(const char *topic, const char *text, wsrun_connection except);
/* Sends a message to every connection, or to those that agreed on a subprotocol; NULL for all. `receivers` may be NULL. */
wsrun_status wsrun_broadcast(const char *protocol, wsrun_message message, uint32_t *receivers);
/* The policy of a connection goes before that of a topic. `code` is that of WSRUN_SLOW_DISCONNECT. */
void wsrun_set_slow(wsrun_connection connection, wsrun_slow policy, uint16_t code);
void wsrun_set_topic_slow(const char *topic, wsrun_slow policy, uint16_t code);
/* Messages that policies have left out so far. */
uint64_t wsrun_dropped(wsrun_connection connection);
uint64_t wsrun_topic_dropped(const char *topic);

/* ----------------------------------------------------------------- timers */

/* Calls wsrun_on_timer once, no earlier than `after_ms` milliseconds from now; for a connection, or for WSRUN_NO_CONNECTION. `timer` may be
 * NULL. */
wsrun_status wsrun_set_timer(uint32_t after_ms, uint64_t tag, wsrun_connection connection, wsrun_timer *timer);
/* False when it has fired, was cancelled or never was. */
bool wsrun_cancel_timer(wsrun_timer timer);

/* -------------------------------------------------------- connecting out */

typedef struct wsrun_connect_options {
    /* ws:// or wss://. */
    const char *url;
    /* Subprotocols to offer, the preferred first. */
    wsrun_strings protocols;
    /* The Host and Origin headers; NULL for the one that the URL means, and for none. */
    const char *host;
    const char *origin;
    wsrun_headers headers;
    /* Trusts a self-signed certificate for the right name too. */
    bool allow_self_signed;
    /* A client certificate that the operator gave, by its name; NULL for none. */
    const char *identity;
    /* 13, 8 or 7; 0 for the newest. */
    uint8_t version;
    /* Offers permessage-deflate. */
    bool compression;
    /* For each part of connecting; 0 for the operator's. */
    uint32_t timeout_ms;
    /* The host connects again when the connection is lost. */
    bool reconnect;
    /* Attempts in a row that may fail; 0 for no limit. */
    uint32_t attempts_max;
    /* The first wait and the longest; 0 for 500 and 30,000. */
    uint32_t delay_ms;
    uint32_t delay_max_ms;
    /* Session data of the new connection. */
    const void *session;
    size_t session_size;
} wsrun_connect_options;

/* Connects once your function has returned: wsrun_on_opened follows, or wsrun_on_closed without it. */
wsrun_status wsrun_connect(const wsrun_connect_options *options, wsrun_connection *connection);

typedef enum wsrun_failure_kind {
    WSRUN_FAILURE_NONE,
    WSRUN_FAILURE_DENIED,
    WSRUN_FAILURE_UNREACHABLE,
    WSRUN_FAILURE_TLS,
    WSRUN_FAILURE_TIMED_OUT_CONNECTING,
    WSRUN_FAILURE_TIMED_OUT_IN_TLS,
    WSRUN_FAILURE_TIMED_OUT_IN_HANDSHAKE,
    WSRUN_FAILURE_ENDED,
    WSRUN_FAILURE_REFUSED,
    WSRUN_FAILURE_REDIRECTED,
    WSRUN_FAILURE_INVALID_RESPONSE,
    WSRUN_FAILURE_NOT_UPGRADED,
    WSRUN_FAILURE_ACCEPT_MISSING,
    WSRUN_FAILURE_ACCEPT_WRONG,
    WSRUN_FAILURE_PROTOCOL_NOT_OFFERED,
    WSRUN_FAILURE_EXTENSION_NOT_OFFERED
} wsrun_failure_kind;

/* Why the last opening handshake of an outbound connection failed. */
typedef struct wsrun_failure {
    wsrun_failure_kind kind;
    /* What of it there is to read; where a redirection leads. */
    wsrun_string text;
    /* Of WSRUN_FAILURE_REFUSED. */
    uint16_t status;
} wsrun_failure;

/* WSRUN_FAILURE_NONE when it succeeded, is under way, or the connection is unknown. */
wsrun_failure wsrun_failure_of(wsrun_connection connection);
/* What kind of failure it is, in English. */
const char *wsrun_failure_text(wsrun_failure_kind kind);
/* How the server answered the last opening handshake: its status, 0 when it did not. `headers` may be NULL. */
uint16_t wsrun_response_of(wsrun_connection connection, wsrun_headers *headers);

/* --------------------------------------------------------------- the host */

/* The name of this machine. */
wsrun_string wsrun_hostname(void);
/* The name of this handler. */
wsrun_string wsrun_handler_name(void);
/* A value of --config KEY=VALUE; NULL when it was not given. */
wsrun_string wsrun_config(const char *key);
/* Connections of this handler that are open on this worker. */
uint32_t wsrun_connection_count(void);

#ifdef __cplusplus
}
#endif

#endif
