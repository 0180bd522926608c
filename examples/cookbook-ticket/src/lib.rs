//! Tickets that say who somebody is and until when: `NAME.SECONDS.SIGNATURE`. Whoever knows the secret can write them and tell true ones from
//! others; nothing is kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A ticket for a name, which has no dot in it, that is good for so long.
pub fn write(secret: &str, name: &str, lifetime: Duration) -> String {
    let until = now() + lifetime.as_secs();
    let claim = format!("{name}.{until}");
    let signature = mac(secret, &claim).finalize().into_bytes();
    let digits = signature.iter().map(|byte| format!("{byte:02x}"));
    format!("{claim}.{}", digits.collect::<String>())
}

/// The name on a ticket that is true and still good.
pub fn read<'a>(secret: &str, ticket: &'a str) -> Option<&'a str> {
    let (claim, signature) = ticket.rsplit_once('.')?;
    let (name, until) = claim.split_once('.')?;
    // Takes the same time wherever the difference is: nobody learns a signature byte by byte.
    mac(secret, claim)
        .verify_slice(&bytes_of(signature)?)
        .ok()?;
    let until: u64 = until.parse().ok()?;
    (now() < until).then_some(name)
}

fn mac(secret: &str, claim: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key may have any length");
    mac.update(claim.as_bytes());
    mac
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
