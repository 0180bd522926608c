//! A program that has WebSockets beside its own work: the server runs on threads of its own, and the program publishes from where it is.
//!
//! ```sh
//! cargo run --example embedded -- 127.0.0.1:9000 [HANDLER.wasm]
//! ```
//!
//! Clients that offer the subprotocol `clock` get the seconds since the program started, from a handler in Rust. All others are the
//! component's, if one is given, or get their messages back. Runs until its input ends.

#![expect(clippy::print_stdout, reason = "this is a program")]
#![expect(clippy::print_stderr, reason = "this is a program")]

use std::error::Error;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use wsrun::contract::{Acceptance, ConnectionId, Message, Refusal, Request};
use wsrun::native::{Context, Handler, Native};
use wsrun::server::Server;

/// Gives messages back.
struct Echo;

impl Handler for Echo {
    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        let _ = cx.send(connection, message);
    }
}

/// Says nothing by itself: the main thread publishes.
struct Clock;

impl Handler for Clock {
    fn handshake(
        &mut self,
        cx: &mut Context<'_>,
        _request: &Request,
    ) -> Result<Acceptance, Refusal> {
        if cx.connection_count() >= 1_000 {
            return Err(Refusal {
                status: 503,
                headers: vec![("retry-after".to_owned(), "10".to_owned())],
                body: "too many look at the clock".to_owned(),
            });
        }
        Ok(Acceptance::default())
    }

    fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = cx.subscribe(connection, "seconds");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let builder = Server::builder()
        .listen_tcp(address.parse()?)
        .workers(2)
        .protocol("clock", Native::new("clock", || Clock));
    let builder = match arguments.next() {
        Some(component) => builder.handler(component),
        None => builder.handler(Native::new("echo", || Echo)),
    };
    let running = builder.build()?.spawn()?;
    println!("listening on {}", running.url(&running.addresses()[0]));

    let (end, ended) = channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(end);
    });
    let publisher = running.publisher();
    let began = Instant::now();
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_secs(1)) {
        let seconds = began.elapsed().as_secs().to_string();
        if let Err(error) = publisher.publish("clock", "seconds", seconds.as_str()) {
            eprintln!("second {seconds} is not told: {error}");
        }
    }
    running.shutdown();
    Ok(())
}
