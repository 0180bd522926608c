//! The client role: a handler that connects out.

mod outbound;
