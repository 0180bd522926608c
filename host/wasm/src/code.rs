//! The machine code of a component. It is loaded and counted here, and freed where nobody waits for
//! it.

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
use wsrun_metrics::{HandlerTally, SharedGauge};

/// A component that is loaded. Its last owner is usually a worker, which must not wait until the
/// code is freed: a separate thread frees it.
pub struct Code {
    /// None only while `drop` runs.
    component: Option<Component>,
    weight: Weight,
    /// The gauge that the loaded bytes are counted in.
    counted: OnceLock<Arc<SharedGauge>>,
}

impl Code {
    /// Loads what the compiler made.
    ///
    /// # Errors
    ///
    /// Fails when the code is not for this engine.
    pub(super) fn load(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Arc<Self>> {
        // SAFETY: a `Compiled` comes from the compiler in this process or in one that this process
        // started. Or it comes from a file that only this user or root can have written (`cache`),
        // and whose digest covers these very bytes.
        let component = unsafe { Component::deserialize(engine, &compiled.code) }?;
        Ok(Arc::new(Self {
            component: Some(component),
            weight: compiled.weight,
            counted: OnceLock::new(),
        }))
    }

    pub fn component(&self) -> &Component {
        self.component.as_ref().expect("it is there until the drop")
    }

    /// Returns the bytes that the host holds for each instance, in addition to its memories and
    /// tables.
    pub(super) fn instance_bytes(&self) -> u64 {
        self.weight.instance_bytes
    }

    /// Counts the code among the bytes that the handler has loaded, until it is freed. Only the
    /// first call counts: all workers share the code.
    pub(super) fn count(&self, tally: &HandlerTally) {
        self.counted.get_or_init(|| {
            tally.code_bytes.add(self.weight.loaded_bytes);
            Arc::clone(&tally.code_bytes)
        });
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let pending = PendingFree {
            component: self.component.take(),
            bytes: self.weight.loaded_bytes,
            counted: self.counted.take(),
        };
        static FREES: OnceLock<Option<Sender<PendingFree>>> = OnceLock::new();
        let frees = FREES.get_or_init(|| {
            let (sender, receiver) = channel::<PendingFree>();
            thread::Builder::new()
                .name("wsrun-free".into())
                .spawn(move || receiver.into_iter().for_each(drop))
                .is_ok()
                .then_some(sender)
        });
        // Where the thread could not be started, the code is freed here.
        if let Some(frees) = frees {
            let _ = frees.send(pending);
        }
    }
}

/// Code that is to be freed.
struct PendingFree {
    component: Option<Component>,
    bytes: u64,
    counted: Option<Arc<SharedGauge>>,
}

impl Drop for PendingFree {
    fn drop(&mut self) {
        drop(self.component.take());
        if let Some(counted) = &self.counted {
            counted.subtract(self.bytes);
        }
    }
}
