//! The sans-IO WebSocket core of wsrun: RFC 6455 and RFC 7692 without sockets, clocks or
//! randomness.
//!
//! The crate has every rule of the protocol: frames, masks, fragments, UTF-8, closing, compression,
//! the opening handshake and the limits of all of them. Bytes, time and masking keys come from the
//! driver, which owns the transport. Equal input gives equal output, with any driver: a server, a
//! test with invented time, a fuzzer.
//!
//! ```text
//!                            +----------------------+
//!   bytes of the peer  --->  | handle_input         | ---> Event, one by one
//!   end of transport   --->  | handle_eof           |
//!   time               --->  | handle_timeout       | ---> poll_timeout: when to call it
//!                            |      Connection      |
//!   messages to send   --->  | send_*, start_close  | ---> output: bytes for the peer
//!                            +----------------------+ ---> end: how it ended
//! ```
//!
//! The opening handshake comes first: [`http::upgrade`] for servers, on top of any HTTP library or
//! of [`http::request`], and [`http::connect`] for clients. Then the driver creates a
//! [`ws::Connection`]. After everything that happens, it handles the events, writes the output, and
//! waits for the transport or for [`poll_timeout`](ws::Connection::poll_timeout), whichever is
//! first.
//!
//! ```
//! use std::io::{IoSlice, Read, Write};
//! use std::time::Instant;
//!
//! use wsrun_proto::ws::{Config, Connection, Event, Role, Scratch};
//!
//! /// Echoes messages until the connection ends. `clock` returns the current time.
//! fn echo(
//!     transport: &mut (impl Read + Write),
//!     clock: impl Fn() -> Instant,
//! ) -> std::io::Result<u16> {
//!     // One of each per thread, not per connection.
//!     let mut scratch = Scratch::new();
//!     let mut buffer = [0; 4096];
//!
//!     let mut connection = Connection::new(clock(), Role::Server, Config::default());
//!     loop {
//!         // 1. Write the output. The core knows when the transport can be shut down.
//!         while !connection.output().is_empty() {
//!             let mut slices = [IoSlice::new(&[]); 8];
//!             let filled = connection.output().slices(&mut slices);
//!             let written = transport.write_vectored(&slices[..filled])?;
//!             connection.output_mut().consume(written);
//!         }
//!         if connection.is_drained() {
//!             let end = connection.end().expect("a connection that is drained has ended");
//!             return Ok(end.code);
//!         }
//!
//!         // 2. Read. A real driver waits until `connection.poll_timeout()` at most, then calls
//!         // `handle_timeout`.
//!         let mut length = 0;
//!         if !connection.is_end_held() {
//!             length = transport.read(&mut buffer)?;
//!             if length == 0 {
//!                 connection.handle_eof(clock());
//!                 continue;
//!             }
//!         }
//!
//!         // 3. Handle the events. Pings are answered already. A close frame behind messages is
//!         // held until they can be answered.
//!         let mut input = connection.handle_input(clock(), &mut buffer[..length], &mut scratch);
//!         let mut answers = Vec::new();
//!         while let Some(event) = input.poll_event() {
//!             match event {
//!                 Event::Text(text) => answers.push(text.to_owned()),
//!                 Event::Binary(_) | Event::Chunk(_) => {}
//!                 Event::Ping(_) | Event::Pong { .. } | Event::Close(_) => {}
//!             }
//!         }
//!         for answer in answers {
//!             connection.send_text(&answer, &mut scratch).expect("a few answers fit");
//!         }
//!     }
//! }
//!
//! // A transport with the bytes of RFC 6455, 5.7 and then a close frame with code 1000, masked
//! // with zeros.
//! struct Transport(std::io::Cursor<Vec<u8>>, Vec<u8>);
//! # impl Read for Transport {
//! #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
//! #         self.0.read(buffer)
//! #     }
//! # }
//! # impl Write for Transport {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
//! #         self.1.write(bytes)
//! #     }
//! #     fn flush(&mut self) -> std::io::Result<()> {
//! #         Ok(())
//! #     }
//! # }
//! let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
//! let mut transport = Transport(std::io::Cursor::new([&hello[..], &close].concat()), Vec::new());
//! let start = Instant::now();
//! assert_eq!(echo(&mut transport, || start)?, 1000);
//! assert_eq!(transport.1, [&[0x81, 5][..], b"Hello", &[0x88, 2, 0x03, 0xe8]].concat());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! No input can make the core panic or hold more than [`limits::Limits`] allow. A rule that the
//! peer breaks is a [`ws::ProtocolError`], and the peer receives its close code. Every connection
//! ends with a [`ws::End`], which is not an error.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod header;
pub mod http;
pub mod limits;
pub mod topic;
pub mod ws;
