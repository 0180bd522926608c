//! Close codes (RFC 6455, 7.4). 3000 to 4999 are the application's and have no names here.

/// A close code. A number, because 3000 to 4999 are the application's.
pub type CloseCode = u16;

/// The purpose of the connection is fulfilled.
pub const NORMAL: CloseCode = 1000;
/// An endpoint goes away: a server shuts down, a page is left.
pub const GOING_AWAY: CloseCode = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: CloseCode = 1002;
/// A kind of data that cannot be accepted, such as binary by an endpoint that understands only text.
pub const UNSUPPORTED_DATA: CloseCode = 1003;
/// The close frame carried no code, or is to carry none.
pub const NO_STATUS: CloseCode = 1005;
/// The transport ended without a close frame. Only reported, never sent.
pub const ABNORMAL: CloseCode = 1006;
/// Data that does not fit the type of its message, such as text that is not UTF-8.
pub const INVALID_PAYLOAD: CloseCode = 1007;
/// A message that breaks the endpoint's policy.
pub const POLICY_VIOLATION: CloseCode = 1008;
/// A message too big to process.
pub const MESSAGE_TOO_BIG: CloseCode = 1009;
/// The client expected an extension that the server did not agree on.
pub const MANDATORY_EXTENSION: CloseCode = 1010;
/// The endpoint met an unexpected condition; the host's code for a handler that trapped.
pub const INTERNAL_ERROR: CloseCode = 1011;
/// The service restarts: reconnect soon.
pub const SERVICE_RESTART: CloseCode = 1012;
/// The service is overloaded: reconnect later.
pub const TRY_AGAIN_LATER: CloseCode = 1013;
/// A gateway met an invalid response.
pub const BAD_GATEWAY: CloseCode = 1014;
