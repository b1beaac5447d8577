//! Which stage reads which inbox.

use tributary_runtime::{Levels, Stage, Topic, Topology};

use crate::layout::{Placement, Position};
use crate::message::Side;
use crate::pairing::Pairing;
use crate::routing::{RoutePosts, RouteRows};
use crate::topics::{
    DEAD_LETTERS, DEANERY, PAIR_CHANGELOG, PLACEMENTS, POSITIONS, POSTS, ROUTE_PLACEMENTS_CHANGELOG,
    ROUTE_POSITIONS_CHANGELOG,
};

/// Name of the flow and of its consumer group.
pub const FLOW: &str = "position-join";

/// The inboxes of all stages.
pub static INBOXES: [&Topic; 4] = [&POSITIONS, &POSTS, &PLACEMENTS, &DEANERY];

/// All stages of the flow, with topics of `flow_partitions` partitions.
pub fn topology(flow_partitions: i32) -> Topology {
    let stages = vec![
        Stage {
            name: "route-positions",
            inbox: &POSITIONS,
            changelog: Some(&ROUTE_POSITIONS_CHANGELOG),
            processor: Box::new(|_| Box::new(RouteRows::<Position>::new(Side::Position))),
        },
        Stage { name: "route-posts", inbox: &POSTS, changelog: None, processor: Box::new(|_| Box::new(RoutePosts)) },
        Stage {
            name: "route-placements",
            inbox: &PLACEMENTS,
            changelog: Some(&ROUTE_PLACEMENTS_CHANGELOG),
            processor: Box::new(|_| Box::new(RouteRows::<Placement>::new(Side::Placement))),
        },
        Stage {
            name: "pair",
            inbox: &DEANERY,
            changelog: Some(&PAIR_CHANGELOG),
            processor: Box::new(|_| Box::<Pairing>::default()),
        },
    ];
    Topology { flow: FLOW, stages, dead_letters: &DEAD_LETTERS, flow_partitions, levels: Levels::ONE }
}
