//! `wsrun:websocket/client`.

use std::time::Duration;

use super::super::bindings::wsrun::websocket::client::{
    ConnectError, Failure, Host, Options, Phase, Response, Verify,
};
use super::super::state::{Calls, GuestState};
use wsrun_contract::{self as contract, ConnectionId};

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

impl From<Options> for contract::ConnectOptions {
    fn from(options: Options) -> Self {
        Self {
            url: options.url,
            protocols: options.protocols,
            host: options.host,
            origin: options.origin,
            headers: options.headers,
            verify: match options.verify {
                Verify::Full => contract::Verify::Full,
                Verify::AllowSelfSigned => contract::Verify::AllowSelfSigned,
            },
            identity: options.identity,
            version: options.version,
            compression: options.compression,
            timeout: options.timeout_ms.map(millis),
            reconnect: options.reconnect.map(|reconnect| contract::Reconnect {
                attempts_max: reconnect.attempts_max,
                delay: reconnect.delay_ms.map(millis),
                delay_max: reconnect.delay_max_ms.map(millis),
            }),
            session: options.session,
        }
    }
}

impl From<contract::ConnectError> for ConnectError {
    fn from(error: contract::ConnectError) -> Self {
        match error {
            contract::ConnectError::Denied(text) => Self::Denied(text),
            contract::ConnectError::Invalid(text) => Self::Invalid(text),
            contract::ConnectError::UnsupportedVersion => Self::UnsupportedVersion(vec![13, 8, 7]),
            contract::ConnectError::Limit => Self::Limit,
        }
    }
}

impl From<contract::Failure> for Failure {
    fn from(failure: contract::Failure) -> Self {
        match failure {
            contract::Failure::Denied(text) => Self::Denied(text),
            contract::Failure::Unreachable(text) => Self::Unreachable(text),
            contract::Failure::Tls(text) => Self::Tls(text),
            contract::Failure::TimedOut(phase) => Self::TimedOut(match phase {
                contract::Phase::Connect => Phase::Connect,
                contract::Phase::Tls => Phase::Tls,
                contract::Phase::Handshake => Phase::Handshake,
            }),
            contract::Failure::Ended => Self::Ended,
            contract::Failure::Refused(status) => Self::Refused(status),
            contract::Failure::Redirected(location) => Self::Redirected(location),
            contract::Failure::InvalidResponse(text) => Self::InvalidResponse(text),
            contract::Failure::NotUpgraded => Self::NotUpgraded,
            contract::Failure::AcceptMissing => Self::AcceptMissing,
            contract::Failure::AcceptWrong => Self::AcceptWrong,
            contract::Failure::ProtocolNotOffered => Self::ProtocolNotOffered,
            contract::Failure::ExtensionNotOffered(text) => Self::ExtensionNotOffered(text),
        }
    }
}

impl Host for GuestState {
    fn connect(
        &mut self,
        options: Options,
    ) -> wasmtime::Result<Result<ConnectionId, ConnectError>> {
        let Calls { host, effects } = &mut *self.calls;
        let connecting = host.connect(effects, options.into())?;
        Ok(connecting.map_err(ConnectError::from))
    }

    fn failure_of(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<Failure>> {
        let failure = self.calls.host.failure(connection);
        Ok(failure.map(Failure::from))
    }

    fn response_of(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<Response>> {
        let response = self.calls.host.response(connection);
        Ok(response.map(|response| Response {
            status: response.status,
            headers: response.headers,
        }))
    }
}
