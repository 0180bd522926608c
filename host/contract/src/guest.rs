//! Instances of a handler, as the dispatcher calls them.

use std::rc::Rc;

use super::effects::Effects;
use super::host::Host;
use super::{Answer, Callback, CallbackError, Capabilities, Chunk, ConnectionId, Message};

/// One instance of a handler: `wit/exports.wit`, whatever runs it. An error has ended the instance:
/// its effects are dropped and it is never called again.
///
/// Messages have methods of their own, whose futures lie in the task of the instance. Every other
/// callback is made through [`call`](Self::call), whose future is on the heap meanwhile: a task does
/// not have room for the largest of them all the time.
#[expect(
    async_fn_in_trait,
    reason = "an instance never leaves its worker's thread, so no future has to be Send"
)]
pub trait Guest: 'static {
    /// Returns which optional callbacks it has.
    fn capabilities(&self) -> Capabilities;

    /// Returns what the last callback asked for.
    fn effects(&mut self) -> &mut Effects;

    async fn received(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<(), CallbackError>;

    /// Gives it several messages of one connection, packed. It may send `room` bytes to that
    /// connection in the same way. Only called where the instance is capable of it.
    async fn received_packed(
        &mut self,
        connection: ConnectionId,
        messages: &[u8],
        room: u32,
    ) -> Result<(), CallbackError>;

    async fn received_chunk(
        &mut self,
        connection: ConnectionId,
        chunk: &Chunk<'_>,
    ) -> Result<(), CallbackError>;

    /// Makes any other callback.
    async fn call(&mut self, callback: Callback<'_>) -> Result<Answer, CallbackError>;
}

/// Makes guests: one at start, another after each that ended.
#[expect(
    async_fn_in_trait,
    reason = "an instance never leaves its worker's thread, so no future has to be Send"
)]
pub trait GuestFactory: 'static {
    type Guest: Guest;

    async fn make(&self, host: Rc<dyn Host>) -> Result<Self::Guest, CallbackError>;

    /// Makes a spare instance, where that takes time, for the next [`make`](Self::make).
    async fn prepare_spare(&self, host: Rc<dyn Host>);

    /// Lets go of the spare instance.
    fn discard_spare(&self);
}
