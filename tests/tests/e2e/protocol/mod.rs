//! What a peer sees of the protocol: messages, answers of the host, deadlines, TLS.

mod auto_reply;
mod echo;
mod packed;
mod slow_readers;
mod tls;
