/* libwebsockets, one service thread, an echo as its minimal examples have it: a message waits until its connection is writable. */

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct message {
	struct message *next;
	size_t length;
	int binary;
	unsigned char bytes[]; /* LWS_PRE, then the payload */
};

struct session {
	struct message *first, *last;
	unsigned char *partial;
	size_t partial_length;
};

static int queue(struct session *session, const unsigned char *bytes, size_t length, int binary)
{
	struct message *message = malloc(sizeof *message + LWS_PRE + length);
	if (!message)
		return -1;
	message->next = NULL;
	message->length = length;
	message->binary = binary;
	memcpy(message->bytes + LWS_PRE, bytes, length);
	if (session->last)
		session->last->next = message;
	else
		session->first = message;
	session->last = message;
	return 0;
}

static int received(struct lws *wsi, struct session *session, const unsigned char *in, size_t length)
{
	int whole = lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi);
	int result;

	if (!session->partial && whole)
		result = queue(session, in, length, lws_frame_is_binary(wsi));
	else {
		unsigned char *grown = realloc(session->partial, session->partial_length + length);
		if (!grown)
			return -1;
		session->partial = grown;
		memcpy(grown + session->partial_length, in, length);
		session->partial_length += length;
		if (!whole)
			return 0;
		result = queue(session, grown, session->partial_length, lws_frame_is_binary(wsi));
		free(grown);
		session->partial = NULL;
		session->partial_length = 0;
	}
	lws_callback_on_writable(wsi);
	return result;
}

static int writable(struct lws *wsi, struct session *session)
{
	struct message *message = session->first;
	int written;

	if (!message)
		return 0;
	written = lws_write(wsi, message->bytes + LWS_PRE, message->length, message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
	if (written < (int)message->length)
		return -1;
	session->first = message->next;
	if (!session->first)
		session->last = NULL;
	free(message);
	if (session->first)
		lws_callback_on_writable(wsi);
	return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct session *session = user;

	switch (reason) {
	case LWS_CALLBACK_RECEIVE:
		return received(wsi, session, in, length);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return writable(wsi, session);
	case LWS_CALLBACK_CLOSED:
		while (session->first) {
			struct message *next = session->first->next;
			free(session->first);
			session->first = next;
		}
		free(session->partial);
		return 0;
	default:
		return 0;
	}
}

int main(void)
{
	static const struct lws_protocols protocols[] = {
		{ .name = "default", .callback = callback, .per_session_data_size = sizeof(struct session), .rx_buffer_size = 16384 },
		{ 0 },
	};
	static const struct lws_extension extensions[] = {
		{ "permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_no_context_takeover; server_no_context_takeover" },
		{ 0 },
	};
	const char *deflate = getenv("DEFLATE"), *certificate = getenv("TLS_CERT");
	struct lws_context_creation_info info = { 0 };
	struct lws_context *context;

	lws_set_log_level(LLL_ERR, NULL);
	info.port = atoi(getenv("PORT"));
	info.iface = "127.0.0.1";
	info.protocols = protocols;
	info.fd_limit_per_thread = 19000;
	if (deflate && !strcmp(deflate, "1"))
		info.extensions = extensions;
	if (certificate) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = certificate;
		info.ssl_private_key_filepath = getenv("TLS_KEY");
	}
	context = lws_create_context(&info);
	if (!context)
		return 1;
	while (lws_service(context, 0) >= 0)
		;
	lws_context_destroy(context);
	return 0;
}
