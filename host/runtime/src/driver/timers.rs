//! What is due for a connection, and how long its peer is waited for.

use std::task::Context;
use std::time::{Duration, Instant};

use wsrun_proto::ws::{CloseFrame, State};

use super::{Driver, FAR, Stop};
use wsrun_contract::ClosedBy;
use wsrun_os::clock;

impl Driver {
    /// Runs what is due and notes when the next is, in a turn that began then. At the end of a turn that has read all that it may,
    /// which is later, the socket was looked at already. True when something happened.
    pub(super) fn poll_timers(
        &mut self,
        cx: &mut Context<'_>,
        asked: Instant,
        turn_began: Instant,
    ) -> bool {
        self.deadline = self.next_deadline(asked);
        if self.deadline > asked {
            return false;
        }
        let now = clock::now();
        // Far away until the next look says otherwise.
        self.deadline = now + FAR;
        if let Some(due) = self.patience_ends()
            && due <= now
        {
            // Not what the turn itself has taken: a peer that floods makes its own turns long, and gets no time for it.
            if clock::is_late(due, turn_began) {
                self.forgive(now);
            } else if !self.looked_again && asked == turn_began {
                // A process that was stopped sees its timers before its sockets.
                self.looked_again = true;
                clock::wake_after_others(cx);
                return false;
            }
        }
        self.looked_again = false;
        if let Stop::At(at) = self.stop
            && now >= at
        {
            self.stop = Stop::Done;
            self.close_for_the_end();
        }
        if self.next_look_at_untaken().is_some_and(|at| at <= now) {
            self.look_at_untaken(now);
        }
        let stalled = self.session.stalled_since.get();
        let limit = self.worker.settings.write_timeout;
        if stalled.is_some_and(|since| now.saturating_duration_since(since) >= limit) {
            self.session.abort(ClosedBy::Host, "peer does not read");
            self.session.broken.set(true);
        } else {
            self.looked = now;
            if self.session.transport.borrow().has_failed() {
                self.session.broken.set(true);
            }
            self.session.connection.borrow_mut().handle_timeout(now);
            self.session.mark_dirty();
            self.worker.flush();
        }
        true
    }

    /// When the next of what the peer is waited for is to be judged.
    fn patience_ends(&self) -> Option<Instant> {
        let core = self.session.connection.borrow().poll_timeout();
        let rest = self.rare.as_ref().and_then(|rare| rare.read_until);
        let look = self.next_look_at_untaken();
        core.into_iter().chain(rest).chain(look).min()
    }

    /// Gives the peer all its time again: this process was not there to see what it did.
    fn forgive(&mut self, now: Instant) {
        let session = &self.session;
        session.connection.borrow_mut().handle_standstill(now);
        if session.stalled_since.get().is_some() {
            session.stalled_since.set(Some(now));
        }
        let timeout = self.worker.settings.timeouts.close_timeout;
        if let Some(rare) = &mut self.rare {
            rare.looked = None;
            if rare.read_until.is_some() {
                rare.read_until = now.checked_add(timeout);
            }
        }
    }

    /// Since when the peer has taken nothing of what it is to take, and after what time it is looked at what the kernel still holds.
    fn untaken_since(&self) -> Option<(Instant, Duration)> {
        let settings = &self.worker.settings;
        let stalled = self.session.stalled_since.get();
        let stalled = stalled.map(|since| (since, settings.write_timeout / LOOKS));
        let connection = self.session.connection.borrow();
        if connection.state() == State::Open {
            return stalled;
        }
        // Its time to end begins anew whenever it takes something.
        let timeout = settings.timeouts.close_timeout;
        let ends = connection.poll_timeout();
        let Some(since) = ends.and_then(|ends| ends.checked_sub(timeout)) else {
            return stalled;
        };
        let closing = (since, timeout / LOOKS);
        Some(stalled.map_or(closing, |stalled| {
            (stalled.0.max(closing.0), stalled.1.min(closing.1))
        }))
    }

    fn next_look_at_untaken(&self) -> Option<Instant> {
        let (since, interval) = self.untaken_since()?;
        let looked = self.rare.as_ref().and_then(|rare| rare.looked);
        looked
            .map_or(since, |at| at.max(since))
            .checked_add(interval)
    }

    /// Looks whether the peer has taken something since the last look: a peer that reads slowly does, long before the socket takes more.
    fn look_at_untaken(&mut self, now: Instant) {
        let Some((since, _)) = self.untaken_since() else {
            return;
        };
        let untaken = self.session.transport.borrow().untaken_bytes();
        let rare = self.rare.get_or_insert_default();
        let is_first = rare.looked.replace(now).is_none_or(|at| at < since);
        let before = std::mem::replace(&mut rare.untaken, untaken);
        let (Some(before), Some(after)) = (before.or(untaken), untaken) else {
            return;
        };
        let takes = !is_first && after < before;
        let session = &self.session;
        // What came before the first look is not known: nobody is given up for it.
        if session.stalled_since.get().is_some() && (takes || is_first) {
            session.stalled_since.set(Some(now));
        }
        if takes {
            session.connection.borrow_mut().handle_progress(now);
        }
    }

    fn close_for_the_end(&self) {
        self.handler.registry.leave(self.session.id);
        let code = self.worker.settings.drain_close_code;
        let close = CloseFrame::new(code, "server is shutting down");
        self.session.close(
            ClosedBy::Host,
            close.unwrap_or_else(|_| CloseFrame::empty()),
        );
        self.worker.flush();
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let far = now + FAR;
        let look = (!self.session.receive_flow.get() && !self.told).then_some(self.looked + LOOK);
        let rate = self.rate_until.filter(|until| *until > now);
        let sends = (self.session.want_writable.get() && !self.told)
            .then(|| self.handler.registry.usage().may_send_at())
            .flatten();
        let stop = match self.stop {
            Stop::At(at) => Some(at),
            Stop::No | Stop::Done => None,
        };
        self.patience_ends()
            .into_iter()
            .chain(stop)
            .chain(rate)
            .chain(sends)
            .chain(look)
            .fold(far, Instant::min)
    }
}

/// How often a connection that the handler does not want to be read is looked at for a transport that failed.
const LOOK: Duration = Duration::from_secs(1);

/// In the time that a peer may take nothing, it is looked so often at what the kernel holds for it.
const LOOKS: u32 = 4;
