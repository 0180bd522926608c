//! The bodies of the fuzz targets. `tests/corpus.rs` includes them as well, to replay the corpus
//! with stable Rust.

pub mod connection;
pub mod deflate;
pub mod frames;
pub mod handshake;
