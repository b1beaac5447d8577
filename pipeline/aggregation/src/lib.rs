//! Clinical aggregation: one question for a patient, every source system that has data, and an honest answer in time.
//! And the engagement index, which knows who has data.
//!
//! The files named `*_flow` decide what becomes of a question. They wait only on ports (the index, the producers) and
//! on tokio's clock. The index is two stages on the log, `collect` and `index`. This crate does no I/O: HTTP and files
//! belong to the edge and the connectors. Numbers such as A 2.6 are sections of the domain description of the
//! aggregation platform.

#[cfg(test)]
mod acceptance;
mod aggregation_flow;
pub mod audit;
pub mod cache;
pub mod cache_flow;
pub mod caller;
pub mod collect;
pub mod configuration;
pub mod declaration;
pub mod delivery;
pub mod descriptor;
pub mod ei_settings;
pub mod ei_soap;
pub mod engagement;
mod events;
pub mod filter;
pub mod find_content;
pub mod flow;
#[cfg(test)]
mod harness;
pub mod in_words;
pub mod index;
pub mod invalidation;
pub mod local_time;
mod main_flow;
pub mod memory;
pub mod own_index;
pub mod place;
pub mod port;
pub mod process_notification;
pub mod query_object;
mod question;
pub mod refusal;
pub mod request_list;
mod request_reply_flow;
pub mod response_list;
pub use tributary_soap as soap;
mod splitter_flow;
pub mod status;
pub mod subscribers;
pub mod tak;
pub mod timeouts;
pub mod topics;
pub mod transaction;
pub mod update;
mod validation;
mod worker_flow;
pub mod wsdl;
