//! The end of a transport.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Driver, FAR, READS_PER_TURN};

/// How far reading and throwing away came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Discarded {
    /// There may be more.
    SoFar,
    /// The peer's side has ended.
    ToTheEnd,
    TooMuch,
}

impl Driver {
    /// Ends the transport of a finished connection: what is queued goes out, then our side is shut, then the peer's end is awaited. In the
    /// client role the server ends first (RFC 6455, 7.1.1).
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        if self.session.broken.get() || self.is_overdue() || self.session.is_aborted() {
            return Poll::Ready(());
        }
        let discarded = self.poll_discard(cx, now);
        match discarded {
            Discarded::SoFar => {}
            Discarded::ToTheEnd => self.session.connection.borrow_mut().handle_eof(now),
            Discarded::TooMuch => return Poll::Ready(()),
        }
        if self.session.is_flushed() && !self.shut_down {
            if !self.session.connection.borrow().is_drained() {
                // Nothing of ours is to come any more.
                self.writing = None;
                return Poll::Pending;
            }
            match self.session.transport.borrow_mut().poll_shutdown(cx) {
                Poll::Ready(Ok(())) => {
                    self.shut_down = true;
                    self.writing = None;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if self.shut_down && discarded == Discarded::ToTheEnd {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Reads what the peer still sends, and throws it away: a socket that is closed with something unread is reset, and a peer that is still
    /// writing would lose the close frame to that.
    fn poll_discard(&mut self, cx: &mut Context<'_>, now: Instant) -> Discarded {
        let timeouts = &self.worker.settings.timeouts;
        let patience = timeouts.message_timeout.unwrap_or(DISCARD_TIME);
        let mut buffer = self.worker.take_read_buffer();
        let mut transport = self.session.transport.borrow_mut();
        let (mut length, mut reads) = (0, 0);
        let end = loop {
            if reads == READS_PER_TURN {
                cx.waker().wake_by_ref();
                break Discarded::SoFar;
            }
            reads += 1;
            match transport.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(read)) if read > 0 => length += read,
                Poll::Ready(Ok(_) | Err(_)) => break Discarded::ToTheEnd,
                Poll::Pending => break Discarded::SoFar,
            }
        };
        drop(transport);
        self.worker.give_read_buffer(buffer);
        if length == 0 {
            return end;
        }
        let rare = self.rare.get_or_insert_default();
        rare.discarded += length;
        let until = *rare
            .discard_until
            .get_or_insert_with(|| now.checked_add(patience).unwrap_or(now + FAR));
        if now < until {
            self.session.connection.borrow_mut().handle_progress(now);
        }
        if rare.discarded > DISCARD_BYTES_MAX && end == Discarded::SoFar {
            return Discarded::TooMuch;
        }
        end
    }

    /// Whether a finished connection has had its time.
    fn is_overdue(&self) -> bool {
        self.session.connection.borrow().poll_timeout().is_none()
    }
}

/// Of a finished connection, what is read and thrown away at most, and for how long where messages have no such time.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(30);
