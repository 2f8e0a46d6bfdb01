//! The command line and its frame, without any network.

mod ablate;
mod cli;
mod compare;
mod config;
mod docs;
mod features;
mod fetch;
mod forget;
mod instruct;
mod leak;
mod lists;
mod models;
mod order;
mod progress;
mod rankers;
mod refresh;
mod replies;
mod scale;
mod search;
// Shared with the tests of hkfr-fuse, which use more of it.
#[allow(dead_code)]
#[path = "../../../fuse/tests/it/server.rs"]
mod server;
mod service;
mod stage;
mod template;
mod verify;
mod walk;
