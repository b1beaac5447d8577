//! One file for each command of the program.

pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod of_flow;
pub(crate) mod offsets;
pub(crate) mod run;
pub(crate) mod schemas;
pub(crate) mod topics;
pub(crate) mod upgrade;
pub(crate) mod version;
