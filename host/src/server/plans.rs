//! Who has what: the plans of the workers, and the channels between them.

use std::sync::Arc;

use super::Source;
use super::contexts::InstanceContexts;
use super::life::{InstancePlace, Plan};
use super::publisher::Publisher;
use super::swap::Threads;
use crate::config::Config;
use crate::connection::SharedFront;
use wsrun_contract::{Capabilities, Scope, Setting};
use wsrun_net::listener::Bound;
use wsrun_net::tls::Tls;
use wsrun_runtime::handler::{Connector, FromOthers, ToWorker, remote_channel, to_worker};
use wsrun_runtime::worker;

/// What the plans of the workers are made of.
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) handlers: Vec<Source>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) shared: worker::Shared,
    pub(super) front: SharedFront,
    pub(super) contexts: InstanceContexts,
    pub(super) threads: Threads,
    pub(super) connector: Arc<dyn Connector>,
}

impl Parts {
    /// A plan for each worker, with channels between all of them and from the publisher.
    pub(super) fn plans(self, bound: Vec<Vec<Bound>>) -> (Vec<Plan>, Publisher) {
        let config = Arc::clone(&self.config);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..config.threads())
            .map(|_| channels(self.handlers.len()))
            .unzip();
        // To those that have an instance of the handler, but for one of them.
        let senders_to = |position: usize, but: Option<u16>| -> Vec<_> {
            (0..config.threads())
                .zip(&senders)
                .filter(|(index, _)| Some(*index) != but && has_instance(&config, position, *index))
                .map(|(_, senders)| senders[position].clone())
                .collect()
        };
        let named = config.handlers.iter().enumerate();
        let publisher = Publisher::new(named.map(|(position, handler)| {
            let bytes_max = handler.limits.contract.sent_message_bytes_max;
            (handler.name(), senders_to(position, None), bytes_max)
        }));
        let mut places = self.places(&config);
        let mut bound = dealt(bound, &config);
        let mut plans = Vec::new();
        for (index, remotes) in (0..config.threads()).zip(receivers) {
            let positions = 0..self.handlers.len();
            plans.push(Plan {
                config: Arc::clone(&config),
                index,
                nice: nice(&config, index),
                handlers: self.handlers.clone(),
                bound: std::mem::take(&mut bound[usize::from(index)]),
                tls: self.tls.clone(),
                shared: self.shared.clone(),
                front: self.front.clone(),
                contexts: self.contexts.clone(),
                peers: positions
                    .map(|position| {
                        let others = senders_to(position, Some(index)).into_iter();
                        others.map(|other| other.publishes).collect()
                    })
                    .collect(),
                remotes,
                threads: self.threads.clone(),
                connector: Arc::clone(&self.connector),
                places: std::mem::take(&mut places[usize::from(index)]),
            });
        }
        (plans, publisher)
    }

    /// For each worker, where the instances of each handler are.
    fn places(&self, config: &Config) -> Vec<Vec<InstancePlace>> {
        let mut places: Vec<Vec<_>> = (0..config.threads()).map(|_| Vec::new()).collect();
        for (position, source) in self.handlers.iter().enumerate() {
            if config.threads() == 1 || config.handlers[position].scope != Scope::Shared {
                for (index, places) in (0..config.threads()).zip(&mut places) {
                    places.push(if has_instance(config, position, index) {
                        InstancePlace::Here
                    } else {
                        // A handle that is never used: this worker accepts no connections.
                        InstancePlace::Elsewhere(remote_channel(source.exports()).1)
                    });
                }
                continue;
            }
            let (requests, remote) = remote_channel(source.exports());
            let mut requests = Some(requests);
            for (index, places) in (0..config.threads()).zip(&mut places) {
                let is_home = has_instance(config, position, index);
                places.push(match requests.take_if(|_| is_home) {
                    Some(requests) => InstancePlace::Home(requests),
                    None => InstancePlace::Elsewhere(remote.clone()),
                });
            }
        }
        places
    }
}

/// Why a handler with these exports cannot be in this scope.
pub(super) fn misfit(scope: Scope, exports: Capabilities) -> Option<String> {
    // The filter is asked about every connection, and here no instance knows more than one.
    (scope == Scope::Connection && exports.broadcast_filter).then(|| format!(
        "it exports wsrun:websocket/broadcast-filter, which one instance answers for all connections: {} connection has none that could; \
         use shared or worker",
        Setting("handlers.scope")
    ))
}

/// The nice value of a worker's thread: that of the handler whose own it is.
fn nice(config: &Config, worker: u16) -> i32 {
    let mut own = config.handlers.iter().filter(|handler| handler.own_worker);
    let position = worker.checked_sub(config.workers).map(usize::from);
    let handler = position.and_then(|position| own.nth(position));
    handler.map_or(0, |handler| handler.own_worker_nice.into())
}

/// Whether a worker has an instance of the handler at `position`. Homes are spread over the workers that accept; those of handlers with
/// a worker of their own come after them.
fn has_instance(config: &Config, position: usize, worker: u16) -> bool {
    let handler = &config.handlers[position];
    match handler.scope {
        Scope::Shared => {
            let (own, others): (Vec<_>, Vec<_>) = config.handlers[..position]
                .iter()
                .partition(|before| before.own_worker);
            let home = if handler.own_worker {
                usize::from(config.workers) + own.len()
            } else {
                others.len() % usize::from(config.workers)
            };
            home == usize::from(worker)
        }
        Scope::Worker | Scope::Connection => worker < config.workers,
    }
}

/// The listeners of each worker that accepts: of every address at least one, and none left over.
fn dealt(bound: Vec<Vec<Bound>>, config: &Config) -> Vec<Vec<Bound>> {
    let mut dealt: Vec<Vec<Bound>> = (0..config.threads()).map(|_| Vec::new()).collect();
    for listeners in bound {
        for (position, listener) in listeners.into_iter().enumerate() {
            dealt[position % usize::from(config.workers)].push(listener);
        }
    }
    dealt
}

fn channels(count: usize) -> (Vec<ToWorker>, Vec<FromOthers>) {
    (0..count).map(|_| to_worker()).unzip()
}
