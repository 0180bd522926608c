//! Traps when it is started.

use wsrun_guest::{Handler, handler};

#[derive(Default)]
struct StartTrap;

#[handler]
impl Handler for StartTrap {
    fn started(&mut self) {
        panic!("this handler refuses to start");
    }
}
