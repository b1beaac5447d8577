//! The position join: an example flow on the runtime, and the workload that its speed is measured with.
//!
//! Positions, posts and placements come as changes of three compacted topics. A placement and a position are a *pair*
//! while both live and both carry the deanery post number (DPN) of a living post; each pair is one row of the output.
//! Rows have a fixed layout of bytes, so that the measurements are those of the runtime and not of a codec.
//!
//! ```text
//! positions  --[route-positions]---+
//! posts      --[route-posts]-------+--> position-join.deanery --[pair]--> app-records
//! placements --[route-placements]--+          ^              |
//!                                             +--- moves ----+
//! ```
//!
//! Three stages route by DPN, one stage joins: one hop between an input and its row, and only what the row needs.
//!
//! **Why no row is ever overtaken by its own deletion.** When a placement and a position both move from DPN *a* to *b*,
//! their pair leaves one partition and appears in another. Two tasks then write the same output key: the one at *a*
//! deletes it, the one at *b* writes it, and nothing orders the two. The usual cure is a last stage by placement that
//! owns all rows of it, at the price of one more hop for every row. Here the row of an input is instead *in one place
//! at a time*: a move is sent to the DPN that is left. There the pairs are deleted, and in the same transaction the row
//! is handed on to the DPN it goes to. The task there reads it only when that transaction is committed, so whatever it
//! writes lies behind the deletion, in the log and for every reader. Only moves pay for it, with one hop. The parts are
//! in [`routing`] (who is sent where) and [`pairing`] (what is held and written).
//!
//! Nothing here knows Kafka. The example `position_join` runs the flow on it.

pub mod flow;
pub mod layout;
pub mod message;
pub mod oracle;
pub mod pairing;
pub mod routing;
pub mod sample;
pub mod topics;
