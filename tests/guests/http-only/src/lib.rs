//! Tells the method and the target of a request, by `wasi:http/incoming-handler` alone.

use std::io::Write as _;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct HttpOnly;

wasip2::http::proxy::export!(HttpOnly);

impl Guest for HttpOnly {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let is_get = matches!(request.method(), Method::Get);
        let method = if is_get { "GET" } else { "another method:" };
        let target = request.path_with_query().unwrap_or_default();
        let response = OutgoingResponse::new(Fields::new());
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(answer, Ok(response));
        if let Ok(mut stream) = body.write() {
            let _ = writeln!(stream, "{method} {target}");
        }
        let _ = OutgoingBody::finish(body, None);
    }
}
