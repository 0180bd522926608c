/* The messages: one JSON object per text message. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "wsrun.h"

typedef enum request_kind { JOIN, SAY, LEAVE } request_kind;

/* What a client sends, with its texts tidied. */
typedef struct request {
    request_kind kind;
    /* Of JOIN: under which name into which room. */
    wsrun_string name;
    wsrun_string room;
    /* Of SAY. */
    wsrun_string text;
} request;

/* Reads a message: NULL, or an error for the sender to read. */
const char *parse_request(wsrun_message message, request *request);

/* A text that grows, and lives until the callback returns. */
typedef struct text {
    char *data;
    size_t size;
    size_t room;
} text;

void append(text *text, const char *literal);
/* Appends a string as JSON has it. */
void append_json(text *text, wsrun_string value);

#endif
