//! A page, an API and the sockets that they speak of, from one handler.

use wsrun_guest::{Connection, Handler, HttpRequest, HttpResponse, Message, handler, host, topics};

/// The page, compiled in.
const PAGE: &str = include_str!("page.html");

#[derive(Default)]
struct Site;

#[handler]
impl Handler for Site {
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
                    .header("cache-control", "no-store")
            }
            "/api/say" if request.method == "POST" => say(&request),
            "/" | "/api/count" => method_not_allowed("GET, HEAD"),
            "/api/say" => method_not_allowed("POST"),
            path => match path.strip_prefix("/files/") {
                Some(file) if is_get => HttpResponse::file(file),
                Some(_) => method_not_allowed("GET, HEAD"),
                None => HttpResponse::text("there is nothing here\n").status(404),
            },
        }
    }
}

/// Sends the body to everybody who is connected.
fn say(request: &HttpRequest) -> HttpResponse {
    if !is_same_origin(request) {
        return HttpResponse::text("not from another site\n").status(403);
    }
    let Some(text) = request.text().filter(|text| !text.is_empty()) else {
        return HttpResponse::text("say something, in UTF-8\n").status(400);
    };
    match topics::broadcast(text) {
        Ok(_) => HttpResponse::new(202),
        Err(error) => HttpResponse::text(format!("{error}\n")).status(503),
    }
}

/// Whether the request comes from this site's page, or from no page at all. Browsers send a body of plain text anywhere without asking: what
/// the host checks for sockets is checked here for what has an effect.
fn is_same_origin(request: &HttpRequest) -> bool {
    let Some(origin) = request.header("origin") else {
        return true;
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == request.request.host.as_deref()
}

fn method_not_allowed(allow: &str) -> HttpResponse {
    HttpResponse::text("not this way\n")
        .status(405)
        .header("allow", allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsrun_guest::{Request, Role};

    fn post(origin: Option<&str>) -> HttpRequest {
        let headers = origin.map(|origin| ("origin".to_owned(), origin.as_bytes().to_vec()));
        HttpRequest {
            method: "POST".to_owned(),
            request: Request {
                role: Role::Server,
                path: "/api/say".to_owned(),
                query: None,
                headers: headers.into_iter().collect(),
                offered: Vec::new(),
                peer: "127.0.0.1:5".to_owned(),
                local: "127.0.0.1:9000".to_owned(),
                secure: false,
                host: Some("localhost:9000".to_owned()),
            },
            body: b"hello".to_vec(),
        }
    }

    #[test]
    fn other_sites_cannot_say_anything() {
        assert!(is_same_origin(&post(None)));
        assert!(is_same_origin(&post(Some("http://localhost:9000"))));
        assert!(!is_same_origin(&post(Some("http://localhost:9001"))));
        assert!(!is_same_origin(&post(Some("null"))));
    }
}
