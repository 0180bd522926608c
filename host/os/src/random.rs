//! Random bytes of the operating system.

/// Returns random bytes of the operating system.
///
/// # Panics
///
/// When the system gives none. Without them no masking key is safe (RFC 6455, 10.3), so no
/// connection is made.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
