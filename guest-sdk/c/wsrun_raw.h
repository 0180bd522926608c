/* Generated from wit/ by wsrun-guest-bindgen. Do not edit. */
#ifndef WSRUN_RAW_H
#define WSRUN_RAW_H

#include <stddef.h>
#include <stdint.h>

typedef struct { const char *data; size_t size; } wsrun_raw_string;
typedef struct { const uint8_t *data; size_t size; } wsrun_raw_bytes;

typedef struct {
    uint8_t tag;
    union { wsrun_raw_string text; wsrun_raw_bytes binary; } value;
} wsrun_raw_message;
#define WSRUN_RAW_MESSAGE_TEXT 0
#define WSRUN_RAW_MESSAGE_BINARY 1
_Static_assert(sizeof(wsrun_raw_message) == 12 && _Alignof(wsrun_raw_message) == 4, "wsrun_raw_message");

typedef struct {
    uint8_t tag;
    union { uint64_t queue_full; uint64_t too_large; } value;
} wsrun_raw_send_error;
#define WSRUN_RAW_SEND_ERROR_CLOSED 0
#define WSRUN_RAW_SEND_ERROR_QUEUE_FULL 1
#define WSRUN_RAW_SEND_ERROR_TOO_LARGE 2
_Static_assert(sizeof(wsrun_raw_send_error) == 16 && _Alignof(wsrun_raw_send_error) == 8, "wsrun_raw_send_error");

typedef struct {
    uint8_t failed;
    union { wsrun_raw_send_error error; } value;
} wsrun_raw_outcome_none_send_error;
_Static_assert(sizeof(wsrun_raw_outcome_none_send_error) == 24 && _Alignof(wsrun_raw_outcome_none_send_error) == 8, "wsrun_raw_outcome_none_send_error");

typedef struct {
    uint8_t tag;
    union { uint64_t queue_full; uint64_t too_large; } value;
} wsrun_raw_connections_chunk_error;
#define WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_CLOSED 0
#define WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_QUEUE_FULL 1
#define WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_TOO_LARGE 2
#define WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_INVALID_TEXT 3
#define WSRUN_RAW_CONNECTIONS_CHUNK_ERROR_WRONG_KIND 4
_Static_assert(sizeof(wsrun_raw_connections_chunk_error) == 16 && _Alignof(wsrun_raw_connections_chunk_error) == 8, "wsrun_raw_connections_chunk_error");

typedef struct {
    uint8_t failed;
    union { wsrun_raw_connections_chunk_error error; } value;
} wsrun_raw_outcome_none_connections_chunk_error;
_Static_assert(sizeof(wsrun_raw_outcome_none_connections_chunk_error) == 24 && _Alignof(wsrun_raw_outcome_none_connections_chunk_error) == 8, "wsrun_raw_outcome_none_connections_chunk_error");

typedef struct {
    uint8_t some;
    wsrun_raw_string value;
} wsrun_raw_optional_string;
_Static_assert(sizeof(wsrun_raw_optional_string) == 12 && _Alignof(wsrun_raw_optional_string) == 4, "wsrun_raw_optional_string");

typedef struct {
    uint8_t tag;
    union { uint16_t disconnect; } value;
} wsrun_raw_slow_policy;
#define WSRUN_RAW_SLOW_POLICY_WAIT 0
#define WSRUN_RAW_SLOW_POLICY_DROP_OLDEST 1
#define WSRUN_RAW_SLOW_POLICY_DROP_NEWEST 2
#define WSRUN_RAW_SLOW_POLICY_LATEST_ONLY 3
#define WSRUN_RAW_SLOW_POLICY_DISCONNECT 4
_Static_assert(sizeof(wsrun_raw_slow_policy) == 4 && _Alignof(wsrun_raw_slow_policy) == 2, "wsrun_raw_slow_policy");

typedef struct {
    uint8_t some;
    wsrun_raw_slow_policy value;
} wsrun_raw_optional_slow_policy;
_Static_assert(sizeof(wsrun_raw_optional_slow_policy) == 6 && _Alignof(wsrun_raw_optional_slow_policy) == 2, "wsrun_raw_optional_slow_policy");

typedef struct {
    uint8_t some;
    wsrun_raw_message value;
} wsrun_raw_optional_message;
_Static_assert(sizeof(wsrun_raw_optional_message) == 16 && _Alignof(wsrun_raw_optional_message) == 4, "wsrun_raw_optional_message");

typedef struct {
    uint8_t tag;
    union { uint64_t too_large; } value;
} wsrun_raw_connections_auto_reply_error;
#define WSRUN_RAW_CONNECTIONS_AUTO_REPLY_ERROR_TOO_LARGE 0
#define WSRUN_RAW_CONNECTIONS_AUTO_REPLY_ERROR_LIMIT 1
_Static_assert(sizeof(wsrun_raw_connections_auto_reply_error) == 16 && _Alignof(wsrun_raw_connections_auto_reply_error) == 8, "wsrun_raw_connections_auto_reply_error");

typedef struct {
    uint8_t failed;
    union { wsrun_raw_connections_auto_reply_error error; } value;
} wsrun_raw_outcome_none_connections_auto_reply_error;
_Static_assert(sizeof(wsrun_raw_outcome_none_connections_auto_reply_error) == 24 && _Alignof(wsrun_raw_outcome_none_connections_auto_reply_error) == 8, "wsrun_raw_outcome_none_connections_auto_reply_error");

typedef uint8_t wsrun_raw_role;
#define WSRUN_RAW_ROLE_SERVER 0
#define WSRUN_RAW_ROLE_CLIENT 1
_Static_assert(sizeof(wsrun_raw_role) == 1 && _Alignof(wsrun_raw_role) == 1, "wsrun_raw_role");

typedef struct {
    wsrun_raw_string first;
    wsrun_raw_bytes second;
} wsrun_raw_tuple_string_bytes;
_Static_assert(sizeof(wsrun_raw_tuple_string_bytes) == 16 && _Alignof(wsrun_raw_tuple_string_bytes) == 4, "wsrun_raw_tuple_string_bytes");

typedef struct {
    const wsrun_raw_tuple_string_bytes *items;
    size_t count;
} wsrun_raw_list_tuple_string_bytes;
_Static_assert(sizeof(wsrun_raw_list_tuple_string_bytes) == 8 && _Alignof(wsrun_raw_list_tuple_string_bytes) == 4, "wsrun_raw_list_tuple_string_bytes");

typedef struct {
    const wsrun_raw_string *items;
    size_t count;
} wsrun_raw_list_string;
_Static_assert(sizeof(wsrun_raw_list_string) == 8 && _Alignof(wsrun_raw_list_string) == 4, "wsrun_raw_list_string");

typedef struct {
    wsrun_raw_role role;
    wsrun_raw_string path;
    wsrun_raw_optional_string query;
    wsrun_raw_list_tuple_string_bytes headers;
    wsrun_raw_list_string offered;
    wsrun_raw_string peer;
    wsrun_raw_string local;
    uint8_t secure;
    wsrun_raw_optional_string host;
} wsrun_raw_request;
_Static_assert(sizeof(wsrun_raw_request) == 72 && _Alignof(wsrun_raw_request) == 4, "wsrun_raw_request");

typedef struct {
    uint8_t some;
    wsrun_raw_request value;
} wsrun_raw_optional_request;
_Static_assert(sizeof(wsrun_raw_optional_request) == 76 && _Alignof(wsrun_raw_optional_request) == 4, "wsrun_raw_optional_request");

typedef struct {
    uint8_t tag;
} wsrun_raw_topics_subscribe_error;
#define WSRUN_RAW_TOPICS_SUBSCRIBE_ERROR_CLOSED 0
#define WSRUN_RAW_TOPICS_SUBSCRIBE_ERROR_INVALID_NAME 1
#define WSRUN_RAW_TOPICS_SUBSCRIBE_ERROR_LIMIT 2
_Static_assert(sizeof(wsrun_raw_topics_subscribe_error) == 1 && _Alignof(wsrun_raw_topics_subscribe_error) == 1, "wsrun_raw_topics_subscribe_error");

typedef struct {
    uint8_t failed;
    union { uint8_t ok; wsrun_raw_topics_subscribe_error error; } value;
} wsrun_raw_outcome_bool_topics_subscribe_error;
_Static_assert(sizeof(wsrun_raw_outcome_bool_topics_subscribe_error) == 2 && _Alignof(wsrun_raw_outcome_bool_topics_subscribe_error) == 1, "wsrun_raw_outcome_bool_topics_subscribe_error");

typedef struct {
    uint8_t some;
    uint64_t value;
} wsrun_raw_optional_u64;
_Static_assert(sizeof(wsrun_raw_optional_u64) == 16 && _Alignof(wsrun_raw_optional_u64) == 8, "wsrun_raw_optional_u64");

typedef struct {
    uint8_t tag;
    union { uint32_t waiting; uint64_t too_large; } value;
} wsrun_raw_publish_error;
#define WSRUN_RAW_PUBLISH_ERROR_WAITING 0
#define WSRUN_RAW_PUBLISH_ERROR_TOO_LARGE 1
_Static_assert(sizeof(wsrun_raw_publish_error) == 16 && _Alignof(wsrun_raw_publish_error) == 8, "wsrun_raw_publish_error");

typedef struct {
    uint8_t failed;
    union { uint32_t ok; wsrun_raw_publish_error error; } value;
} wsrun_raw_outcome_u32_publish_error;
_Static_assert(sizeof(wsrun_raw_outcome_u32_publish_error) == 24 && _Alignof(wsrun_raw_outcome_u32_publish_error) == 8, "wsrun_raw_outcome_u32_publish_error");

typedef struct {
    wsrun_raw_string first;
    wsrun_raw_string second;
} wsrun_raw_tuple_string_string;
_Static_assert(sizeof(wsrun_raw_tuple_string_string) == 16 && _Alignof(wsrun_raw_tuple_string_string) == 4, "wsrun_raw_tuple_string_string");

typedef struct {
    const wsrun_raw_tuple_string_string *items;
    size_t count;
} wsrun_raw_list_tuple_string_string;
_Static_assert(sizeof(wsrun_raw_list_tuple_string_string) == 8 && _Alignof(wsrun_raw_list_tuple_string_string) == 4, "wsrun_raw_list_tuple_string_string");

typedef uint8_t wsrun_raw_client_verify;
#define WSRUN_RAW_CLIENT_VERIFY_FULL 0
#define WSRUN_RAW_CLIENT_VERIFY_ALLOW_SELF_SIGNED 1
_Static_assert(sizeof(wsrun_raw_client_verify) == 1 && _Alignof(wsrun_raw_client_verify) == 1, "wsrun_raw_client_verify");

typedef struct {
    uint8_t some;
    uint8_t value;
} wsrun_raw_optional_u8;
_Static_assert(sizeof(wsrun_raw_optional_u8) == 2 && _Alignof(wsrun_raw_optional_u8) == 1, "wsrun_raw_optional_u8");

typedef struct {
    uint8_t some;
    uint32_t value;
} wsrun_raw_optional_u32;
_Static_assert(sizeof(wsrun_raw_optional_u32) == 8 && _Alignof(wsrun_raw_optional_u32) == 4, "wsrun_raw_optional_u32");

typedef struct {
    uint32_t attempts_max;
    wsrun_raw_optional_u32 delay_ms;
    wsrun_raw_optional_u32 delay_max_ms;
} wsrun_raw_client_reconnect;
_Static_assert(sizeof(wsrun_raw_client_reconnect) == 20 && _Alignof(wsrun_raw_client_reconnect) == 4, "wsrun_raw_client_reconnect");

typedef struct {
    uint8_t some;
    wsrun_raw_client_reconnect value;
} wsrun_raw_optional_client_reconnect;
_Static_assert(sizeof(wsrun_raw_optional_client_reconnect) == 24 && _Alignof(wsrun_raw_optional_client_reconnect) == 4, "wsrun_raw_optional_client_reconnect");

typedef struct {
    wsrun_raw_string url;
    wsrun_raw_list_string protocols;
    wsrun_raw_optional_string host;
    wsrun_raw_optional_string origin;
    wsrun_raw_list_tuple_string_string headers;
    wsrun_raw_client_verify verify;
    wsrun_raw_optional_string identity;
    wsrun_raw_optional_u8 version;
    uint8_t compression;
    wsrun_raw_optional_u32 timeout_ms;
    wsrun_raw_optional_client_reconnect reconnect;
    wsrun_raw_bytes session;
} wsrun_raw_client_options;
_Static_assert(sizeof(wsrun_raw_client_options) == 108 && _Alignof(wsrun_raw_client_options) == 4, "wsrun_raw_client_options");

typedef struct {
    uint8_t tag;
    union { wsrun_raw_string denied; wsrun_raw_string invalid; wsrun_raw_bytes unsupported_version; } value;
} wsrun_raw_client_connect_error;
#define WSRUN_RAW_CLIENT_CONNECT_ERROR_DENIED 0
#define WSRUN_RAW_CLIENT_CONNECT_ERROR_INVALID 1
#define WSRUN_RAW_CLIENT_CONNECT_ERROR_UNSUPPORTED_VERSION 2
#define WSRUN_RAW_CLIENT_CONNECT_ERROR_LIMIT 3
_Static_assert(sizeof(wsrun_raw_client_connect_error) == 12 && _Alignof(wsrun_raw_client_connect_error) == 4, "wsrun_raw_client_connect_error");

typedef struct {
    uint8_t failed;
    union { uint64_t ok; wsrun_raw_client_connect_error error; } value;
} wsrun_raw_outcome_u64_client_connect_error;
_Static_assert(sizeof(wsrun_raw_outcome_u64_client_connect_error) == 24 && _Alignof(wsrun_raw_outcome_u64_client_connect_error) == 8, "wsrun_raw_outcome_u64_client_connect_error");

typedef uint8_t wsrun_raw_client_phase;
#define WSRUN_RAW_CLIENT_PHASE_CONNECT 0
#define WSRUN_RAW_CLIENT_PHASE_TLS 1
#define WSRUN_RAW_CLIENT_PHASE_HANDSHAKE 2
_Static_assert(sizeof(wsrun_raw_client_phase) == 1 && _Alignof(wsrun_raw_client_phase) == 1, "wsrun_raw_client_phase");

typedef struct {
    uint8_t tag;
    union { wsrun_raw_string denied; wsrun_raw_string unreachable; wsrun_raw_string tls; wsrun_raw_client_phase timed_out; uint16_t refused; wsrun_raw_optional_string redirected; wsrun_raw_string invalid_response; wsrun_raw_string extension_not_offered; } value;
} wsrun_raw_client_failure;
#define WSRUN_RAW_CLIENT_FAILURE_DENIED 0
#define WSRUN_RAW_CLIENT_FAILURE_UNREACHABLE 1
#define WSRUN_RAW_CLIENT_FAILURE_TLS 2
#define WSRUN_RAW_CLIENT_FAILURE_TIMED_OUT 3
#define WSRUN_RAW_CLIENT_FAILURE_ENDED 4
#define WSRUN_RAW_CLIENT_FAILURE_REFUSED 5
#define WSRUN_RAW_CLIENT_FAILURE_REDIRECTED 6
#define WSRUN_RAW_CLIENT_FAILURE_INVALID_RESPONSE 7
#define WSRUN_RAW_CLIENT_FAILURE_NOT_UPGRADED 8
#define WSRUN_RAW_CLIENT_FAILURE_ACCEPT_MISSING 9
#define WSRUN_RAW_CLIENT_FAILURE_ACCEPT_WRONG 10
#define WSRUN_RAW_CLIENT_FAILURE_PROTOCOL_NOT_OFFERED 11
#define WSRUN_RAW_CLIENT_FAILURE_EXTENSION_NOT_OFFERED 12
_Static_assert(sizeof(wsrun_raw_client_failure) == 16 && _Alignof(wsrun_raw_client_failure) == 4, "wsrun_raw_client_failure");

typedef struct {
    uint8_t some;
    wsrun_raw_client_failure value;
} wsrun_raw_optional_client_failure;
_Static_assert(sizeof(wsrun_raw_optional_client_failure) == 20 && _Alignof(wsrun_raw_optional_client_failure) == 4, "wsrun_raw_optional_client_failure");

typedef struct {
    uint16_t status;
    wsrun_raw_list_tuple_string_bytes headers;
} wsrun_raw_client_response;
_Static_assert(sizeof(wsrun_raw_client_response) == 12 && _Alignof(wsrun_raw_client_response) == 4, "wsrun_raw_client_response");

typedef struct {
    uint8_t some;
    wsrun_raw_client_response value;
} wsrun_raw_optional_client_response;
_Static_assert(sizeof(wsrun_raw_optional_client_response) == 16 && _Alignof(wsrun_raw_optional_client_response) == 4, "wsrun_raw_optional_client_response");

typedef struct {
    uint8_t tag;
} wsrun_raw_timers_timer_error;
#define WSRUN_RAW_TIMERS_TIMER_ERROR_CLOSED 0
#define WSRUN_RAW_TIMERS_TIMER_ERROR_LIMIT 1
#define WSRUN_RAW_TIMERS_TIMER_ERROR_NOT_EXPORTED 2
_Static_assert(sizeof(wsrun_raw_timers_timer_error) == 1 && _Alignof(wsrun_raw_timers_timer_error) == 1, "wsrun_raw_timers_timer_error");

typedef struct {
    uint8_t failed;
    union { uint64_t ok; wsrun_raw_timers_timer_error error; } value;
} wsrun_raw_outcome_u64_timers_timer_error;
_Static_assert(sizeof(wsrun_raw_outcome_u64_timers_timer_error) == 16 && _Alignof(wsrun_raw_outcome_u64_timers_timer_error) == 8, "wsrun_raw_outcome_u64_timers_timer_error");

typedef struct {
    wsrun_raw_optional_string protocol;
    wsrun_raw_list_tuple_string_string headers;
    wsrun_raw_bytes session;
} wsrun_raw_handshake_acceptance;
_Static_assert(sizeof(wsrun_raw_handshake_acceptance) == 28 && _Alignof(wsrun_raw_handshake_acceptance) == 4, "wsrun_raw_handshake_acceptance");

typedef struct {
    uint16_t status;
    wsrun_raw_list_tuple_string_string headers;
    wsrun_raw_string body;
} wsrun_raw_handshake_refusal;
_Static_assert(sizeof(wsrun_raw_handshake_refusal) == 20 && _Alignof(wsrun_raw_handshake_refusal) == 4, "wsrun_raw_handshake_refusal");

typedef struct {
    uint8_t failed;
    union { wsrun_raw_handshake_acceptance ok; wsrun_raw_handshake_refusal error; } value;
} wsrun_raw_outcome_handshake_acceptance_handshake_refusal;
_Static_assert(sizeof(wsrun_raw_outcome_handshake_acceptance_handshake_refusal) == 32 && _Alignof(wsrun_raw_outcome_handshake_acceptance_handshake_refusal) == 4, "wsrun_raw_outcome_handshake_acceptance_handshake_refusal");

typedef struct {
    uint8_t text;
    wsrun_raw_bytes data;
    uint8_t first;
    uint8_t final;
    uint64_t remaining;
} wsrun_raw_chunks_chunk;
_Static_assert(sizeof(wsrun_raw_chunks_chunk) == 24 && _Alignof(wsrun_raw_chunks_chunk) == 8, "wsrun_raw_chunks_chunk");

typedef struct {
    uint8_t tag;
    union { wsrun_raw_bytes bytes; wsrun_raw_string file; } value;
} wsrun_raw_http_body;
#define WSRUN_RAW_HTTP_BODY_BYTES 0
#define WSRUN_RAW_HTTP_BODY_FILE 1
_Static_assert(sizeof(wsrun_raw_http_body) == 12 && _Alignof(wsrun_raw_http_body) == 4, "wsrun_raw_http_body");

typedef struct {
    uint16_t status;
    wsrun_raw_list_tuple_string_string headers;
    wsrun_raw_http_body body;
} wsrun_raw_http_response;
_Static_assert(sizeof(wsrun_raw_http_response) == 24 && _Alignof(wsrun_raw_http_response) == 4, "wsrun_raw_http_response");

typedef uint8_t wsrun_raw_closed_by;
#define WSRUN_RAW_CLOSED_BY_PEER 0
#define WSRUN_RAW_CLOSED_BY_HANDLER 1
#define WSRUN_RAW_CLOSED_BY_HOST 2
_Static_assert(sizeof(wsrun_raw_closed_by) == 1 && _Alignof(wsrun_raw_closed_by) == 1, "wsrun_raw_closed_by");

typedef struct {
    uint16_t code;
    wsrun_raw_string reason;
    wsrun_raw_closed_by by;
    uint8_t clean;
} wsrun_raw_close_info;
_Static_assert(sizeof(wsrun_raw_close_info) == 16 && _Alignof(wsrun_raw_close_info) == 4, "wsrun_raw_close_info");

typedef struct {
    uint8_t failed;
    union { wsrun_raw_string error; } value;
} wsrun_raw_outcome_none_string;
_Static_assert(sizeof(wsrun_raw_outcome_none_string) == 12 && _Alignof(wsrun_raw_outcome_none_string) == 4, "wsrun_raw_outcome_none_string");

/* wsrun:websocket/types@0.1.0 */

/* wsrun:websocket/packed-send@0.1.0 */

__attribute__((import_module("wsrun:websocket/packed-send@0.1.0"), import_name("send")))
extern void wsrun_raw_packed_send_send(uint64_t, const void *, size_t);

/* wsrun:websocket/connections@0.1.0 */

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("send")))
extern void wsrun_raw_connections_send(uint64_t, uint32_t, const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("send-chunk")))
extern void wsrun_raw_connections_send_chunk(uint64_t, uint32_t, const void *, size_t, uint32_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("ping")))
extern void wsrun_raw_connections_ping(uint64_t, const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("pong")))
extern void wsrun_raw_connections_pong(uint64_t, const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("close")))
extern void wsrun_raw_connections_close(uint64_t, uint32_t, const void *, size_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("abort")))
extern void wsrun_raw_connections_abort(uint64_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("buffered")))
extern uint64_t wsrun_raw_connections_buffered(uint64_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("want-writable")))
extern void wsrun_raw_connections_want_writable(uint64_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("want-writable-all")))
extern void wsrun_raw_connections_want_writable_all(uint32_t, const void *, size_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("set-slow-policy")))
extern void wsrun_raw_connections_set_slow_policy(uint64_t, uint32_t, uint32_t, uint32_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("dropped")))
extern uint64_t wsrun_raw_connections_dropped(uint64_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("receive-flow")))
extern void wsrun_raw_connections_receive_flow(uint64_t, uint32_t);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("set-auto-reply")))
extern void wsrun_raw_connections_set_auto_reply(uint32_t, const void *, size_t, uint32_t, uint32_t, const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("request-of")))
extern void wsrun_raw_connections_request_of(uint64_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("protocol")))
extern void wsrun_raw_connections_protocol(uint64_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("session")))
extern void wsrun_raw_connections_session(uint64_t, void *);

__attribute__((import_module("wsrun:websocket/connections@0.1.0"), import_name("set-session")))
extern void wsrun_raw_connections_set_session(uint64_t, const void *, size_t, void *);

/* wsrun:websocket/topics@0.1.0 */

__attribute__((import_module("wsrun:websocket/topics@0.1.0"), import_name("subscribe")))
extern void wsrun_raw_topics_subscribe(uint64_t, const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/topics@0.1.0"), import_name("unsubscribe")))
extern uint32_t wsrun_raw_topics_unsubscribe(uint64_t, const void *, size_t);

__attribute__((import_module("wsrun:websocket/topics@0.1.0"), import_name("publish")))
extern void wsrun_raw_topics_publish(const void *, size_t, uint32_t, const void *, size_t, uint32_t, uint64_t, void *);

__attribute__((import_module("wsrun:websocket/topics@0.1.0"), import_name("broadcast")))
extern void wsrun_raw_topics_broadcast(uint32_t, const void *, size_t, uint32_t, const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/topics@0.1.0"), import_name("set-slow-policy")))
extern void wsrun_raw_topics_set_slow_policy(const void *, size_t, uint32_t, uint32_t, uint32_t);

__attribute__((import_module("wsrun:websocket/topics@0.1.0"), import_name("dropped")))
extern uint64_t wsrun_raw_topics_dropped(const void *, size_t);

/* wsrun:websocket/client@0.1.0 */

__attribute__((import_module("wsrun:websocket/client@0.1.0"), import_name("connect")))
extern void wsrun_raw_client_connect(const void *, void *);

__attribute__((import_module("wsrun:websocket/client@0.1.0"), import_name("failure-of")))
extern void wsrun_raw_client_failure_of(uint64_t, void *);

__attribute__((import_module("wsrun:websocket/client@0.1.0"), import_name("response-of")))
extern void wsrun_raw_client_response_of(uint64_t, void *);

/* wsrun:websocket/timers@0.1.0 */

__attribute__((import_module("wsrun:websocket/timers@0.1.0"), import_name("set")))
extern void wsrun_raw_timers_set(uint32_t, uint64_t, uint32_t, uint64_t, void *);

__attribute__((import_module("wsrun:websocket/timers@0.1.0"), import_name("cancel")))
extern uint32_t wsrun_raw_timers_cancel(uint64_t);

/* wsrun:websocket/host-info@0.1.0 */

__attribute__((import_module("wsrun:websocket/host-info@0.1.0"), import_name("hostname")))
extern void wsrun_raw_host_info_hostname(void *);

__attribute__((import_module("wsrun:websocket/host-info@0.1.0"), import_name("handler-name")))
extern void wsrun_raw_host_info_handler_name(void *);

__attribute__((import_module("wsrun:websocket/host-info@0.1.0"), import_name("config")))
extern void wsrun_raw_host_info_config(const void *, size_t, void *);

__attribute__((import_module("wsrun:websocket/host-info@0.1.0"), import_name("connection-count")))
extern uint32_t wsrun_raw_host_info_connection_count(void);

/* Names of exports. */

#define WSRUN_RAW_HANDSHAKE_REQUESTED "wsrun:websocket/handshake@0.1.0#requested"
#define WSRUN_RAW_WRITABLE_WRITABLE "wsrun:websocket/writable@0.1.0#writable"
#define WSRUN_RAW_CHUNKS_RECEIVED_CHUNK "wsrun:websocket/chunks@0.1.0#received-chunk"
#define WSRUN_RAW_PACKED_RECEIVED "wsrun:websocket/packed@0.1.0#received"
#define WSRUN_RAW_BROADCAST_FILTER_WANTED "wsrun:websocket/broadcast-filter@0.1.0#wanted"
#define WSRUN_RAW_NETWORK_FILTER_ACCEPTS "wsrun:websocket/network-filter@0.1.0#accepts"
#define WSRUN_RAW_HTTP_REQUESTED "wsrun:websocket/http@0.1.0#requested"
#define WSRUN_RAW_RECONNECTION_LOST "wsrun:websocket/reconnection@0.1.0#lost"
#define WSRUN_RAW_RECONNECTION_RESTORED "wsrun:websocket/reconnection@0.1.0#restored"
#define WSRUN_RAW_PONG_PONG "wsrun:websocket/pong@0.1.0#pong"
#define WSRUN_RAW_TIMER_HANDLER_FIRED "wsrun:websocket/timer-handler@0.1.0#fired"
#define WSRUN_RAW_LIFECYCLE_STARTED "wsrun:websocket/lifecycle@0.1.0#started"
#define WSRUN_RAW_LIFECYCLE_RESUMED "wsrun:websocket/lifecycle@0.1.0#resumed"
#define WSRUN_RAW_LIFECYCLE_SAVE "wsrun:websocket/lifecycle@0.1.0#save"
#define WSRUN_RAW_LIFECYCLE_RESTORE "wsrun:websocket/lifecycle@0.1.0#restore"
#define WSRUN_RAW_LIFECYCLE_DRAINING "wsrun:websocket/lifecycle@0.1.0#draining"
#define WSRUN_RAW_HANDLER_OPENED "wsrun:websocket/handler@0.1.0#opened"
#define WSRUN_RAW_HANDLER_RECEIVED "wsrun:websocket/handler@0.1.0#received"
#define WSRUN_RAW_HANDLER_CLOSED "wsrun:websocket/handler@0.1.0#closed"

#endif
