//! What fusion promises: no event at or after the cut-off, nothing untrue, budgets kept, templates checked.

mod claims;
mod cohort;
mod fixture;
mod fresh;
mod gateway;
mod hostile;
mod knowledge;
mod leak;
mod pseudonym;
mod server;
mod store;
mod store_kill;
mod templates;
