//! A program with a poll loop of its own that serves WebSockets beside its other descriptors: the `test-server-extpoll` of 2011.
//!
//! ```sh
//! cargo run --example external_poll -- 127.0.0.1:9000
//! ```
//!
//! The loop watches two descriptors, standard input and the server's. What is typed goes to every connection; what a connection sends is
//! printed and goes to the others. The end of the input ends the program.

#![expect(clippy::print_stdout, reason = "this is a program")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use wsrun::contract::{ConnectionId, Message};
use wsrun::native::{Context, Handler, Native};
use wsrun::server::Server;

struct Relay;

impl Handler for Relay {
    fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = cx.subscribe(connection, "everybody");
    }

    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        if let Message::Text(text) = message {
            println!("{connection}: {text}");
        }
        let _ = cx.publish("everybody", message, Some(connection));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let mut server = Server::builder()
        .listen_tcp(address.parse()?)
        .handler(Native::new("relay", || Relay))
        .build()?;
    println!("listening on {}", server.url(&server.addresses()[0]));
    let publisher = server.publisher();
    let mut lines = BufReader::new(std::io::stdin());
    // The first turn starts the handler; from then on there is a descriptor to watch.
    server.service(Duration::ZERO)?;
    loop {
        let (typed, ready) = {
            let mut watched = [
                PollFd::new(lines.get_ref(), PollFlags::IN),
                PollFd::from_borrowed_fd(server.as_fd()?, PollFlags::IN),
            ];
            poll(&mut watched, None)?;
            let [typed, ready] = watched.map(|fd| !fd.revents().is_empty());
            (typed, ready)
        };
        if ready {
            // Does what is ready and never waits.
            server.service(Duration::ZERO)?;
        }
        if typed {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                break;
            }
            publisher.publish("relay", "everybody", line.trim_end())?;
            // The reader may have taken more lines than this one: they are not seen by `poll`.
            while !lines.buffer().is_empty() {
                line.clear();
                lines.read_line(&mut line)?;
                publisher.publish("relay", "everybody", line.trim_end())?;
            }
        }
    }
    // The last publishes go out before everybody is told goodbye.
    while server.service(Duration::ZERO)? {}
    server.shutdown();
    Ok(())
}
