//! The harness of the end-to-end tests: the real `wsrun` on one side, peers written by hand on the other.
//!
//! Everything here blocks and has a deadline. A test starts a [`server::Server`], opens [`peer::Peer`]s to it and says what must come
//! back, byte by byte where it matters. A [`neighbour::Neighbour`] is a well-behaved connection that must not notice what the test does
//! to the server.

pub mod admin;
pub mod attack;
pub mod certificate;
pub mod development;
pub mod environment;
pub mod frame;
pub mod guide;
pub mod handlers;
pub mod handshake;
pub mod latency;
pub mod links;
pub mod neighbour;
pub mod peer;
pub mod project;
pub mod random;
pub mod scheduling;
pub mod server;
pub mod stream;
pub mod told;
pub mod usage;
pub mod wait;
