//! The command line and its frame, without any network.

mod cli;
mod config;
mod fetch;
mod models;
mod search;
mod stage;
mod walk;
