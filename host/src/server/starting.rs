//! The start of a server, which can be stopped at every moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Control, StartError};

/// How far a server is that starts. Whoever has a clone may stop it.
#[derive(Clone, Default)]
pub(crate) struct Starting(Arc<Mutex<Stage>>);

#[derive(Default)]
enum Stage {
    /// Files are read and compiled: nothing is there that would have to be removed.
    #[default]
    Loading,
    /// It listens, or is about to.
    Binding,
    Built(Control),
    Stopped,
}

impl Starting {
    /// Stops it. True when there is nothing to wait for; otherwise what is left is removed as the start ends, soon.
    pub(crate) fn stop(&self) -> bool {
        let stage = std::mem::replace(&mut *self.lock(), Stage::Stopped);
        match stage {
            Stage::Loading => true,
            Stage::Binding | Stage::Stopped => false,
            Stage::Built(control) => {
                control.drain();
                false
            }
        }
    }

    /// From here on something is there that has to be removed.
    pub(super) fn begin_to_bind(&self) -> Result<(), StartError> {
        let mut stage = self.lock();
        if matches!(*stage, Stage::Stopped) {
            return Err(StartError::Stopped);
        }
        *stage = Stage::Binding;
        Ok(())
    }

    /// From here on it is stopped as a server is that runs.
    pub(super) fn is_built(&self, control: &Control) {
        let mut stage = self.lock();
        match *stage {
            Stage::Stopped => control.drain(),
            Stage::Loading | Stage::Binding | Stage::Built(_) => {
                *stage = Stage::Built(control.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
