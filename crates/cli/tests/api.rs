//! What pages, scripts and commands know of turns, through the real binary.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

#[path = "api/documents.rs"]
mod documents;
#[path = "api/live.rs"]
mod live;
#[path = "api/page.rs"]
mod page;
#[path = "api/terminal.rs"]
mod terminal;
#[path = "api/waits.rs"]
mod waits;
