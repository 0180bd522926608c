/* See README.md. */

#include <stdio.h>

#include "wsrun.h"

void wsrun_on_chunk(wsrun_connection connection, const wsrun_chunk *chunk) {
    char *line = wsrun_alloc(100);
    snprintf(line, 100, "%s %u %d %d %u", chunk->kind == WSRUN_TEXT ? "text" : "binary", (unsigned)chunk->size, chunk->first, chunk->last,
             (unsigned)chunk->remaining);
    wsrun_send_text(connection, line);
}
