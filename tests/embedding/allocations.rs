//! In the steady state no message costs the host an allocation; a call into a component, with however many messages, costs wasmtime one.
//!
//! The server runs on the test's thread, where allocations are counted; its client has a thread of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use wsrun::config::HandlerSource;
use wsrun::contract::{ConnectionId, Message};
use wsrun::native::{Context, Handler, Native};
use wsrun::server::{Address, Server};
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;

struct Echo;

impl Handler for Echo {
    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        let _ = cx.send(connection, message);
    }
}

/// Rounds before the count, in which buffers grow to their size, and those that are counted.
const WARM: usize = 300;
const COUNTED: usize = 300;

/// The allocations for each round of a window of messages that are echoed.
fn allocations_per_round(source: impl Into<HandlerSource>, window: usize) -> f64 {
    let mut server = Server::builder()
        .listen_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
        .handler(source)
        .build()
        .expect("the handler is good");
    let Some(Address::Tcp(address)) = server.addresses().first().cloned() else {
        panic!("it listens on TCP");
    };
    let (begin, begun) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        let mut peer = Peer::tcp(address);
        peer.upgrade(&Request::upgrade("/"));
        let frame = Frame::new(frame::BINARY, vec![7; 20]).encode();
        let frames = frame.repeat(window);
        for round in 0..WARM + COUNTED {
            if round == WARM {
                begin.send(()).expect("the test waits");
            }
            peer.send_bytes(&frames);
            (0..window).for_each(|_| assert_eq!(peer.read_frame().payload, [7; 20]));
        }
        // It stays open, so that its end is not counted.
        peer
    });
    while begun.try_recv().is_err() {
        server.service(Duration::from_millis(1)).expect("it turns");
    }
    let counted = allocation_counter::measure(|| {
        while !client.is_finished() {
            server.service(Duration::from_millis(1)).expect("it turns");
        }
    });
    drop(client.join().expect("the client got its echoes"));
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let each = counted.count_total as f64 / COUNTED as f64;
    each
}

fn native() -> Native {
    Native::new("echo", || Echo)
}

fn component() -> PathBuf {
    handlers::echo()
}

/// Few buffers may still grow late.
const SELDOM: f64 = 0.1;

#[test]
fn native_handler_costs_no_allocation_for_a_message() {
    for window in [1, 8, 48] {
        let each = allocations_per_round(native(), window);
        assert!(each < SELDOM, "{each} for {window} messages");
    }
}

#[test]
fn component_costs_one_allocation_for_a_call_with_however_many_messages() {
    for window in [1, 8, 48] {
        let each = allocations_per_round(component(), window);
        assert!(each < 1.0 + SELDOM, "{each} for {window} messages");
    }
}
