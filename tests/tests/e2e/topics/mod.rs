//! Topics: who is given a message, and subscribers that have no room for it.

mod fan_out;
mod slow_consumers;
