//! What the stages hold: records, positions by office, what became of inbound files, and the ids of TIS.

use std::any::Any;
use std::collections::BTreeMap;

use tributary_connectors::tis::Held as Ids;
use tributary_esr::exporter::Exporter;
use tributary_esr::position::Positions;
use tributary_esr::report::{Event, Report};
use tributary_esr::tis;
use tributary_schemas::records::tributary::FileStatus;

/// One applicant record as the exporter holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Office whose exporter holds it.
    pub office: String,
    /// Placement id.
    pub placement_id: i64,
    /// Position id.
    pub position_id: i64,
    /// Trainee id.
    pub trainee_id: i64,
    /// Its state by the names of 5.2.
    pub status: String,
    /// The file it went into.
    pub file: Option<String>,
}

/// Positions of an office, as a summary counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfficeFigures {
    /// All, deleted ones included.
    pub positions: usize,
    /// Not deleted.
    pub live: usize,
    /// Live and with a post.
    pub matched: usize,
}

/// What the stages hold at a moment.
#[derive(Debug, Default)]
pub struct Held {
    /// All applicant records, sorted.
    pub records: Vec<Record>,
    /// Positions by office.
    pub offices: BTreeMap<String, OfficeFigures>,
    /// What became of the inbound files of the last batch.
    pub inbound: BTreeMap<String, &'static str>,
    /// How many events have been reported.
    pub(super) events: i64,
}

impl Held {
    /// Adds what one task holds; events before `first_event` are of earlier batches.
    pub(super) fn add(&mut self, processor: &dyn Any, ids: &mut Ids, first_event: i64) {
        if let Some(exporter) = processor.downcast_ref::<Exporter>() {
            self.records.extend(exporter.applicants().map(|(key, state)| Record {
                office: key.office.clone(),
                placement_id: key.placement.0,
                position_id: key.position.0,
                trainee_id: key.trainee.0,
                status: state.status.as_str().to_owned(),
                file: state.file.clone(),
            }));
        }
        if let Some(positions) = processor.downcast_ref::<Positions>() {
            for (_, position) in positions.positions() {
                let figures = self.offices.entry(position.office.clone()).or_default();
                figures.positions += 1;
                figures.live += usize::from(!position.deleted);
                figures.matched += usize::from(position.is_matched());
            }
        }
        if let Some(report) = processor.downcast_ref::<Report>() {
            self.events = report.next_sequence();
            self.inbound.extend(report.events_since(first_event).filter_map(inbound));
        }
        if let Some(posts) = processor.downcast_ref::<tis::Posts>() {
            ids.posts.extend(posts.ids());
        }
        if let Some(placements) = processor.downcast_ref::<tis::Placements>() {
            ids.placements.extend(placements.ids());
        }
        if let Some(people) = processor.downcast_ref::<tis::People>() {
            ids.people.extend(people.ids());
        }
    }
}

fn inbound(event: &Event) -> Option<(String, &'static str)> {
    let Event::File(file) = event else { return None };
    let status = match file.status {
        FileStatus::Processed => "processed",
        FileStatus::Parked => "parked",
        FileStatus::Refused => "refused",
        FileStatus::Ignored => "ignored",
        FileStatus::Written | FileStatus::Held => return None,
    };
    Some((file.file_name.clone(), status))
}
