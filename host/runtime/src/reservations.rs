//! What a callback counts on while it runs: room in the queues of connections, connections that it closes, messages that it sends in parts.
//!
//! It belongs to the callback and to nobody else. Whatever else happens to a connection meanwhile (an automatic reply, a callback of another
//! instance) neither forgets it nor takes it over; and it is given back with the callback, however that ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rustc_hash::FxBuildHasher;
use wsrun_proto::ws::Sending;

use crate::session::Session;
use crate::usage::SessionRoom;
use wsrun_contract::ConnectionId;
use wsrun_contract::effects::Effects;

/// What one callback has reserved.
#[derive(Default)]
pub struct Reservations {
    inner: RefCell<Inner>,
    /// Room for session data that is to be kept.
    session_room: RefCell<Option<SessionRoom>>,
    /// True for an instance that runs beside the one of the sockets: connections do not know of the
    /// room that it counts on, and everything is checked again when it is carried out.
    is_beside: Cell<bool>,
}

/// The effects of a callback, and the room that they count on: given back as they are carried out,
/// or with them.
pub struct ReservedEffects {
    pub effects: Effects,
    pub reserved: Reservations,
}

#[derive(Default)]
struct Inner {
    list: Vec<Reservation>,
    /// The one that was asked for last: a callback mostly talks to one connection.
    last: usize,
    /// Where each is, once they are many.
    index: HashMap<ConnectionId, usize, FxBuildHasher>,
    /// How many of the connections are to be closed.
    closing: usize,
    /// What callbacks have reserved whose effects are carried out before those of this one.
    earlier: Option<Rc<Reservations>>,
}

/// What a callback has reserved at one connection.
pub struct Reservation {
    pub session: Rc<Session>,
    /// Bytes of its queue.
    bytes: usize,
    /// How many of them the connection knows of.
    counted: usize,
    closing: bool,
    /// How far the message in parts is, once the callback has sent a part.
    sending: Option<Sending>,
}

/// Up to so many reservations are looked through.
const FEW: usize = 8;

/// Room for so many is kept from one callback to the next.
const KEPT: usize = 64;

impl Reservation {
    fn new(session: Rc<Session>) -> Self {
        Self {
            session,
            bytes: 0,
            counted: 0,
            closing: false,
            sending: None,
        }
    }

    /// Reserves `bytes` of the queue. `counted`: nobody else is told that there is room for them.
    #[inline]
    pub fn reserve(&mut self, bytes: usize, counted: bool) {
        self.bytes += bytes;
        if counted {
            self.counted += bytes;
            self.session.reserve(bytes);
        }
    }

    /// Gives `bytes` back.
    fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let counted = bytes.min(self.counted);
        if counted > 0 {
            self.counted -= counted;
            self.session.release(counted);
        }
    }

    /// Bytes that the connection does not know of.
    #[inline]
    pub fn uncounted(&self) -> usize {
        self.bytes - self.counted
    }

    /// Whether the callback closes the connection.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    #[inline]
    pub fn sending(&self) -> Option<Sending> {
        self.sending
    }

    #[inline]
    pub fn set_sending(&mut self, sending: Sending) {
        self.sending = Some(sending);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.counted > 0 {
            self.session.release(self.counted);
        }
    }
}

impl Inner {
    #[inline]
    fn find(&mut self, connection: ConnectionId) -> Option<usize> {
        let is_it = |reservation: &Reservation| reservation.session.id == connection;
        if self.list.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        let found = match self.list.len() {
            ..=FEW => self.list.iter().position(is_it),
            _ => self.index.get(&connection).copied(),
        };
        self.last = found.unwrap_or(self.last);
        found
    }

    fn insert(&mut self, reservation: Reservation) -> usize {
        let position = self.list.len();
        self.closing += usize::from(reservation.closing);
        self.list.push(reservation);
        if position == FEW {
            let all = self.list.iter().enumerate();
            self.index
                .extend(all.map(|(position, reservation)| (reservation.session.id, position)));
        } else if position > FEW {
            let id = self.list[position].session.id;
            self.index.insert(id, position);
        }
        self.last = position;
        position
    }

    /// Where the reservation of a connection is, which is made if there is none.
    #[inline]
    fn place(
        &mut self,
        connection: ConnectionId,
        session: impl FnOnce() -> Option<Rc<Session>>,
    ) -> Option<usize> {
        if let Some(position) = self.find(connection) {
            return Some(position);
        }
        let mut reservation = Reservation::new(session()?);
        if let Some(earlier) = &self.earlier {
            let mut earlier = earlier.inner.borrow_mut();
            if let Some(position) = earlier.find(connection) {
                reservation.closing = earlier.list[position].closing;
                reservation.sending = earlier.list[position].sending;
            }
        }
        Some(self.insert(reservation))
    }
}

impl Reservations {
    /// Forgets what is reserved in queues. The effects of this callback are carried out behind those
    /// of others, which go on being added to `earlier`.
    #[inline]
    pub fn stand_behind(&self, earlier: &Rc<Self>) {
        let behind = Inner {
            earlier: Some(Rc::clone(earlier)),
            ..Inner::default()
        };
        drop(self.inner.replace(behind));
    }

    /// Sets whether the instance runs beside the one of the sockets.
    #[inline]
    pub fn set_beside(&self, is_beside: bool) {
        self.is_beside.set(is_beside);
    }

    /// Returns true when connections are told of the room that is reserved.
    #[inline]
    pub fn is_counted(&self) -> bool {
        !self.is_beside.get()
    }

    /// Holds a promise to keep session data until it is carried out.
    #[inline]
    pub fn hold_session_room(&self, room: SessionRoom) {
        let mut held = self.session_room.borrow_mut();
        match &mut *held {
            Some(held) => held.join(room),
            None => *held = Some(room),
        }
    }

    /// Gives back the room for session data of this length, which is counted where it is kept from
    /// here on.
    #[inline]
    pub fn release_session(&self, bytes: usize) {
        if let Some(room) = &mut *self.session_room.borrow_mut() {
            room.release(bytes);
        }
    }

    /// Takes everything out.
    #[inline]
    pub fn take(&self) -> Self {
        Self {
            inner: RefCell::new(self.inner.take()),
            session_room: RefCell::new(self.session_room.take()),
            is_beside: Cell::new(self.is_beside.get()),
        }
    }

    /// Gives the buffers of `done` back, unless there are new reservations.
    #[inline]
    pub fn reuse(&self, done: &Self) {
        if self.is_empty() {
            done.clear();
            self.inner.swap(&done.inner);
        }
    }

    /// Does something with what is reserved at a connection. None if the handler does not know it: `session` is where it is looked up.
    #[inline]
    pub fn at<R>(
        &self,
        connection: ConnectionId,
        session: impl FnOnce() -> Option<Rc<Session>>,
        with: impl FnOnce(&mut Reservation) -> R,
    ) -> Option<R> {
        let mut inner = self.inner.borrow_mut();
        let position = inner.place(connection, session)?;
        Some(with(&mut inner.list[position]))
    }

    /// Reserves `bytes` of a queue for a published message.
    #[inline]
    pub fn reserve(&self, session: &Rc<Session>, bytes: usize, counted: bool) {
        self.at(
            session.id,
            || Some(Rc::clone(session)),
            |reservation| reservation.reserve(bytes, counted),
        );
    }

    /// Notes that a connection is to be closed. True for the first time.
    pub fn close(&self, session: &Rc<Session>) -> bool {
        let mut inner = self.inner.borrow_mut();
        let Some(position) = inner.place(session.id, || Some(Rc::clone(session))) else {
            return false;
        };
        let was_closing = std::mem::replace(&mut inner.list[position].closing, true);
        inner.closing += usize::from(!was_closing);
        !was_closing
    }

    /// Whether a connection is to be closed.
    pub fn is_closing(&self, connection: ConnectionId) -> bool {
        let mut inner = self.inner.borrow_mut();
        if let Some(position) = inner.find(connection) {
            return inner.list[position].closing;
        }
        let earlier = inner.earlier.as_ref();
        earlier.is_some_and(|earlier| earlier.is_closing(connection))
    }

    /// Connections that are to be closed, of those that `count` says.
    pub fn count_closing(&self, count: &dyn Fn(&Session) -> bool) -> usize {
        let inner = self.inner.borrow();
        let earlier = inner.earlier.as_ref();
        let mut closing = earlier.map_or(0, |earlier| earlier.count_closing(count));
        if inner.closing > 0 {
            let known_before =
                |session: &Session| earlier.is_some_and(|earlier| earlier.is_closing(session.id));
            let list = inner.list.iter().filter(|reservation| {
                let session = &reservation.session;
                reservation.closing && count(session) && !known_before(session)
            });
            closing += list.count();
        }
        closing
    }

    /// Bytes reserved at a connection that it does not know of.
    #[inline]
    pub fn uncounted(&self, connection: ConnectionId) -> usize {
        let mut inner = self.inner.borrow_mut();
        let position = inner.find(connection);
        position.map_or(0, |position| inner.list[position].uncounted())
    }

    /// Gives `bytes` of the queue of a connection back, because they are used now. The connection, if anything was reserved there.
    #[inline]
    pub fn release(&self, connection: ConnectionId, bytes: usize) -> Option<Rc<Session>> {
        let mut inner = self.inner.borrow_mut();
        let Some(position) = inner.find(connection) else {
            let earlier = inner.earlier.clone()?;
            drop(inner);
            return earlier.release(connection, bytes);
        };
        let reservation = &mut inner.list[position];
        reservation.release(bytes);
        Some(Rc::clone(&reservation.session))
    }

    /// Adds what another callback has reserved, and leaves it nothing.
    pub fn absorb(&self, other: &Self) {
        let mut taken = {
            let mut other = other.inner.borrow_mut();
            other.index.clear();
            other.closing = 0;
            std::mem::take(&mut other.list)
        };
        let mut inner = self.inner.borrow_mut();
        for reservation in &mut taken {
            let session = Rc::clone(&reservation.session);
            let Some(position) = inner.place(session.id, || Some(session)) else {
                continue;
            };
            let mine = &mut inner.list[position];
            mine.bytes += std::mem::take(&mut reservation.bytes);
            mine.counted += std::mem::take(&mut reservation.counted);
            mine.sending = reservation.sending.or(mine.sending);
            let begins = reservation.closing && !std::mem::replace(&mut mine.closing, true);
            inner.closing += usize::from(begins);
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.borrow().list.is_empty()
    }

    /// Gives everything back.
    pub fn clear(&self) {
        drop(self.session_room.take());
        let mut inner = self.inner.borrow_mut();
        inner.list.clear();
        inner.list.shrink_to(KEPT);
        if !inner.index.is_empty() {
            inner.index = HashMap::default();
        }
        inner.last = 0;
        inner.closing = 0;
        inner.earlier = None;
    }
}
