//! A new version in the place of the old one, while the sockets stay.
//!
//! ```text
//! make, started ──▶ save (old) ──▶ restore (new) ──▶ resumed… ──▶ trial: N callbacks ──▶ kept
//!        │               │              │                 └── failed ──▶ the old one again, with the event that failed
//!        └───────────────┴── failed ────┴──▶ the old one goes on
//! ```
//!
//! The new instance is made and started beside the old one, which goes on meanwhile; events wait only from `save` to the end of `restore`.
//! What `started` and `restore` asked for is carried out when the new version has taken over, or never.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::oneshot;

use super::Handler;
use super::hosted::Hosted;
use super::place::{Place, Previous};
use super::queue::Own;
use super::recover::InHand;
use super::requests::RequestInstances;
use wsrun_contract::guest::{Guest as _, GuestFactory};
use wsrun_contract::{Callback, CallbackError, Capabilities, ConnectionId, Limit, Setting};
use wsrun_metrics::text::Line;
use wsrun_os::clock;

/// What a version is beside its instances.
#[derive(Clone)]
pub struct Extras {
    pub exports: Capabilities,
    /// Makes an instance for each plain request, where the handler exports `wasi:http/incoming-handler`.
    pub incoming: Option<Rc<RequestInstances>>,
}

/// How a swap is judged.
#[derive(Debug)]
pub struct Trial {
    /// Callbacks that the new version has to survive.
    pub callbacks: u32,
    /// Told when the new version has taken over, or why it has not.
    pub switched: oneshot::Sender<Result<(), String>>,
    /// Told when it has survived its callbacks, or why the old one is back.
    pub tried: oneshot::Sender<Result<(), String>>,
}

/// A version that waits for its turn.
pub(super) struct Next {
    /// A [`Version`] of the factory that the handler lives with.
    version: Box<dyn Any>,
    extras: Extras,
    trial: Trial,
}

struct Version<F: GuestFactory> {
    factory: Rc<F>,
    /// None for a seat, whose instance is made when its turn comes.
    guest: Option<Hosted<F::Guest>>,
}

/// The version before the one that is on trial, as new seats begin with it.
pub(super) struct Before {
    restore: Box<dyn FnOnce()>,
    exports: Capabilities,
}

impl Handler {
    /// Makes an instance of a new version beside the old one, and has it take over when the events before are done.
    pub async fn begin_swap<F: GuestFactory>(&self, factory: F, extras: Extras, trial: Trial) {
        match self.make_beside(&factory).await {
            Ok(guest) => {
                let factory = Rc::new(factory);
                let seats = self.awake_seats();
                self.begin_lives_with(&factory, extras.exports);
                let mut trials = joined(trial, seats.len() + 1).into_iter();
                for (seat, trial) in seats.iter().zip(&mut trials) {
                    let extras = Extras {
                        exports: extras.exports,
                        incoming: None,
                    };
                    seat.push_version::<F>(&factory, None, extras, trial);
                }
                let trial = trials.next().expect("there is one more than seats");
                self.push_version(&factory, Some(guest), extras, trial);
            }
            Err(error) => {
                let _ = trial.switched.send(Err(failed("does not start", &error)));
            }
        }
    }

    /// Keeps the version that has taken over, or has the one before come back. Told through `reply`: an error says why the new version is
    /// gone already.
    pub fn settle_swap(&self, keep: bool, reply: oneshot::Sender<Result<(), String>>) {
        let before = self.before.borrow_mut().take();
        if let Some(before) = before
            && !keep
        {
            if self.has_seats() {
                self.exports.set(before.exports);
            }
            (before.restore)();
        }
        for seat in self.awake_seats() {
            let (reply, _) = oneshot::channel();
            seat.push_own(Own::Settle { keep, reply });
        }
        self.push_own(Own::Settle { keep, reply });
    }

    /// Whether a version is on trial, or about to be.
    #[inline]
    pub fn has_trial(&self) -> bool {
        self.before.borrow().is_some()
    }

    /// An instance for a plain request has failed. Ends when that is counted: true where its version was on trial, and is given up for it.
    pub async fn note_request_failed(
        &self,
        incoming: Rc<RequestInstances>,
        error: CallbackError,
    ) -> bool {
        let (given_up, verdict) = oneshot::channel();
        let error = Box::new(error);
        self.push_own(Own::RequestFailed {
            incoming,
            error,
            given_up,
        });
        verdict.await.unwrap_or(false)
    }

    /// The new version's turn.
    pub(super) async fn take_over<F: GuestFactory>(&self, place: &mut Place<F>, next: Next) {
        let Next {
            version,
            extras,
            trial,
        } = next;
        let Ok(version) = version.downcast::<Version<F>>() else {
            unreachable!("versions of a handler are made by factories of one type");
        };
        let Version { factory, guest } = *version;
        if place.previous.is_some() {
            let text = "another version is on trial: try again when it is over".to_owned();
            let _ = trial.switched.send(Err(text));
            return;
        }
        if self.is_seat() && place.guest.is_none() {
            place.factory = factory;
            self.replace_extras(extras);
            let _ = trial.switched.send(Ok(()));
            let _ = trial.tried.send(Ok(()));
            return;
        }
        let made = match guest {
            Some(guest) => Ok(guest),
            None => self.make_beside(&*factory).await,
        };
        let mut guest = match made {
            Ok(guest) => guest,
            Err(error) => {
                let _ = trial.switched.send(Err(failed("does not start", &error)));
                return;
            }
        };
        let began = clock::now();
        if let Err(text) = self.hand_over(place, &mut guest).await {
            self.registry.tally().swaps_given_up.add(1);
            let _ = trial.switched.send(Err(text));
            return;
        }
        let effects = guest.take_effects();
        guest.reserved().set_beside(false);
        let old = place.guest.replace(guest);
        let old_factory = std::mem::replace(&mut place.factory, factory);
        let old_unknown = std::mem::take(&mut place.unknown);
        let old_extras = self.replace_extras(extras);
        place.retry_at = None;
        self.registry.set_backed_off(None);
        place.inherit(self.told());
        place.previous = Some(Previous {
            factory: old_factory,
            guest: old,
            unknown: old_unknown,
            extras: old_extras,
            left: trial.callbacks,
            tried: Some(trial.tried),
        });
        tracing::info!(
            handler = %self.registry.name(), paused_us = clock::now().saturating_duration_since(began).as_micros(), connections = place.unknown.len(),
            "a new version has taken over, on trial for {} callbacks", trial.callbacks
        );
        let _ = trial.switched.send(Ok(()));
        self.apply_beside(effects).await;
    }

    /// Takes the state out of the old instance and puts it into the new one.
    async fn hand_over<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        guest: &mut Hosted<F::Guest>,
    ) -> Result<(), String> {
        let Some(old) = &mut place.guest else {
            return Ok(());
        };
        let state = match old.call(Callback::Save).await {
            Ok(answer) => answer.into_state().unwrap_or_default(),
            Err(error) => {
                self.replace(place, Callback::Save.name(), None, &error)
                    .await;
                return Err(failed("the old version does not save its state", &error));
            }
        };
        self.apply(place).await;
        let limit = self.registry.limits().memory.state_bytes_max;
        if state.len() > limit {
            self.registry.note_limit(Limit::State);
            return Err(format!(
                "the old version saved {} bytes of state: {state_bytes_max} is {limit}",
                state.len(),
                state_bytes_max = Setting("memory.state_bytes_max")
            ));
        }
        if state.is_empty() {
            return Ok(());
        }
        match guest.call(Callback::Restore(&state)).await {
            Ok(answer) => answer
                .into_restored()
                .unwrap_or(Ok(()))
                .map_err(|text| format!("it does not take the state over: {}", Line(text))),
            Err(error) => Err(failed("it does not take the state over", &error)),
        }
    }

    async fn make_beside<F: GuestFactory>(
        &self,
        factory: &F,
    ) -> Result<Hosted<F::Guest>, CallbackError> {
        let mut guest = self.make_hosted(factory).await?;
        guest.reserved().set_beside(true);
        guest.call(Callback::Started).await?;
        Ok(guest)
    }

    fn push_version<F: GuestFactory>(
        &self,
        factory: &Rc<F>,
        guest: Option<Hosted<F::Guest>>,
        extras: Extras,
        trial: Trial,
    ) {
        let version = Version {
            factory: Rc::clone(factory),
            guest,
        };
        let next = Next {
            version: Box::new(version),
            extras,
            trial,
        };
        self.push_own(Own::Swap(Box::new(next)));
    }

    /// Has lives begin with another version, until the end of its trial at least.
    fn begin_lives_with<F: GuestFactory>(&self, factory: &Rc<F>, exports: Capabilities) {
        let Some(current) = self.current::<F>() else {
            return;
        };
        let old = current.replace(Rc::clone(factory));
        let before = Before {
            restore: Box::new(move || drop(current.replace(old))),
            // A handler without seats changes them as the new version takes over.
            exports: match self.has_seats() {
                true => self.exports.replace(exports),
                false => self.exports.get(),
            },
        };
        *self.before.borrow_mut() = Some(before);
    }

    /// The factory that lives begin with, of a handler or of one of its seats.
    fn current<F: GuestFactory>(&self) -> Option<Rc<RefCell<Rc<F>>>> {
        let current = match self.handler_of_seat() {
            Some(handler) => handler.factory.get().cloned(),
            None => self.factory.get().cloned(),
        };
        current?.downcast().ok()
    }

    /// A seat that began its life with a version that was given up goes on with the one that serves.
    fn return_to_current<F: GuestFactory>(&self, place: &mut Place<F>) {
        let Some(current) = self.current::<F>() else {
            return;
        };
        let current = Rc::clone(&current.borrow());
        if Rc::ptr_eq(&current, &place.factory) {
            return;
        }
        place.factory = current;
        if let Some(handler) = self.handler_of_seat() {
            self.exports.set(handler.exports.get());
        }
        if let Some(mut guest) = place.guest.take() {
            guest.clear_effects();
        }
        place.unknown.clear();
    }

    fn replace_extras(&self, extras: Extras) -> Extras {
        self.registry.set_has_timers(extras.exports.timer_handler);
        if let Some(tell) = &*self.tell_exports.borrow() {
            tell.send_replace(extras.exports);
        }
        Extras {
            exports: self.exports.replace(extras.exports),
            incoming: self.incoming.replace(extras.incoming),
        }
    }

    /// Puts the version before back. Connections that it has not seen are told to it like inherited ones.
    pub(super) fn roll_back<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        previous: Previous<F>,
        why: &str,
    ) {
        if let Some(mut guest) = place.guest.take() {
            guest.clear_effects();
        }
        place.factory = previous.factory;
        place.guest = previous.guest;
        place.unknown = previous.unknown;
        if previous.extras.exports.plain_only {
            // Nobody would ever answer them.
            for connection in self.told() {
                self.fail(Some(connection));
            }
        }
        self.replace_extras(previous.extras);
        self.registry.tally().swaps_given_up.add(1);
        let (line, backtrace) = match why.split_once('\n') {
            Some((line, frames)) => (line, Some(tracing::field::display(frames))),
            None => (why, None),
        };
        tracing::error!(
            handler = %self.registry.name(), backtrace,
            "the new version was given up, the old one serves: {line}"
        );
        if let Some(tried) = previous.tried {
            let _ = tried.send(Err(why.to_owned()));
        }
    }

    /// Gives up a version whose callback failed during its trial. True: the old one is back, and the event is its.
    pub(super) fn gives_up_trial<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        callback: &str,
        error: &CallbackError,
    ) -> bool {
        let gives_up = self.fails_trial(place, callback, error);
        if gives_up {
            self.registry
                .metrics()
                .report_failure(callback, None, error);
        }
        gives_up
    }

    /// The same for a failure that is reported already.
    pub(super) fn fails_trial<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        callback: &str,
        error: &CallbackError,
    ) -> bool {
        let Some(previous) = place.failed_trial() else {
            return false;
        };
        let why = failed(&format!("it failed in {callback}"), error);
        self.roll_back(place, previous, &why);
        true
    }

    /// The end of a trial.
    pub(super) fn settle_trial<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        keep: bool,
    ) -> Result<(), String> {
        let Some(previous) = place.previous.take() else {
            if self.is_seat() && !keep {
                self.return_to_current(place);
            }
            return match keep {
                true => Err("the new version was given up already".into()),
                false => Ok(()),
            };
        };
        if keep {
            self.registry.tally().swaps.add(1);
            tracing::info!(handler = %self.registry.name(), "the new version serves");
            self.prepare_spare(Rc::clone(&place.factory));
            return Ok(());
        }
        self.roll_back(place, previous, "it failed on another worker");
        Ok(())
    }

    /// Tells the instance a few of the connections that it does not know yet: `at_least` so many, more while the slice lasts. False when
    /// it knows all.
    pub(super) async fn resume_some<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        at_least: usize,
    ) -> bool {
        let until = clock::now() + RESUME_SLICE;
        let mut resumed = 0;
        while let Some(connection) = place.unknown.first().copied() {
            self.in_hand.set(InHand::Of(connection, 0));
            self.resume(place, connection).await;
            resumed += 1;
            if (resumed >= at_least && clock::now() >= until) || place.guest.is_none() {
                break;
            }
        }
        !place.unknown.is_empty() && place.guest.is_some()
    }

    /// Tells the instance a connection, if it does not know it. One that fails for it is closed.
    pub(super) async fn resume<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        connection: ConnectionId,
    ) {
        if self.tell(place, connection).await {
            self.apply(place).await;
        }
    }

    /// The same, without carrying out what the callback asked for. True when there was one.
    pub(super) async fn tell<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        connection: ConnectionId,
    ) -> bool {
        if place.guest.is_none() {
            // It inherits when it is made.
            let _ = self.guest(place).await;
        }
        while place.unknown.remove(&connection) {
            // It failed under a version that is gone: nothing more is told of it but its end.
            let session = self.registry.get(connection);
            if session.is_none_or(|session| session.failed.get()) {
                return false;
            }
            let Some(guest) = self.guest(place).await else {
                self.fail(Some(connection));
                return false;
            };
            let callback = Callback::Resumed(connection);
            match guest.call(callback).await {
                Ok(_) => {
                    // Making the instance may have put it among the unknown ones again.
                    place.unknown.remove(&connection);
                    // It does not count for the trial: of many connections these calls alone would pass it before the first message.
                    return true;
                }
                // The old one may not know it either.
                Err(error) if self.gives_up_trial(place, callback.name(), &error) => {}
                Err(error) => {
                    self.replace(place, callback.name(), Some(connection), &error)
                        .await;
                }
            }
        }
        false
    }
}

/// Trials for so many instances, which together are one.
fn joined(trial: Trial, count: usize) -> Vec<Trial> {
    if count == 1 {
        return vec![trial];
    }
    let callbacks = trial.callbacks;
    let (mut trials, mut switches, mut tries) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let (switched, switch) = oneshot::channel();
        let (tried, verdict) = oneshot::channel();
        switches.push(switch);
        tries.push(verdict);
        trials.push(Trial {
            callbacks,
            switched,
            tried,
        });
    }
    tokio::task::spawn_local(async move {
        let switched = all(switches, false).await;
        let _ = trial.switched.send(switched);
        let tried = all(tries, true).await;
        let _ = trial.tried.send(tried);
    });
    trials
}

type Verdict = oneshot::Receiver<Result<(), String>>;

/// Waits for all, or with `hasty` until one has failed. Who is gone without a word has not failed.
async fn all(mut verdicts: Vec<Verdict>, hasty: bool) -> Result<(), String> {
    let mut outcome = Ok(());
    poll_fn(move |cx| {
        verdicts.retain_mut(|verdict| match Pin::new(verdict).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(verdict) => {
                if let Ok(Err(text)) = verdict
                    && outcome.is_ok()
                {
                    outcome = Err(text);
                }
                false
            }
        });
        if verdicts.is_empty() || (hasty && outcome.is_err()) {
            Poll::Ready(std::mem::replace(&mut outcome, Ok(())))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Time for telling connections before events get their turn.
const RESUME_SLICE: std::time::Duration = std::time::Duration::from_millis(1);
/// How many connections an instance is told of before its first event, however slow it is. A handler with few connections knows them all.
pub(super) const RESUMED_FIRST: usize = 16;

fn failed(what: &str, error: &CallbackError) -> String {
    match error.backtrace() {
        "" => format!("{what}: {error}"),
        frames => format!("{what}: {error}\n{frames}"),
    }
}
