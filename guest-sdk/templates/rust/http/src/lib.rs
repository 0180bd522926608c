//! A page, an API and the sockets that they speak of, from one handler.

use wsrun_guest::{Connection, Handler, HttpRequest, HttpResponse, Message, handler, host, topics};

/// The page, compiled in.
const PAGE: &str = include_str!("page.html");

#[derive(Default)]
struct Site;

#[handler]
impl Handler for Site {
    /// What one says goes to everybody.
    fn received(&mut self, connection: Connection, message: Message) {
        if let Err(error) = topics::broadcast(&message) {
            let _ = connection.send(&error.to_string());
        }
    }

    fn http(&mut self, request: HttpRequest) -> HttpResponse {
        let is_get = matches!(request.method.as_str(), "GET" | "HEAD");
        match request.path() {
            "/" if is_get => HttpResponse::html(PAGE),
            "/api/count" if is_get => {
                HttpResponse::json(format!(r#"{{"connections":{}}}"#, host::connection_count()))
            }
            _ => HttpResponse::text("there is nothing here\n").status(404),
        }
    }
}
