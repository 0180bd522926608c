//! Lets in who has logged in on its page: the page sets a cookie, and the browser sends it with the handshake.

use std::time::Duration;

use wsrun_guest::{
    Accept, Connection, Handler, HttpRequest, HttpResponse, Message, Refusal, Request, handler,
    host,
};

const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

#[derive(Default)]
struct Members;

#[handler]
impl Handler for Members {
    fn http(&mut self, request: HttpRequest) -> HttpResponse {
        match (request.method.as_str(), request.path()) {
            ("GET", "/") => HttpResponse::html(include_str!("login.html")),
            ("POST", "/login") => log_in(&request),
            _ => HttpResponse::new(404),
        }
    }

    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        let secret = secret().ok_or_else(|| Refusal::new(503))?;
        let ticket = cookie(&request, "ticket");
        match ticket.and_then(|ticket| cookbook_ticket::read(&secret, ticket)) {
            Some(name) => Ok(Accept::new().session_bytes(name)),
            None => Err(Refusal::new(401).body("log in first")),
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        let name = String::from_utf8(connection.session_bytes()).unwrap_or_default();
        let text = message.as_text().unwrap_or_default();
        let _ = connection.send(&format!("{name}: {text}"));
    }
}

fn log_in(request: &HttpRequest) -> HttpResponse {
    let Some(secret) = secret() else {
        return HttpResponse::new(503);
    };
    let (name, password) = request
        .text()
        .and_then(|body| body.split_once('\n'))
        .unwrap_or_default();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    if !is_name || !is_password(name, password) {
        return HttpResponse::text("a wrong name or password\n").status(401);
    }
    let ticket = cookbook_ticket::write(&secret, name, LIFETIME);
    // Scripts do not see it, and no other site has a browser send it. Add `; Secure` behind TLS.
    let cookie = format!(
        "ticket={ticket}; Max-Age={}; Path=/; HttpOnly; SameSite=Strict",
        LIFETIME.as_secs()
    );
    HttpResponse::new(204).header("set-cookie", cookie)
}

/// Put your own in its place: here everybody has the same.
fn is_password(_name: &str, password: &str) -> bool {
    host::config("password").is_some_and(|right| !right.is_empty() && right == password)
}

/// The value of a cookie. A request may have several fields with several in each.
fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let fields = request.header_values("cookie");
    let mut cookies = fields
        .filter_map(|field| str::from_utf8(field).ok())
        .flat_map(|field| field.split(';'));
    cookies.find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

fn secret() -> Option<String> {
    host::config("secret").filter(|secret| !secret.is_empty())
}
