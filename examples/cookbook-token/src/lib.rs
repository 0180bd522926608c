//! Lets in who has a token: programs in a header, pages in the query.

use wsrun_guest::{Accept, Connection, Handler, Message, Refusal, Request, handler, host};

#[derive(Default)]
struct Members;

#[handler]
impl Handler for Members {
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        // Without a secret nobody comes in.
        let secret = host::config("secret").filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| Refusal::new(503))?;
        let header = request.header("authorization");
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.map(str::to_owned);
        let token = token.or_else(|| request.query_value("token"));
        let name = token
            .as_deref()
            .and_then(|token| cookbook_ticket::read(&secret, token));
        match name {
            Some(name) => Ok(Accept::new().session_bytes(name)),
            None => Err(Refusal::new(401).header("www-authenticate", "Bearer")),
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        // Who it is was settled by the handshake, and does not depend on what a peer says.
        let name = String::from_utf8(connection.session_bytes()).unwrap_or_default();
        let text = message.as_text().unwrap_or_default();
        let _ = connection.send(&format!("{name}: {text}"));
    }
}
