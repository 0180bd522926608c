//! Never ends starting.

use wsrun_guest::{Handler, handler};

#[derive(Default)]
struct StartLoop;

#[handler]
impl Handler for StartLoop {
    fn started(&mut self) {
        loop {
            std::hint::black_box(());
        }
    }
}
