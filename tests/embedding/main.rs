//! Programs that have the host as their library. They are a package of their own: a change of the host relinks this binary, and none of those that
//! start the real `wsrun`.

mod allocations;
mod recording;
mod scenarios;
mod server;
