//! Memory that the connections of one thread share.

use std::fmt;

use super::buffers::MessageBuffers;
use super::deflate::Pool;
use super::frame::CONTROL_BYTES_MAX;
use super::partial::Partial;

/// Buffers, compression contexts and masking keys that the connections of one thread use in turn,
/// so that a connection between two messages holds none.
pub struct Scratch {
    pub(super) messages: MessageBuffers,
    /// The payload of the control frame that arrived last.
    pub(super) control: [u8; CONTROL_BYTES_MAX],
    pub(super) control_len: usize,
    /// The buffer for one step of inflating or deflating.
    pub(super) step: Box<[u8]>,
    /// The message that was compressed last, to be sent.
    pub(super) compressed: Vec<u8>,
    pub(super) pool: Pool,
    #[expect(
        clippy::vec_box,
        reason = "they move between here and the connections, each of which holds a pointer"
    )]
    partials: Vec<Box<Partial>>,
    mask_keys: Option<Box<dyn FnMut() -> [u8; 4]>>,
}

impl Scratch {
    /// Makes a scratch for connections in the server role.
    pub fn new() -> Self {
        Self {
            messages: MessageBuffers::default(),
            control: [0; CONTROL_BYTES_MAX],
            control_len: 0,
            step: Box::default(),
            compressed: Vec::new(),
            pool: Pool::default(),
            partials: Vec::new(),
            mask_keys: None,
        }
    }

    /// Makes a scratch for connections in both roles. `mask_keys` generates the masking keys of the
    /// client role.
    ///
    /// RFC 6455, 5.3: the key "MUST be derived from a strong source of entropy".
    pub fn with_mask_keys(mask_keys: impl FnMut() -> [u8; 4] + 'static) -> Self {
        Self {
            mask_keys: Some(Box::new(mask_keys)),
            ..Self::new()
        }
    }

    /// Returns the payload of the control frame that arrived last.
    pub(super) fn control(&self) -> &[u8] {
        &self.control[..self.control_len]
    }

    /// Returns a masking key.
    ///
    /// # Panics
    ///
    /// Panics if there is no source of keys: the driver must not run the client role on this
    /// scratch.
    pub(super) fn mask_key(&mut self) -> [u8; 4] {
        let keys = self
            .mask_keys
            .as_mut()
            .expect("the client role needs Scratch::with_mask_keys");
        keys()
    }

    pub(super) fn take_partial(&mut self) -> Box<Partial> {
        self.partials.pop().unwrap_or_default()
    }

    /// Keeps the allocation of a partial message that is complete, for the next one.
    pub(super) fn return_partial(&mut self, partial: Box<Partial>) {
        if self.partials.len() < POOLED_MAX {
            self.partials.push(partial);
        }
    }

    /// Frees the compressed message if it is large.
    pub(super) fn shrink_compressed(&mut self) {
        if self.compressed.capacity() > COMPRESSED_BYTES_MAX {
            self.compressed = Vec::new();
        }
    }

    /// Returns the buffer for one step of inflating or deflating.
    pub(super) fn step_buffer(&mut self) -> &mut [u8] {
        if self.step.is_empty() {
            self.step = vec![0; STEP_BYTES].into_boxed_slice();
        }
        &mut self.step
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// The most bytes that are inflated or deflated at once. Limits are checked in between.
const STEP_BYTES: usize = 16 << 10;
/// The largest capacity of the buffer for compressed messages that is kept.
const COMPRESSED_BYTES_MAX: usize = 256 << 10;
/// The most partial messages that are kept.
const POOLED_MAX: usize = 8;
