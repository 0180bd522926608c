//! The real `wsrun`, its own sockets, and peers written by hand. `tests/README.md` says which module proves what.

mod client;
mod commands;
mod handlers;
mod hostile;
mod http;
mod interop;
mod limits;
mod model;
mod operating;
mod protocol;
mod readme;
mod topics;
