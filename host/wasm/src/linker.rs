//! From a component to something that makes instances.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;

use super::bindings::exports::wsrun::websocket::{
    broadcast_filter, chunks, handler, handshake, http, lifecycle, network_filter, packed, pong,
    reconnection, timer_handler, writable,
};
use super::code::Code;
use super::component::{ComponentError, first_line};
use super::host;
use super::state::GuestState;
use wsrun_contract::Capabilities;
use wsrun_metrics::HandlerTally;
use wsrun_tape::Tape;

/// Everything that a handler may import.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    host::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A component with its imports resolved and its exports found.
#[derive(Clone)]
pub struct Linked {
    pub(super) pre: InstancePre<GuestState>,
    pub(super) handler: Option<handler::GuestIndices>,
    pub(super) handshake: Option<handshake::GuestIndices>,
    pub(super) writable: Option<writable::GuestIndices>,
    pub(super) chunks: Option<chunks::GuestIndices>,
    pub(super) packed: Option<packed::GuestIndices>,
    pub(super) broadcast_filter: Option<broadcast_filter::GuestIndices>,
    pub(super) network_filter: Option<network_filter::GuestIndices>,
    pub(super) http: Option<http::GuestIndices>,
    pub(super) reconnection: Option<reconnection::GuestIndices>,
    pub(super) pong: Option<pong::GuestIndices>,
    pub(super) timer_handler: Option<timer_handler::GuestIndices>,
    pub(super) lifecycle: Option<lifecycle::GuestIndices>,
    pub(super) wasi_http: Option<incoming_handler::GuestIndices>,
    pub exports: Capabilities,
    /// What its instances are recorded on, or played from.
    pub tape: Option<Tape>,
    /// Behind all that runs it.
    pub(super) code: Arc<Code>,
}

impl Linked {
    /// Links a checked component.
    ///
    /// # Errors
    ///
    /// When an import is missing in the version asked for, or an interface has other types than the contract's.
    pub fn new(
        linker: &Linker<GuestState>,
        code: &Arc<Code>,
        exports: Capabilities,
        file: &str,
    ) -> Result<Self, ComponentError> {
        let pre =
            linker
                .instantiate_pre(code.component())
                .map_err(|error| ComponentError::Types {
                    file: file.to_owned(),
                    name: error.to_string(),
                    cause: first_line(&error),
                })?;
        let types = |name: &str, error: wasmtime::Error| ComponentError::Types {
            file: file.to_owned(),
            name: format!("export wsrun:websocket/{name}"),
            cause: first_line(&error),
        };
        let wasi_http = match exports.wasi_http {
            true => Some(incoming_handler::GuestIndices::new(&pre).map_err(|error| {
                ComponentError::WasiHttp {
                    file: file.to_owned(),
                    cause: first_line(&error),
                }
            })?),
            false => None,
        };
        macro_rules! optional {
            ($interface:ident, $name:literal) => {
                match exports.$interface {
                    true => Some(
                        $interface::GuestIndices::new(&pre).map_err(|error| types($name, error))?,
                    ),
                    false => None,
                }
            };
        }
        Ok(Self {
            handler: match exports.plain_only {
                true => None,
                false => Some(
                    handler::GuestIndices::new(&pre).map_err(|error| types("handler", error))?,
                ),
            },
            handshake: optional!(handshake, "handshake"),
            writable: optional!(writable, "writable"),
            chunks: optional!(chunks, "chunks"),
            packed: optional!(packed, "packed"),
            broadcast_filter: optional!(broadcast_filter, "broadcast-filter"),
            network_filter: optional!(network_filter, "network-filter"),
            http: optional!(http, "http"),
            reconnection: optional!(reconnection, "reconnection"),
            pong: optional!(pong, "pong"),
            timer_handler: optional!(timer_handler, "timer-handler"),
            lifecycle: optional!(lifecycle, "lifecycle"),
            wasi_http,
            pre,
            exports,
            tape: None,
            code: Arc::clone(code),
        })
    }

    /// Counts what is loaded for the handler, until it is gone.
    pub fn count(&self, tally: &HandlerTally) {
        self.code.count(tally);
    }
}
