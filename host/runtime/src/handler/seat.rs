//! Scope `connection`: a handler of one's own for each connection, a *seat*, beside the one that belongs to no connection.
//!
//! Seats share the registry of their handler: session data, topics, timers and limits are the same as in the other scopes. A seat begins its
//! life with its first event and ends it with the last `closed`, or when it sleeps: then nothing of it is left but this struct.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use rustc_hash::FxBuildHasher;

use super::Handler;
use super::queue::Event;
use wsrun_contract::{ConnectionId, Limit};
use wsrun_os::clock;

/// What a life is made with.
pub(super) type MakeLife = Box<dyn Fn(Rc<Handler>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// All seats of a handler on one worker.
#[derive(Default)]
pub(super) struct Seats {
    all: RefCell<HashMap<u64, Rc<Handler>, FxBuildHasher>>,
    of: RefCell<HashMap<ConnectionId, u64, FxBuildHasher>>,
    next: Cell<u64>,
    ready: Arc<Ready>,
}

/// Seats that want to be polled.
#[derive(Default)]
struct Ready {
    seats: Mutex<BTreeSet<u64>>,
    /// Of the task that polls them.
    driver: Mutex<Option<Waker>>,
}

impl Ready {
    fn add(&self, seat: u64) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.insert(seat);
        drop(seats);
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*driver {
            driver.wake_by_ref();
        }
    }
}

/// Wakes one seat.
struct SeatWaker {
    seat: u64,
    ready: Arc<Ready>,
}

impl Wake for SeatWaker {
    fn wake(self: Arc<Self>) {
        self.ready.add(self.seat);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.add(self.seat);
    }
}

/// Which connections a handler is told of.
pub(super) enum Owner {
    /// All of its registry.
    All,
    /// None: each has a seat.
    Nobody(Box<Seats>),
    /// Those of a seat: the one that it was made for, and what its instance connects to.
    Seat(Seat),
}

pub(super) struct Seat {
    number: u64,
    handler: Weak<Handler>,
    connections: RefCell<BTreeSet<ConnectionId>>,
    /// Its opening handshake is not done.
    in_handshake: Cell<bool>,
}

/// A seat for a connection that is being opened: vacated when that comes to nothing.
pub struct Seated(Option<Rc<Handler>>);

impl Seated {
    #[inline]
    pub fn new(handler: Rc<Handler>) -> Self {
        Self(Some(handler))
    }

    /// The connection is there.
    #[inline]
    pub fn take(mut self) -> Rc<Handler> {
        self.0.take().expect("it is taken once")
    }
}

impl Deref for Seated {
    type Target = Rc<Handler>;

    fn deref(&self) -> &Rc<Handler> {
        self.0.as_ref().expect("it is taken once, with this")
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if let Some(handler) = &self.0 {
            handler.vacate();
        }
    }
}

impl Handler {
    /// The seat for a connection that is being opened, or the handler itself in another scope. None when there are as many instances as may
    /// be.
    pub fn seat(self: &Rc<Self>) -> Option<Rc<Self>> {
        let Owner::Nobody(seats) = &self.owner else {
            return Some(Rc::clone(self));
        };
        if self.has_all_instances() {
            self.registry.note_limit(Limit::Instances);
            return None;
        }
        let number = seats.next.get();
        seats.next.set(number + 1);
        let seat = Self::make_seat(
            self,
            Seat {
                number,
                handler: Rc::downgrade(self),
                connections: RefCell::default(),
                in_handshake: Cell::new(true),
            },
        );
        let waker = SeatWaker {
            seat: number,
            ready: Arc::clone(&seats.ready),
        };
        let _ = seat.waker.set(Waker::from(Arc::new(waker)));
        seats.all.borrow_mut().insert(number, Rc::clone(&seat));
        Some(seat)
    }

    /// Whether no instance may be made beside those that there are.
    #[inline]
    pub(super) fn has_all_instances(&self) -> bool {
        self.registry.tally().live_instances.get() >= self.registry.limits().memory.instances_max
    }

    /// A connection is this handler's to be told of.
    pub fn own(&self, connection: ConnectionId) {
        if let Owner::Seat(seat) = &self.owner {
            seat.in_handshake.set(false);
            seat.connections.borrow_mut().insert(connection);
            if let Some(handler) = seat.handler.upgrade()
                && let Owner::Nobody(seats) = &handler.owner
            {
                seats.of.borrow_mut().insert(connection, seat.number);
            }
        }
    }

    /// The handler was told of the end of a connection.
    pub(super) fn disown(&self, connection: ConnectionId) {
        if let Owner::Seat(seat) = &self.owner {
            seat.connections.borrow_mut().remove(&connection);
            if let Some(handler) = seat.handler.upgrade()
                && let Owner::Nobody(seats) = &handler.owner
            {
                seats.of.borrow_mut().remove(&connection);
            }
        }
    }

    /// The opening handshake came to nothing: the seat is not needed.
    pub fn vacate(&self) {
        if let Owner::Seat(seat) = &self.owner {
            seat.in_handshake.set(false);
            if self.asleep.get() {
                self.life_ended();
            } else {
                self.wake();
            }
        }
    }

    /// Whether a seat has nobody left to be told of.
    #[inline]
    pub(super) fn is_vacant(&self) -> bool {
        let Owner::Seat(seat) = &self.owner else {
            return false;
        };
        !seat.in_handshake.get() && seat.connections.borrow().is_empty() && !self.has_work()
    }

    #[inline]
    pub(super) fn is_seat(&self) -> bool {
        matches!(self.owner, Owner::Seat(_))
    }

    #[inline]
    pub(super) fn has_seats(&self) -> bool {
        matches!(self.owner, Owner::Nobody(_))
    }

    /// The handler that a seat belongs to.
    #[inline]
    pub(super) fn handler_of_seat(&self) -> Option<Rc<Self>> {
        match &self.owner {
            Owner::Seat(seat) => seat.handler.upgrade(),
            Owner::All | Owner::Nobody(_) => None,
        }
    }

    /// Whether a connection is told to this handler.
    #[inline]
    pub(super) fn owns(&self, connection: ConnectionId) -> bool {
        match &self.owner {
            Owner::All => true,
            Owner::Nobody(seats) => !seats.of.borrow().contains_key(&connection),
            Owner::Seat(seat) => seat.connections.borrow().contains(&connection),
        }
    }

    /// The seat that has a connection; for none, this one.
    pub(super) fn seat_number(&self, of: Option<ConnectionId>) -> Option<u64> {
        let number = |seats: &Seats| seats.of.borrow().get(&of?).copied();
        match &self.owner {
            Owner::All => None,
            Owner::Nobody(seats) => number(seats),
            Owner::Seat(seat) if of.is_none() => Some(seat.number),
            Owner::Seat(seat) => match &seat.handler.upgrade()?.owner {
                Owner::Nobody(seats) => number(seats),
                Owner::All | Owner::Seat(_) => None,
            },
        }
    }

    /// Connections that some instance of this handler was told of and that have not failed.
    pub(super) fn told(&self) -> BTreeSet<ConnectionId> {
        let Owner::Seat(seat) = &self.owner else {
            let mut told = self.registry.told();
            told.retain(|connection| self.owns(*connection));
            return told;
        };
        let connections = seat.connections.borrow();
        let told = connections.iter().copied().filter(|connection| {
            let session = self.registry.get(*connection);
            session.is_some_and(|session| session.told.get() && !session.failed.get())
        });
        told.collect()
    }

    /// A seat by its number, if it is still there; for none, the handler itself.
    pub(super) fn seat_of(self: &Rc<Self>, number: Option<u64>) -> Option<Rc<Self>> {
        let Some(number) = number else {
            return Some(Rc::clone(self));
        };
        match &self.owner {
            Owner::Nobody(seats) => seats.all.borrow().get(&number).cloned(),
            Owner::All | Owner::Seat(_) => None,
        }
    }

    /// All seats, whether they sleep or not.
    #[inline]
    pub(super) fn seats(&self) -> Vec<Rc<Self>> {
        match &self.owner {
            Owner::Nobody(seats) => seats.all.borrow().values().cloned().collect(),
            Owner::All | Owner::Seat(_) => Vec::new(),
        }
    }

    /// All seats, which are the handler's no more.
    #[inline]
    pub(super) fn take_seats(&self) -> Vec<Rc<Self>> {
        match &self.owner {
            Owner::Nobody(seats) => seats.all.take().into_values().collect(),
            Owner::All | Owner::Seat(_) => Vec::new(),
        }
    }

    /// The seats that have a life.
    #[inline]
    pub(super) fn awake_seats(&self) -> Vec<Rc<Self>> {
        let mut seats = self.seats();
        seats.retain(|seat| !seat.asleep.get());
        seats
    }

    /// A life for a seat, or for a handler whose life was lost; none before the first.
    pub(super) fn new_life(&self) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        let me = self.me.upgrade()?;
        let Owner::Seat(seat) = &self.owner else {
            return Some(self.make_life.borrow().as_ref()?(me));
        };
        let handler = seat.handler.upgrade()?;
        // It may have slept through a change of versions.
        self.exports.set(handler.exports.get());
        let make = handler.make_life.borrow();
        Some(make.as_ref()?(me))
    }

    /// The life of a seat is over: it sleeps, or is gone.
    pub(super) fn life_ended(&self) {
        let Owner::Seat(seat) = &self.owner else {
            return;
        };
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            *queue = super::Queue::default();
        }
        drop(queue);
        self.asleep.set(true);
        if self.is_vacant()
            && let Some(handler) = seat.handler.upgrade()
            && let Owner::Nobody(seats) = &handler.owner
        {
            seats.all.borrow_mut().remove(&seat.number);
            self.registry.timers_mut().cancel_of_seat(seat.number);
        }
    }

    /// Polls the seats that were woken. `driver` is the waker of the task that does this.
    pub(super) fn poll_seats(&self, driver: &Waker) {
        let Owner::Nobody(seats) = &self.owner else {
            return;
        };
        {
            let mut kept = seats
                .ready
                .driver
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match &mut *kept {
                Some(kept) => kept.clone_from(driver),
                None => *kept = Some(driver.clone()),
            }
        }
        let ready = std::mem::take(
            &mut *seats
                .ready
                .seats
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for number in ready {
            let seat = seats.all.borrow().get(&number).cloned();
            if let Some(seat) = seat {
                seat.turn();
            }
        }
    }

    /// Wakes whoever polls this handler.
    #[inline]
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Puts those to sleep that have had no event for as long as the limits say.
    pub(super) fn spawn_sweeper(self: &Rc<Self>) {
        let Some(after) = self.registry.limits().resilience.hibernate_after else {
            return;
        };
        let interval = (after / 4).max(SWEEP_MIN);
        let handler = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(interval).await;
                let mut idle = handler.awake_seats();
                idle.push(Rc::clone(&handler));
                for handler in idle {
                    if clock::now().saturating_duration_since(handler.last_event.get()) >= after {
                        handler.push(|queue| queue.push(Event::Hibernate));
                    }
                }
            }
        });
    }
}

/// Seats are looked at no more often.
const SWEEP_MIN: std::time::Duration = std::time::Duration::from_millis(20);
