//! The levels that this release can run.
//!
//! | level | what it adds |
//! |---|---|
//! | 1 | the first |
//!
//! A release that adds a record type, an enum symbol, a store or a topic, or changes a rule, adds a level, and uses the
//! addition only where [`tributary_runtime::Output::level`] has reached it. So a release that does not know the
//! addition can run beside it, and come back, until `tributary upgrade finalize`.

use tributary_runtime::{Level, Levels};

/// The levels of this release.
pub const LEVELS: Levels = Levels { min: Level(1), max: Level(1) };
