//! Imports without a worker behind them: there are no connections, topics or timers.

use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wsrun_proto::ws::MessageKind;

use wsrun_contract::effects::Effects;
use wsrun_contract::host::{Checked, DirectConnection, Host};
use wsrun_contract::{
    AutoReplyError, ChunkError, ConnectError, ConnectOptions, ConnectionId, Failure, HandlerLimits,
    PublishError, Request, ResponseHead, SendError, SlowPolicy, SubscribeError, TimerError,
    TimerId,
};

/// The imports of an instance that a tape answers for, and of a program, which has none.
pub struct NoConnections {
    handler: Arc<str>,
    limits: HandlerLimits,
}

impl NoConnections {
    /// Makes the imports of an instance of the handler.
    pub fn new(handler: Arc<str>, limits: HandlerLimits) -> Self {
        Self { handler, limits }
    }
}

impl Host for NoConnections {
    fn new_effects(&self) -> Effects {
        Effects::new(&self.limits, Rc::default(), Box::new(|| {}))
    }

    fn admit(&self, _: ConnectionId, _: usize) -> Result<(), SendError> {
        Err(SendError::Closed)
    }

    fn admit_packed(&self, _: ConnectionId, _: usize) -> bool {
        false
    }

    fn admit_chunk(
        &self,
        _: ConnectionId,
        _: MessageKind,
        _: &[u8],
        _: bool,
    ) -> Result<(), ChunkError> {
        Err(ChunkError::Closed)
    }

    fn admit_session(&self, _: ConnectionId, _: usize) -> Result<(), SendError> {
        Err(SendError::Closed)
    }

    fn check_size(&self, _: usize) -> Result<(), PublishError> {
        Ok(())
    }

    fn close(&self, _: &mut Effects, _: ConnectionId, _: u16, _: String) -> Checked<()> {
        Ok(())
    }

    fn abort(&self, _: &mut Effects, _: ConnectionId) -> Checked<()> {
        Ok(())
    }

    fn buffered(&self, _: ConnectionId) -> u64 {
        0
    }

    fn open_count(&self) -> usize {
        0
    }

    fn want_writable(&self, _: &mut Effects, _: ConnectionId) -> Checked<()> {
        Ok(())
    }

    fn receive_flow(&self, _: &mut Effects, _: ConnectionId, _: bool) -> Checked<()> {
        Ok(())
    }

    fn set_slow_policy(
        &self,
        _: &mut Effects,
        _: ConnectionId,
        _: Option<SlowPolicy>,
    ) -> Checked<()> {
        Ok(())
    }

    fn dropped(&self, _: ConnectionId) -> u64 {
        0
    }

    fn request(&self, _: ConnectionId) -> Option<Request> {
        None
    }

    fn protocol(&self, _: ConnectionId) -> Option<String> {
        None
    }

    fn failure(&self, _: ConnectionId) -> Option<Failure> {
        None
    }

    fn response(&self, _: ConnectionId) -> Option<ResponseHead> {
        None
    }

    fn raw_fd(&self, _: ConnectionId) -> Option<RawFd> {
        None
    }

    fn session(&self, _: &Effects, _: ConnectionId) -> Vec<u8> {
        Vec::new()
    }

    fn subscribe(
        &self,
        _: &mut Effects,
        _: ConnectionId,
        _: String,
    ) -> Checked<Result<bool, SubscribeError>> {
        Ok(Err(SubscribeError::Closed))
    }

    fn unsubscribe(&self, _: &mut Effects, _: ConnectionId, _: String) -> Checked<bool> {
        Ok(false)
    }

    fn publish(
        &self,
        _: &mut Effects,
        _: String,
        _: MessageKind,
        _: &[u8],
        _: Option<ConnectionId>,
    ) -> Checked<Result<u32, PublishError>> {
        Ok(Ok(0))
    }

    fn broadcast(
        &self,
        _: &mut Effects,
        _: Option<String>,
        _: MessageKind,
        _: &[u8],
    ) -> Checked<Result<u32, PublishError>> {
        Ok(Ok(0))
    }

    fn set_auto_reply(
        &self,
        _: &mut Effects,
        _: (MessageKind, &[u8]),
        _: Option<(MessageKind, &[u8])>,
    ) -> Checked<Result<(), AutoReplyError>> {
        Ok(Ok(()))
    }

    fn set_topic_policy(&self, _: &mut Effects, _: String, _: Option<SlowPolicy>) -> Checked<()> {
        Ok(())
    }

    fn topic_dropped(&self, _: &str) -> u64 {
        0
    }

    fn set_timer(
        &self,
        _: &mut Effects,
        _: Duration,
        _: u64,
        _: Option<ConnectionId>,
    ) -> Checked<Result<TimerId, TimerError>> {
        Ok(Err(TimerError::NotExported))
    }

    fn cancel_timer(&self, _: &mut Effects, _: TimerId) -> Checked<bool> {
        Ok(false)
    }

    fn connect(
        &self,
        _: &mut Effects,
        _: ConnectOptions,
    ) -> Checked<Result<ConnectionId, ConnectError>> {
        Ok(Err(ConnectError::Limit))
    }

    fn handler_name(&self) -> &Arc<str> {
        &self.handler
    }

    fn config(&self, _: &str) -> Option<&str> {
        None
    }

    fn add_failing(&self, _: Duration) {}

    fn direct(&self, _: ConnectionId) -> Option<Rc<dyn DirectConnection>> {
        None
    }
}
