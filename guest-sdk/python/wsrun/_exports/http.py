from __future__ import annotations

from wit_world.exports import http
from wit_world.imports import types

from .._translation import request_fields
from .._values import HttpRequest, header_pairs
from . import instance


class Http:
    def requested(self, method: str, request: types.Request, body: bytes) -> http.Response:
        answer = instance().http(HttpRequest(**request_fields(request), method=method, body=body))
        headers = header_pairs(answer.headers)
        if answer.path is not None:
            return http.Response(answer.status, headers, http.Body_File(answer.path))
        content, content_type = answer.body, answer.content_type
        if isinstance(content, str):
            content, content_type = content.encode(), content_type or "text/plain; charset=utf-8"
        if content_type and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("content-type", content_type))
        return http.Response(answer.status, headers, http.Body_Bytes(bytes(content)))
