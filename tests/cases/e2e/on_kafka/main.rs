//! The distribution of cases on Kafka, with processes of the program and clients that are not ours.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod foreign;
mod member;
mod once_each;
