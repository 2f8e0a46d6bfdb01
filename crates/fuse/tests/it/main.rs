//! What fusion promises: no event at or after the cut-off, nothing untrue, budgets kept, templates checked.

mod claims;
mod fixture;
mod gateway;
mod hostile;
mod knowledge;
mod leak;
mod server;
mod store;
mod templates;
