//! The close codes that a handler may send.

/// Returns true for close codes that a handler may send (RFC 6455, 7.4), and for 1005, which stands
/// for no code.
#[inline]
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1005 | 1007..=1014 | 3000..=4999)
}
