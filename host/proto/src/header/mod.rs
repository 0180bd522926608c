//! The grammar of header values: RFC 9110, 5.6, and RFC 6455, 9.1.

pub mod extensions;
pub mod token;
