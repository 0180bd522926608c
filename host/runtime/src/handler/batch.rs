//! Several messages of a connection in one call, where they arrived together and the handler can take them so.
//!
//! A call into a component costs more than what a small handler does with a message. A call with many messages is still all or nothing:
//! when it fails it has had no effect, and each of the messages is given alone to the instance that follows, so that the one that fails
//! again is what is counted and closed for.

use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Handler;
use super::hosted::Hosted;
use super::place::Place;
use super::queue::{Event, cost};
use super::recover::InHand;
use crate::session::Session;
use wsrun_contract::guest::{Guest as _, GuestFactory};
use wsrun_contract::packed::PREFIX_BYTES;
use wsrun_os::clock;

/// Messages in one call, at most.
const MESSAGES_MAX: usize = 64;

/// Bytes in one call, at most: what is larger is copied for longer than a call takes.
const BYTES_MAX: usize = 32 * 1024;

/// How many messages a handler may be given at once.
///
/// A call with many has the time of one callback, and whoever needs longer for each would be stopped for all together. So it is given as
/// many as it needs a quarter of that time for, by what it took last, and at most twice as many as then.
#[derive(Debug)]
pub(super) struct Pace {
    messages_max: usize,
    /// Messages to be given alone until it is tried again.
    alone: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            messages_max: FIRST,
            alone: 0,
        }
    }
}

const FIRST: usize = 2;

/// Messages that a slow handler is given alone before it is tried again.
const ALONE: usize = 1_000;

impl Pace {
    /// How many of `messages`, more than one, are to be given at once; 1 for none.
    fn take(&mut self, messages: usize) -> usize {
        if self.alone > 0 {
            self.alone -= 1;
            return 1;
        }
        messages.min(self.messages_max)
    }

    /// So many took so long, and all of them may take `limit`.
    fn took(&mut self, messages: usize, time: Duration, limit: Duration) {
        let each = time.as_nanos() / messages as u128;
        let fit = (limit.as_nanos() / 4)
            .checked_div(each)
            .unwrap_or(u128::MAX);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        self.messages_max = fit
            .min(messages * 2)
            .max(self.messages_max.min(fit))
            .min(MESSAGES_MAX);
        if self.messages_max < 2 {
            self.failed();
        }
    }

    #[inline]
    pub(super) fn failed(&mut self) {
        *self = Self {
            messages_max: FIRST,
            alone: ALONE,
        };
    }
}

impl Handler {
    /// Delivers the first of `events` in one call, if they are several messages of one connection. Returns how many of those that are left
    /// are to be delivered one by one.
    pub(super) async fn deliver_packed<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        events: &mut std::vec::Drain<'_, Event>,
        data: &[u8],
    ) -> usize {
        let Some(run) = self.run(place, events.as_slice()) else {
            return 0;
        };
        let messages = place.pace.take(run.messages);
        if messages < 2 {
            return 1;
        }
        let all = events.as_slice();
        let (Some((session, _)), Some((_, last))) = (
            all.first().and_then(received),
            all.get(messages - 1).and_then(received),
        ) else {
            return 1;
        };
        let bytes = run.start..last.end;
        let (connection, room) = (session.id, session.sure_room());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        if self.registry.limits().resilience.hibernate_after.is_some() {
            self.last_event.set(clock::now());
        }
        let Some(guest) = &mut place.guest else {
            return messages;
        };
        let begun = Instant::now();
        self.in_hand.set(InHand::Of(connection, 0));
        match guest.received_packed(connection, &data[bytes], room).await {
            Ok(()) => {
                let limit = self.registry.limits().compute.callback_timeout;
                place.pace.took(messages, begun.elapsed(), limit);
                self.registry.tally().callbacks.add(1);
                self.apply(place).await;
                settle(events.by_ref().take(messages));
                0
            }
            Err(error) => {
                // What fails again is told as the error that it is; if nothing does, this is all that tells of a lost instance.
                tracing::warn!(
                    handler = %self.registry.name(), connection, messages,
                    "a call with several messages failed, and each is given alone to another instance: {error}"
                );
                place.pace.failed();
                if let Some(mut guest) = place.guest.take() {
                    guest.clear_effects();
                }
                messages
            }
        }
    }

    /// The messages of one connection that `events` begin with, if they are several and can be given at once.
    fn run<F: GuestFactory>(&self, place: &Place<F>, events: &[Event]) -> Option<Run> {
        let takes = |guest: &Hosted<F::Guest>| guest.capabilities().packed;
        if !place.guest.as_ref().is_some_and(takes)
            || place.previous.is_some()
            || !place.unknown.is_empty()
        {
            return None;
        }
        let (first, payload) = received(events.first()?)?;
        if first.failed.get() {
            return None;
        }
        let start = payload.start - PREFIX_BYTES;
        let mut run = Run { messages: 1, start };
        let mut end = payload.end;
        for event in &events[1..] {
            let follows = received(event).filter(|(session, payload)| {
                session.id == first.id
                    && payload.start == end + PREFIX_BYTES
                    && payload.end - start <= BYTES_MAX
            });
            let Some((_, payload)) = follows else {
                break;
            };
            if run.messages == MESSAGES_MAX {
                break;
            }
            run.messages += 1;
            end = payload.end;
        }
        (run.messages > 1).then_some(run)
    }
}

struct Run {
    messages: usize,
    /// Where the first begins, with what stands before its payload.
    start: usize,
}

/// What follows messages of one connection that were answered.
fn settle(events: impl Iterator<Item = Event>) {
    let (mut bytes, mut of) = (0, None);
    for event in events {
        if let Event::Received {
            session, payload, ..
        } = event
        {
            bytes += cost(payload.len());
            of = Some(session);
        }
    }
    if let Some(session) = of {
        session.settle_event_bytes(bytes);
    }
}

fn received(event: &Event) -> Option<(&Rc<Session>, &Range<usize>)> {
    if let Event::Received {
        session, payload, ..
    } = event
    {
        return Some((session, payload));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    #[test]
    fn quick_handler_is_given_twice_as_many_each_time_up_to_a_limit() {
        let mut pace = Pace::default();
        let mut given = Vec::new();
        for _ in 0..8 {
            let messages = pace.take(1_000);
            given.push(messages);
            pace.took(messages, Duration::from_micros(10), LIMIT);
        }
        assert_eq!(given, [2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn few_messages_at_once_take_nothing_back() {
        let mut pace = Pace::default();
        for _ in 0..8 {
            let messages = pace.take(1_000);
            pace.took(messages, Duration::from_micros(10), LIMIT);
        }
        pace.took(2, Duration::from_micros(10), LIMIT);
        assert_eq!(pace.take(1_000), MESSAGES_MAX);
    }

    #[test]
    fn slow_handler_is_given_what_it_does_in_a_quarter_of_its_time() {
        let mut pace = Pace::default();
        pace.took(2, Duration::from_millis(10), LIMIT);
        assert_eq!(pace.take(1_000), 4, "twice as many");
        pace.took(4, Duration::from_millis(20), LIMIT);
        assert_eq!(pace.take(1_000), 5, "25 ms");
    }

    #[test]
    fn one_that_takes_most_of_its_time_for_each_is_given_each_alone() {
        let mut pace = Pace::default();
        pace.took(2, Duration::from_millis(120), LIMIT);
        for _ in 0..ALONE {
            assert_eq!(pace.take(1_000), 1);
        }
        assert_eq!(pace.take(1_000), FIRST);
    }
}
