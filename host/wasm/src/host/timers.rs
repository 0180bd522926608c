//! `wsrun:websocket/timers`.

use std::time::Duration;

use super::super::bindings::wsrun::websocket::timers::{Host, TimerError};
use super::super::state::{Calls, GuestState};
use wsrun_contract::{self as contract, ConnectionId, TimerId};

impl Host for GuestState {
    fn set(
        &mut self,
        after_ms: u32,
        tag: u64,
        connection: Option<ConnectionId>,
    ) -> wasmtime::Result<Result<TimerId, TimerError>> {
        let Calls { host, effects } = &mut *self.calls;
        let after = Duration::from_millis(after_ms.into());
        let set = host.set_timer(effects, after, tag, connection)?;
        Ok(set.map_err(|error| match error {
            contract::TimerError::Closed => TimerError::Closed,
            contract::TimerError::Limit => TimerError::Limit,
            contract::TimerError::NotExported => TimerError::NotExported,
        }))
    }

    fn cancel(&mut self, timer: TimerId) -> wasmtime::Result<bool> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.cancel_timer(effects, timer)?)
    }
}
