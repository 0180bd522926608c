//! The commands beside serving, what they print, and how they end.

mod command_line;
mod new_terminal;
mod ping;
mod replay;
mod scenario;
