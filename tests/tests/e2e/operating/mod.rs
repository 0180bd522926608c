//! A server in operation: admin socket, files, users, signals, swaps, stops, and successors.

mod admin;
mod cache;
mod drain;
mod foreign_text;
mod network_filter;
mod panics;
mod privileges;
mod service_manager;
mod standstill;
mod stopping;
mod swap;
mod take_over;
