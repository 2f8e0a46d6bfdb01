//! Claims of a service: what the gate lets through, how answers are mended, and what is reported.

mod forms;
mod gate;
mod repair;
mod report;
mod service;
mod text;
