//! `wsrun:websocket/timers`.

use std::time::Duration;

use super::super::bindings::wsrun::websocket::timers::{Host, TimerError};
use super::super::state::GuestState;
use crate::command::Command;
use crate::session::ConnectionId;

impl Host for GuestState {
    fn set(
        &mut self,
        after_ms: u32,
        tag: u64,
        connection: Option<ConnectionId>,
    ) -> wasmtime::Result<Result<u64, TimerError>> {
        if !self.registry.has_timers() {
            return Ok(Err(TimerError::NotExported));
        }
        if connection.is_some_and(|connection| !self.is_open(connection)) {
            return Ok(Err(TimerError::Closed));
        }
        let queued = self
            .commands
            .list
            .iter()
            .filter(|command| matches!(command, Command::SetTimer { .. }))
            .count();
        if self.registry.timers().len() + queued >= self.registry.limits().timers_max {
            return Ok(Err(TimerError::Limit));
        }
        let timer = self.registry.next_timer();
        let after = Duration::from_millis(after_ms.into());
        self.commands.push(Command::SetTimer {
            timer,
            after,
            tag,
            connection,
        })?;
        Ok(Ok(timer))
    }

    fn cancel(&mut self, timer: u64) -> wasmtime::Result<bool> {
        let mut known = self.registry.timers().contains(timer);
        for command in &self.commands.list {
            if matches!(command, Command::SetTimer { timer: set, .. } if *set == timer) {
                known = true;
            }
            if matches!(command, Command::CancelTimer { timer: cancelled } if *cancelled == timer) {
                known = false;
            }
        }
        if known {
            self.commands.push(Command::CancelTimer { timer })?;
        }
        Ok(known)
    }
}
