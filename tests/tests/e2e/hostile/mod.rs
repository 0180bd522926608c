//! Attacks by peers and by handlers. The server is measured, and so nothing else may take its cores.

mod frames;
mod guests;
mod http;
mod upgrades;
