//! What runs of a wrong clock have made of a partition, repaired (D103).

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::Date;
use tributary_schemas::records::esr::RunsForgotten;
use tributary_schemas::records::esr_state::OfficeRun;

use super::state::DueKey;
use super::{PostStage, due_dates};
use crate::context::london_date;

impl PostStage {
    /// A run far ahead has used up the day ticks until then, and the exporters have dropped records that had ended by
    /// then. So the dates after the last right time are due again, and each placement that has not ended is offered
    /// again. What is held there changes nothing.
    pub(super) fn repair(
        &mut self,
        forgotten: &RunsForgotten,
        today: Date,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let after = london_date(forgotten.after)?;
        let forgotten = self.office_runs.iter().filter(|(_, run)| run.today > after);
        for office in forgotten.map(|(office, _)| *office).collect::<Vec<_>>() {
            self.office_runs.put(office, OfficeRun { today: after });
        }
        let mut due = Vec::new();
        for (at, placement) in self.placements.iter() {
            let dates = due_dates(placement, self.horizon()).into_iter().filter(|date| *date >= after);
            due.extend(dates.map(|date| DueKey { date, dpn: at.dpn.clone() }));
        }
        for key in due {
            if self.due.get(&key).is_none() {
                self.due.put(key, ());
            }
        }
        for (key, subscription) in self.subscriptions.iter().filter(|(_, subscription)| subscription.live) {
            let posts = self.posts_of(&key.dpn);
            for (of, placement) in self.placements_of(&key.dpn) {
                let has_ended = placement.now.and_then(|now| now.date_to).is_some_and(|end| end < today);
                if self.is_offered(&key.dpn, of, placement, posts) && !has_ended {
                    self.offer(key.position, subscription, of, placement, posts, output);
                }
            }
        }
        Ok(())
    }
}
