//! The place of an instance: who is in it, who was before and may come back, and which connections it has yet to be told of.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::batch::Pace;
use super::hosted::Hosted;
use super::swap::Extras;
use wsrun_contract::ConnectionId;
use wsrun_contract::guest::GuestFactory;
use wsrun_os::clock;

/// After an instance that could not be made, or a handler that failed too often, the wait before the next try: doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

pub(super) struct Place<F: GuestFactory> {
    pub(super) factory: Rc<F>,
    pub(super) guest: Option<Hosted<F::Guest>>,
    /// Connections of earlier instances that this one has not been told of.
    pub(super) unknown: BTreeSet<ConnectionId>,
    /// The version before, while the new one is on trial.
    pub(super) previous: Option<Previous<F>>,
    retry: Duration,
    pub(super) retry_at: Option<Instant>,
    /// The last instance failed: to make the next one is part of that.
    pub(super) failed: bool,
    /// How many messages it may be given at once.
    pub(super) pace: Pace,
}

/// A version that can take its place again.
pub(super) struct Previous<F: GuestFactory> {
    pub(super) factory: Rc<F>,
    /// None where it slept or was failing: another is made if it comes back.
    pub(super) guest: Option<Hosted<F::Guest>>,
    pub(super) unknown: BTreeSet<ConnectionId>,
    pub(super) extras: Extras,
    /// Callbacks that the new version has yet to survive.
    pub(super) left: u32,
    /// Told how the trial went, once.
    pub(super) tried: Option<oneshot::Sender<Result<(), String>>>,
}

impl<F: GuestFactory> Place<F> {
    /// With an instance, or with one that is made for the first event.
    pub(super) fn new(factory: Rc<F>, guest: Option<Hosted<F::Guest>>) -> Self {
        Self {
            factory,
            guest,
            unknown: BTreeSet::new(),
            previous: None,
            retry: RETRY_MIN,
            retry_at: None,
            failed: false,
            pace: Pace::default(),
        }
    }

    /// Whether nothing would be lost with it.
    #[inline]
    pub(super) fn is_asleep(&self) -> bool {
        self.guest.is_none() && self.previous.is_none() && self.retry_at.is_none()
    }

    /// Whether it is too early to make another instance.
    #[inline]
    pub(super) fn must_wait(&self) -> bool {
        self.retry_at.is_some_and(|at| clock::now() < at)
    }

    #[inline]
    pub(super) fn made(&mut self, guest: Hosted<F::Guest>) {
        self.guest = Some(guest);
        self.retry = RETRY_MIN;
        self.retry_at = None;
    }

    #[inline]
    pub(super) fn not_made(&mut self) {
        self.retry_at = Some(clock::now() + self.retry);
        self.retry = (self.retry * 2).min(RETRY_MAX);
    }

    /// Every connection that some instance was told of has to be told to this one.
    #[inline]
    pub(super) fn inherit(&mut self, told: BTreeSet<ConnectionId>) {
        self.unknown = told;
    }

    /// A connection was told to the instance by its first event.
    #[inline]
    pub(super) fn knows(&mut self, connection: ConnectionId) {
        if let Some(previous) = &mut self.previous {
            previous.unknown.insert(connection);
        }
    }

    /// The connection is gone.
    #[inline]
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.unknown.remove(&connection);
        if let Some(previous) = &mut self.previous {
            previous.unknown.remove(&connection);
        }
    }

    /// Counts a callback of a version on trial that went well.
    pub(super) fn survive(&mut self) {
        if let Some(previous) = &mut self.previous {
            previous.left = previous.left.saturating_sub(1);
            if previous.left == 0
                && let Some(tried) = previous.tried.take()
            {
                let _ = tried.send(Ok(()));
            }
        }
    }

    /// The version before, if the one that is here fails its trial.
    #[inline]
    pub(super) fn failed_trial(&mut self) -> Option<Previous<F>> {
        self.previous.take_if(|previous| previous.tried.is_some())
    }
}

/// How often the handler has failed lately, and what that cost.
#[derive(Debug)]
pub(super) struct Failures {
    /// When, and what the host has computed for it.
    at: VecDeque<(Instant, Duration)>,
    backoff: Duration,
    /// When it was last left alone until: the first failure a window later is a new beginning.
    calm_from: Option<Instant>,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            at: VecDeque::new(),
            backoff: BACKOFF_MIN,
            calm_from: None,
        }
    }
}

impl Failures {
    /// Counts one, for which the host has computed so long. When they are more than `max` within `window`, or have taken more than their
    /// share of it: how long the handler is to be left alone.
    pub(super) fn count(
        &mut self,
        now: Instant,
        took: Duration,
        max: usize,
        window: Duration,
    ) -> Option<Duration> {
        while self
            .at
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > window)
        {
            self.at.pop_front();
        }
        if self.calm_from.is_some_and(|from| now > from + window) {
            self.backoff = BACKOFF_MIN;
        }
        self.at.push_back((now, took));
        let took: Duration = self.at.iter().map(|(_, took)| *took).sum();
        if self.at.len() <= max && took <= (window / WINDOW_SHARE).max(FAILING_MIN) {
            return None;
        }
        self.at.clear();
        let backoff = self.backoff;
        self.calm_from = Some(now + backoff);
        self.backoff = (backoff * 2).min(BACKOFF_MAX);
        Some(backoff)
    }
}

/// Of the window, what the host computes for failures before the handler is left alone: a tenth of its worker's time.
const WINDOW_SHARE: u32 = 10;
/// In a short window too, so that a few failures are none too many.
const FAILING_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);
    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn handler_is_left_alone_after_more_failures_than_may_be_within_the_window() {
        let mut failures = Failures::default();
        let start = Instant::now();
        assert_eq!(failures.count(start, QUICK, 2, WINDOW), None);
        assert_eq!(failures.count(start, QUICK, 2, WINDOW), None);
        let later = start + WINDOW + Duration::from_secs(1);
        assert_eq!(failures.count(later, QUICK, 2, WINDOW), None);
        assert_eq!(failures.count(later, QUICK, 2, WINDOW), None);
        assert_eq!(failures.count(later, QUICK, 2, WINDOW), Some(BACKOFF_MIN));
    }

    #[test]
    fn wait_doubles_until_a_window_has_passed_without_failure() {
        let mut failures = Failures::default();
        let start = Instant::now();
        assert_eq!(failures.count(start, QUICK, 0, WINDOW), Some(BACKOFF_MIN));
        let soon = start + BACKOFF_MIN;
        assert_eq!(
            failures.count(soon, QUICK, 0, WINDOW),
            Some(BACKOFF_MIN * 2)
        );
        let late = soon + BACKOFF_MIN * 2 + WINDOW + Duration::from_millis(1);
        assert_eq!(failures.count(late, QUICK, 0, WINDOW), Some(BACKOFF_MIN));
    }

    #[test]
    fn handler_that_fails_slowly_is_left_alone_as_one_that_fails_often() {
        let mut failures = Failures::default();
        let start = Instant::now();
        let slow = Duration::from_millis(300);
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            assert_eq!(failures.count(now, slow, 50, WINDOW), None);
        }
        let now = start + Duration::from_secs(3);
        assert_eq!(failures.count(now, slow, 50, WINDOW), Some(BACKOFF_MIN));
        let mut failures = Failures::default();
        for second in 0..60 {
            let now = start + Duration::from_secs(second * 4);
            assert_eq!(failures.count(now, slow, 50, WINDOW), None);
        }
    }
}
