//! Answers plain HTTP requests by their path; `README.md` beside the workspace lists the paths. Messages are sent back.

use serde_json::json;
use wsrun_guest::{Connection, Handler, HttpRequest, HttpResponse, Message, handler};

#[derive(Default)]
struct Http;

#[handler]
impl Handler for Http {
    fn received(&mut self, connection: Connection, message: Message) {
        let _ = connection.send(&message);
    }

    fn http(&mut self, request: HttpRequest) -> HttpResponse {
        let path = request.path();
        let mut parts = path[1..].splitn(2, '/');
        match (parts.next().unwrap_or_default(), parts.next()) {
            ("hello", None) => HttpResponse::text("hello\n"),
            ("echo", None) => HttpResponse::json(echo(&request)),
            ("file", Some(file)) => HttpResponse::file(file),
            ("file", None) => HttpResponse::file(request.query_value("path").unwrap_or_default()),
            ("trap", None) => panic!("asked to trap"),
            ("loop", None) => loop {
                std::hint::black_box(());
            },
            ("status", Some(status)) => HttpResponse::new(number(status)),
            ("header", Some(header)) => {
                let (name, value) = header.split_once('/').unwrap_or((header, ""));
                HttpResponse::text("with a header\n").header(name, value)
            }
            ("big", Some(bytes)) => HttpResponse::bytes(vec![b'b'; number(bytes)]),
            _ => HttpResponse::text("not found\n").status(404),
        }
    }
}

fn echo(request: &HttpRequest) -> String {
    let head = &request.request;
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(value)))
        .collect();
    json!({
        "method": request.method,
        "path": head.path,
        "query": head.query,
        "headers": headers,
        "host": head.host,
        "peer": head.peer,
        "local": head.local,
        "secure": head.secure,
        "bytes": request.body.len(),
        "body": String::from_utf8_lossy(&request.body),
    })
    .to_string()
}

/// A test that asks for something else has a mistake in it, and the trap shows it.
fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text:?}"))
}
