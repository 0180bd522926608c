//! An instance, together with the room that its running callback counts on.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::Handler;
use crate::imports::Imports;
use crate::reservations::{Reservations, ReservedEffects};
use wsrun_contract::CallbackError;
use wsrun_contract::guest::{Guest, GuestFactory};

/// An instance and what its imports reserve. The instance has the effects; nobody but the imports
/// and the dispatcher knows of the reservations.
pub(super) struct Hosted<G> {
    guest: G,
    reserved: Rc<Reservations>,
}

impl<G> Deref for Hosted<G> {
    type Target = G;

    #[inline]
    fn deref(&self) -> &G {
        &self.guest
    }
}

impl<G> DerefMut for Hosted<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G {
        &mut self.guest
    }
}

impl<G: Guest> Hosted<G> {
    /// Returns what the last callback has reserved.
    #[inline]
    pub(super) fn reserved(&self) -> &Reservations {
        &self.reserved
    }

    /// Takes what the last callback asked for, to be carried out.
    #[inline]
    pub(super) fn take_effects(&mut self) -> ReservedEffects {
        ReservedEffects {
            effects: self.guest.effects().take(),
            reserved: self.reserved.take(),
        }
    }

    /// Forgets what the last callback asked for.
    #[inline]
    pub(super) fn clear_effects(&mut self) {
        self.guest.effects().clear();
        self.reserved.clear();
    }

    /// Gives the buffers of effects that were carried out back, unless there are new ones.
    #[inline]
    pub(super) fn reuse(&mut self, done: ReservedEffects) {
        let effects = self.guest.effects();
        if effects.is_empty() && self.reserved.is_empty() {
            effects.reuse(done.effects);
            self.reserved.reuse(&done.reserved);
        }
    }
}

impl Handler {
    /// Makes an instance with imports of its own.
    pub(super) async fn make_hosted<F: GuestFactory>(
        &self,
        factory: &F,
    ) -> Result<Hosted<F::Guest>, CallbackError> {
        let imports = Imports::new(Rc::clone(&self.registry));
        let reserved = Rc::clone(imports.reserved());
        let guest = factory.make(Rc::new(imports)).await?;
        Ok(Hosted { guest, reserved })
    }
}
