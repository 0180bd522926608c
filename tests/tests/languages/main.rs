//! Handlers in every language, the book and its recipes: whatever runs a compiler or a toolchain.

mod book;
mod conformance;
mod cookbook;
mod dev_loop;
mod dev_overlay;
mod errors;
mod guides;
mod new;
mod sdks;
mod templates;
mod types;
