//! `wsrun:websocket/host-info`.

use super::super::bindings::wsrun::websocket::host_info::Host;
use super::super::state::GuestState;

impl Host for GuestState {
    fn hostname(&mut self) -> wasmtime::Result<String> {
        Ok(hostname::get()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default())
    }

    fn handler_name(&mut self) -> wasmtime::Result<String> {
        Ok(self.calls.host.handler_name().to_string())
    }

    fn config(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.calls.host.config(&key).map(str::to_owned))
    }

    fn connection_count(&mut self) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.calls.host.open_count()).unwrap_or(u32::MAX))
    }
}
