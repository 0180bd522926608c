//! The machine code of a component: loaded, counted, and let go of where nobody waits for it.

#![expect(
    unsafe_code,
    reason = "wasmtime takes machine code by an unsafe call alone: what it is given is run as it is"
)]

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile::{Compiled, Weight};
use crate::observability::{HandlerTally, SharedGauge};

/// A component that is loaded. Its last owner, mostly a worker, does not wait until it is freed: that is done by a thread of its own.
pub(crate) struct Code {
    /// None when it is being dropped.
    component: Option<Component>,
    weight: Weight,
    /// Where what is loaded is counted.
    counted: OnceLock<Arc<SharedGauge>>,
}

impl Code {
    /// Loads what the compiler made.
    ///
    /// # Errors
    ///
    /// When it is not for this engine.
    pub(super) fn load(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Arc<Self>> {
        // SAFETY: a `Compiled` is what the compiler made in this process or in one that this one started, or what a file has that none but
        // this user or root can write (`cache`) and whose digest is over these very bytes.
        let component = unsafe { Component::deserialize(engine, &compiled.code) }?;
        Ok(Arc::new(Self {
            component: Some(component),
            weight: compiled.weight,
            counted: OnceLock::new(),
        }))
    }

    pub(crate) fn component(&self) -> &Component {
        self.component.as_ref().expect("it is there until the drop")
    }

    /// What the host keeps for each instance, beside its memories and tables.
    pub(super) fn instance_bytes(&self) -> u64 {
        self.weight.instance_bytes
    }

    /// Counts it among what the handler has loaded, until it is gone. Once: all workers have it together.
    pub(super) fn count(&self, tally: &HandlerTally) {
        self.counted.get_or_init(|| {
            tally.code_bytes.add(self.weight.loaded_bytes);
            Arc::clone(&tally.code_bytes)
        });
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let gone = Gone {
            component: self.component.take(),
            bytes: self.weight.loaded_bytes,
            counted: self.counted.take(),
        };
        static FREES: OnceLock<Option<Sender<Gone>>> = OnceLock::new();
        let frees = FREES.get_or_init(|| {
            let (sender, receiver) = channel::<Gone>();
            thread::Builder::new()
                .name("wsrun-free".into())
                .spawn(move || receiver.into_iter().for_each(drop))
                .is_ok()
                .then_some(sender)
        });
        // Where there is no such thread it is dropped here.
        if let Some(frees) = frees {
            let _ = frees.send(gone);
        }
    }
}

/// What is left to be freed.
struct Gone {
    component: Option<Component>,
    bytes: u64,
    counted: Option<Arc<SharedGauge>>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        drop(self.component.take());
        if let Some(counted) = &self.counted {
            counted.subtract(self.bytes);
        }
    }
}
