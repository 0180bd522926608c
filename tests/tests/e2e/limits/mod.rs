//! Limits of a handler and of the process: each is reached, and neighbours do not notice.

mod capacity;
mod fairness;
mod quotas;
mod sandbox;
