//! The acceptance suite of the platform (A 7), on ports in memory and a clock that tests turn.

mod bad_answers;
mod bad_requests;
mod cache;
mod cache_in_log;
mod cache_limits;
mod contracts;
mod limits;
mod main_cases;
mod own_index;
mod privacy;
mod regression;
mod scheduling;
mod world;
