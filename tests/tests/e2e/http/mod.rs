//! Plain HTTP: files, answers of the host, and handlers that answer requests.

mod handler;
mod keep_alive;
mod plain;
mod static_files;
mod wasi_http;
