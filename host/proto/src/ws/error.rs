//! Errors of a connection: those of the peer, and those of this side.

use thiserror::Error;

use super::close_code::CloseCode;

/// A rule that the peer broke. The connection fails: a close frame with
/// [`close_code`](Self::close_code) is queued and further input is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set without an extension that gives it a meaning there.
    #[error("reserved bits are set")]
    ReservedBitsSet,
    /// The opcode is reserved.
    #[error("unknown opcode {0}")]
    UnknownOpcode(u8),
    /// A client sent a frame without a mask.
    #[error("frame is not masked")]
    FrameNotMasked,
    /// A server sent a frame with a mask.
    #[error("frame is masked")]
    FrameMasked,
    /// A control frame is without FIN.
    #[error("control frame is fragmented")]
    ControlFrameFragmented,
    /// A control frame has more than 125 bytes.
    #[error("control frame is longer than 125 bytes")]
    ControlFrameTooLong,
    /// A length could have a shorter form.
    #[error("payload length is not minimally encoded")]
    LengthNotMinimal,
    /// A 64-bit length has its most significant bit set.
    #[error("payload length has its top bit set")]
    LengthTopBitSet,
    /// A continuation frame came while no message was open.
    #[error("continuation frame without a message")]
    ContinuationWithoutMessage,
    /// A text or binary frame came while a fragmented message was open.
    #[error("data frame inside a fragmented message")]
    MessageInterrupted,
    /// A close frame has a payload of one byte.
    #[error("close frame with half a code")]
    CloseCodeCut,
    /// A close code must not be sent, or is not assigned.
    #[error("invalid close code {0}")]
    CloseCodeInvalid(u16),
    /// A close reason is not UTF-8.
    #[error("close reason is not valid UTF-8")]
    CloseReasonNotUtf8,
    /// A text message is not UTF-8.
    #[error("text is not valid UTF-8")]
    TextNotUtf8,
    /// A compressed message is not DEFLATE data, or does not end where its last block does.
    #[error("compressed data is invalid")]
    DeflateInvalid,
    /// A frame is beyond [`Limits::frame_bytes_max`](crate::limits::Limits::frame_bytes_max).
    #[error("frame is larger than {limit} bytes")]
    FrameTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A message is beyond [`Limits::message_bytes_max`](crate::limits::Limits::message_bytes_max).
    #[error("message is larger than {limit} bytes")]
    MessageTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A compressed message inflates beyond
    /// [`Limits::message_bytes_max`](crate::limits::Limits::message_bytes_max).
    #[error("message inflates to more than {limit} bytes")]
    InflatedTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A message has more frames than
    /// [`Limits::fragments_max`](crate::limits::Limits::fragments_max).
    #[error("message has more than {limit} fragments")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// More control frames came than
    /// [`Limits::control_frames_per_second_max`](crate::limits::Limits::control_frames_per_second_max).
    #[error("more than {limit} control frames per second")]
    TooManyControlFrames {
        /// The limit.
        limit: u32,
    },
}

impl ProtocolError {
    /// Returns the code of the close frame that is sent to the peer. No other place maps errors to
    /// codes.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBitsSet
            | Self::UnknownOpcode(_)
            | Self::FrameNotMasked
            | Self::FrameMasked
            | Self::ControlFrameFragmented
            | Self::ControlFrameTooLong
            | Self::LengthNotMinimal
            | Self::LengthTopBitSet
            | Self::ContinuationWithoutMessage
            | Self::MessageInterrupted
            | Self::CloseCodeCut
            | Self::CloseCodeInvalid(_) => CloseCode::PROTOCOL_ERROR,
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::DeflateInvalid => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::FrameTooLarge { .. }
            | Self::MessageTooLarge { .. }
            | Self::InflatedTooLarge { .. } => CloseCode::TOO_LARGE,
            Self::TooManyFragments { .. } | Self::TooManyControlFrames { .. } => {
                CloseCode::POLICY_VIOLATION
            }
        }
    }
}

/// The reason why something was not queued. The connection goes on as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// A close frame has been sent, or the connection has ended.
    #[error("connection is closing")]
    Closed,
    /// The peer does not read as fast as this side sends, and the output has reached
    /// [`Limits::queued_bytes_max`](crate::limits::Limits::queued_bytes_max).
    #[error("{queued} bytes are waiting for the peer")]
    QueueFull {
        /// The bytes that wait.
        queued: usize,
    },
    /// The message is beyond
    /// [`Limits::sent_message_bytes_max`](crate::limits::Limits::sent_message_bytes_max), or the
    /// payload of a control frame is longer than 125 bytes.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A text message is not UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidText,
    /// A message begun with `send_chunk` is not finished yet, or a chunk is not of the kind that
    /// the message began with.
    #[error("another message is unfinished")]
    MessageUnfinished,
}
