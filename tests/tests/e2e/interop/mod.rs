//! Clients, servers and a conformance suite that are not ours.

mod autobahn;
mod clients;
mod libwebsockets;
