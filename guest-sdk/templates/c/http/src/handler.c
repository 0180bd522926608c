/* A page, an API and the sockets that they speak of, from one handler. */

#include <stdio.h>

#include "wsrun.h"

static const char page[] =
    "<!doctype html>\n"
    "<meta charset=\"utf-8\">\n"
    "<title>{{name}}</title>\n"
    "<h1>{{name}}</h1>\n"
    "<p><input id=\"text\" placeholder=\"say something\" autofocus></p>\n"
    "<ul id=\"said\"></ul>\n"
    "<script>\n"
    "const socket = new WebSocket(location.href.replace('http', 'ws'));\n"
    "socket.onmessage = event => said.append(Object.assign(document.createElement('li'), { textContent: event.data }));\n"
    "text.onchange = () => { socket.send(text.value); text.value = ''; };\n"
    "</script>\n";

/* What one says goes to everybody. */
void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    wsrun_status status = wsrun_broadcast(NULL, message, NULL);
    if (status != WSRUN_OK) wsrun_send_text(connection, wsrun_status_text(status));
}

static void answer(wsrun_http_response *response, uint16_t status, const char *type, const char *body) {
    wsrun_header *header = wsrun_alloc(sizeof *header);
    *header = (wsrun_header){wsrun_text("content-type"), wsrun_text(type)};
    response->status = status;
    response->headers = (wsrun_headers){header, 1};
    response->body = wsrun_text(body);
}

void wsrun_on_http(const wsrun_http_request *request, wsrun_http_response *response) {
    bool is_get = wsrun_equals(request->method, "GET") || wsrun_equals(request->method, "HEAD");
    if (is_get && wsrun_equals(request->request.path, "/")) {
        answer(response, 200, "text/html; charset=utf-8", page);
    } else if (is_get && wsrun_equals(request->request.path, "/api/count")) {
        char *json = wsrun_alloc(64);
        snprintf(json, 64, "{\"connections\":%u}", (unsigned)wsrun_connection_count());
        answer(response, 200, "application/json", json);
    } else {
        answer(response, 404, "text/plain; charset=utf-8", "there is nothing here\n");
    }
}
