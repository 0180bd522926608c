//! Agreement on parameters: RFC 7692, 5 and 7.1.

use thiserror::Error;

use super::{Agreed, DeflateConfig, Direction, WINDOW_BITS_MAX, WINDOW_BITS_MIN};
use crate::header::extensions::{self, Extension};

/// Chooses among the offers in the `Sec-WebSocket-Extensions` headers of a request. Returns the
/// agreed parameters and the value of the header of the response. Offers are skipped if they are
/// malformed or ask for something that this side cannot do.
pub fn negotiate<'a>(
    offers: impl IntoIterator<Item = &'a str>,
    config: &DeflateConfig,
) -> Option<(Agreed, String)> {
    offers
        .into_iter()
        .filter_map(|value| extensions::parse(value).ok())
        .flatten()
        .filter(|extension| extension.name == NAME)
        .filter_map(|extension| Parameters::read(&extension).ok())
        .find_map(|parameters| accept(&parameters, config))
}

fn accept(offer: &Parameters, config: &DeflateConfig) -> Option<(Agreed, String)> {
    let server_window_bits = match offer.server_max_window_bits {
        None => config.window_bits(),
        // RFC 7692, 7.1.2.1: a server that cannot keep to the window declines.
        Some(bits) if bits < WINDOW_BITS_MIN => return None,
        Some(bits) => bits.min(config.window_bits()),
    };
    let client_hint = match offer.client_max_window_bits {
        Some(Some(bits)) => bits,
        Some(None) | None => WINDOW_BITS_MAX,
    };
    // RFC 7692, 7.1.2.2: the response may limit the client's window only if the offer says that the
    // client understands it.
    let limits_client =
        offer.client_max_window_bits.is_some() && config.window_bits() < client_hint;
    let server = Direction {
        context_takeover: config.context_takeover && !offer.server_no_context_takeover,
        window_bits: server_window_bits,
    };
    let client = Direction {
        context_takeover: config.context_takeover && !offer.client_no_context_takeover,
        window_bits: if limits_client {
            config.window_bits()
        } else {
            client_hint
        },
    };
    let response = Parameters {
        server_no_context_takeover: !server.context_takeover,
        client_no_context_takeover: !client.context_takeover,
        server_max_window_bits: offer.server_max_window_bits.map(|_| server_window_bits),
        client_max_window_bits: limits_client.then_some(Some(client.window_bits)),
    };
    Some((Agreed::new(config, server, client), response.to_header()))
}

/// Returns the value of the `Sec-WebSocket-Extensions` header of a request.
pub fn offer(config: &DeflateConfig) -> String {
    let limited = config.window_bits() < WINDOW_BITS_MAX;
    let parameters = Parameters {
        server_no_context_takeover: !config.context_takeover,
        client_no_context_takeover: !config.context_takeover,
        server_max_window_bits: limited.then(|| config.window_bits()),
        client_max_window_bits: Some(None),
    };
    parameters.to_header()
}

/// Reads the `Sec-WebSocket-Extensions` headers of the response to [`offer`]. Returns `None` if the
/// server declined.
///
/// # Errors
///
/// Fails if the server chose something that was not offered. The handshake fails then.
pub fn agree<'a>(
    responses: impl IntoIterator<Item = &'a str>,
    config: &DeflateConfig,
) -> Result<Option<Agreed>, DeflateResponseError> {
    let mut agreed = None;
    for value in responses {
        for extension in extensions::parse(value).map_err(|_| DeflateResponseError::Malformed)? {
            if extension.name != NAME {
                return Err(DeflateResponseError::ExtensionNotOffered);
            }
            if agreed.is_some() {
                return Err(DeflateResponseError::ChosenTwice);
            }
            agreed = Some(confirm(&Parameters::read(&extension)?, config)?);
        }
    }
    Ok(agreed)
}

fn confirm(response: &Parameters, config: &DeflateConfig) -> Result<Agreed, DeflateResponseError> {
    let server_window_bits = response.server_max_window_bits.unwrap_or(WINDOW_BITS_MAX);
    if server_window_bits > config.window_bits() {
        return Err(DeflateResponseError::InvalidParameter);
    }
    let client_window_bits = match response.client_max_window_bits {
        None => config.window_bits(),
        // RFC 7692, 7.1.2.2: in a response the parameter has a value. zlib cannot keep to 8 bits.
        Some(Some(bits)) if bits >= WINDOW_BITS_MIN => bits.min(config.window_bits()),
        Some(_) => return Err(DeflateResponseError::InvalidParameter),
    };
    let server = Direction {
        context_takeover: !response.server_no_context_takeover,
        window_bits: server_window_bits,
    };
    let client = Direction {
        context_takeover: config.context_takeover && !response.client_no_context_takeover,
        window_bits: client_window_bits,
    };
    Ok(Agreed::new(config, server, client))
}

/// The reason why a response does not fit the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeflateResponseError {
    /// The header does not follow its grammar.
    #[error("extensions of the response are malformed")]
    Malformed,
    /// The server chose another extension than permessage-deflate.
    #[error("server chose an extension that was not offered")]
    ExtensionNotOffered,
    /// The server chose permessage-deflate more than once.
    #[error("server chose an extension twice")]
    ChosenTwice,
    /// A parameter is unknown, repeated, out of range or not offered.
    #[error("server chose parameters that were not offered")]
    InvalidParameter,
}

/// The parameters of one offer or response.
#[derive(Debug, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// The client's window. In an offer the value may be left out.
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    fn read(extension: &Extension<'_>) -> Result<Self, DeflateResponseError> {
        let mut parameters = Self::default();
        for parameter in &extension.parameters {
            let value = parameter.value.as_deref();
            let is_first = match (parameter.name, value) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => {
                    !std::mem::replace(&mut parameters.server_no_context_takeover, true)
                }
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => {
                    !std::mem::replace(&mut parameters.client_no_context_takeover, true)
                }
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => parameters
                    .server_max_window_bits
                    .replace(window_bits(bits)?)
                    .is_none(),
                (CLIENT_MAX_WINDOW_BITS, bits) => parameters
                    .client_max_window_bits
                    .replace(bits.map(window_bits).transpose()?)
                    .is_none(),
                _ => false,
            };
            if !is_first {
                return Err(DeflateResponseError::InvalidParameter);
            }
        }
        Ok(parameters)
    }

    fn to_header(&self) -> String {
        let mut header = NAME.to_owned();
        let mut push = |name: &str, value: Option<u8>| {
            header.push_str("; ");
            header.push_str(name);
            if let Some(value) = value {
                header.push('=');
                header.push_str(&value.to_string());
            }
        };
        if self.server_no_context_takeover {
            push(SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if self.client_no_context_takeover {
            push(CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if let Some(bits) = self.server_max_window_bits {
            push(SERVER_MAX_WINDOW_BITS, Some(bits));
        }
        if let Some(bits) = self.client_max_window_bits {
            push(CLIENT_MAX_WINDOW_BITS, bits);
        }
        header
    }
}

/// Reads a number of window bits.
///
/// RFC 7692, 7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15 inclusive".
fn window_bits(value: &str) -> Result<u8, DeflateResponseError> {
    match value {
        "8" => Ok(8),
        "9" => Ok(9),
        "10" => Ok(10),
        "11" => Ok(11),
        "12" => Ok(12),
        "13" => Ok(13),
        "14" => Ok(14),
        "15" => Ok(15),
        _ => Err(DeflateResponseError::InvalidParameter),
    }
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";
