//! The host with a handler in Rust in place of a component: what the sandbox is measured against (`benches/`).
//!
//! ```sh
//! PORT=9000 MODE=echo cargo run --release --example native_echo
//! ```
//!
//! `MODE` is `echo`, or `fan`: every message goes to every connection. With `TLS_CERT` and `TLS_KEY`, PEM files, it serves TLS. With
//! `WORKERS` it has so many threads, each with a handler of its own. Runs until it is killed.

use std::env;
use std::error::Error;
use std::net::SocketAddr;

use wsrun::config::Scope;
use wsrun::contract::{ConnectionId, Message};
use wsrun::native::{Context, Handler, Native};
use wsrun::server::Server;

/// Gives messages back.
struct Echo;

impl Handler for Echo {
    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        let _ = cx.send(connection, message);
    }
}

/// Gives messages to everybody.
struct Fan;

impl Handler for Fan {
    fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = cx.subscribe(connection, "all");
    }

    fn received(&mut self, cx: &mut Context<'_>, _connection: ConnectionId, message: Message<'_>) {
        let _ = cx.publish("all", message, None);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::var("PORT")?.parse()?;
    let handler = match env::var("MODE").as_deref() {
        Ok("fan") => Native::new("fan", || Fan),
        _ => Native::new("echo", || Echo),
    };
    let mut builder = Server::builder()
        .listen_tcp(SocketAddr::from(([127, 0, 0, 1], port)))
        .handler(handler)
        .configure(|config| config.connection.connections_max = 20_000);
    if let Ok(workers) = env::var("WORKERS") {
        builder = builder.workers(workers.parse()?).scope(Scope::Worker);
    }
    if let (Some(certificate), Some(key)) = (env::var_os("TLS_CERT"), env::var_os("TLS_KEY")) {
        builder = builder.tls(certificate, key);
    }
    let _running = builder.build()?.spawn()?;
    loop {
        std::thread::park();
    }
}
