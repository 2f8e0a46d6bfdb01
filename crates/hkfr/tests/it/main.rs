//! The command line and its frame, without any network.

mod cli;
mod compare;
mod config;
mod fetch;
mod leak;
mod models;
mod order;
mod search;
mod stage;
mod template;
mod walk;
