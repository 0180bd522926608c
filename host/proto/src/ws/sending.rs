//! A message that is sent in chunks.

use super::MessageKind;
use super::error::SendError;
use super::utf8::Utf8;

/// The progress of a message that is sent in chunks.
#[derive(Debug, Clone, Copy)]
pub struct Sending {
    message: Option<Unfinished>,
}

/// A message of which chunks were sent and more are to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfinished {
    kind: MessageKind,
    utf8: Utf8,
    bytes: u64,
}

impl Sending {
    pub(super) fn new(message: Option<Unfinished>) -> Self {
        Self { message }
    }

    pub(super) fn unfinished(self) -> Option<Unfinished> {
        self.message
    }

    /// Checks the next chunk and advances past it. `bytes_max` limits the message.
    ///
    /// # Errors
    ///
    /// Fails if the chunk cannot come next: it is of another kind, the text is not UTF-8, or the
    /// message becomes too large. The progress is unchanged then.
    pub fn advance(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        bytes_max: u64,
    ) -> Result<(), SendError> {
        let mut message = self.message.unwrap_or_else(|| Unfinished {
            kind,
            utf8: Utf8::default(),
            bytes: 0,
        });
        if message.kind != kind {
            return Err(SendError::MessageUnfinished);
        }
        message.bytes = message.bytes.saturating_add(data.len() as u64);
        if message.bytes > bytes_max {
            return Err(SendError::TooLarge { limit: bytes_max });
        }
        if kind == MessageKind::Text {
            message
                .utf8
                .push(data, |_| {})
                .map_err(|_| SendError::InvalidText)?;
            if fin {
                message.utf8.finish().map_err(|_| SendError::InvalidText)?;
            }
        }
        self.message = (!fin).then_some(message);
        Ok(())
    }

    /// Returns true while more chunks of the message are to come.
    pub fn is_unfinished(&self) -> bool {
        self.message.is_some()
    }
}
