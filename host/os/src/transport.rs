//! The seam between a session and the bytes under it.

pub mod memory;

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::task::{Context, Poll};

/// The byte stream under a connection whose opening handshake is done.
///
/// A poll that returns `Pending` has registered the waker of `cx`.
pub trait Transport {
    /// Reads into `buffer` and returns how many bytes that were. Zero is the end of the peer's side.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes as much of `slices`, of which there is at least one, as the transport takes now.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Passes on what the transport itself has buffered.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends this side.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Returns true when the transport has failed, without reading from it: a connection that is
    /// not read would not notice.
    fn has_failed(&self) -> bool {
        false
    }

    /// Returns how many bytes were written that the peer has not taken yet. Returns none where
    /// nobody keeps them in between.
    fn untaken_bytes(&self) -> Option<usize> {
        None
    }

    /// Returns the file descriptor of the socket, if there is one.
    fn raw_fd(&self) -> Option<RawFd> {
        None
    }
}

/// The transport of a session that has none yet: reads and writes wait forever.
#[derive(Clone, Copy, Debug)]
pub struct Unconnected;

impl Transport for Unconnected {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_session_without_transport_waits() {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Unconnected.poll_read(cx, &mut [0]).is_pending());
        assert!(
            Unconnected
                .poll_write(cx, &[IoSlice::new(b"x")])
                .is_pending()
        );
        assert!(Unconnected.poll_flush(cx).is_pending());
        assert!(Unconnected.poll_shutdown(cx).is_pending());
        assert!(!Unconnected.has_failed() && Unconnected.raw_fd().is_none());
    }
}
