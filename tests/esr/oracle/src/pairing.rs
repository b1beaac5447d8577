//! How a number came to its pairing, and lost it: renumbered posts (D27), other preferred posts (D13), and numbers that
//! are reconciled late (D32).

use jiff::civil::Date;

use crate::Oracle;
use crate::applicants::window_end;
use crate::base::Base;
use crate::notice::Row;
use crate::notifications::{Findings, Scene};
use crate::world::Position;

impl Oracle {
    /// Whether the post that had this number at the last run has another one now.
    pub(crate) fn is_renumbered(&self, base: &Base, dpn: &str) -> bool {
        let before = base.world.preferred(dpn);
        before.and_then(|post| self.world.posts.get(&post.id)).is_some_and(|post| post.dpn != dpn)
    }

    /// D27: the post of this number got another one. Its exported placements are withdrawn from the positions that
    /// still carry the old number.
    pub(crate) fn renumbered_away(&self, office: &str, base: &Base, dpn: &str, today: Date) -> Findings {
        let mut findings = Findings::default();
        let live = self.world.live(office, dpn);
        let told = self.is_renumbered(base, dpn) && base.world.reconciled(office, dpn);
        let continued = base.continued(&self.world, dpn);
        let Some(position) = live.first().filter(|_| told) else {
            return findings;
        };
        for (key, old) in base.versions.get(dpn).into_iter().flatten() {
            if base.world.find_effective(dpn, *key).is_none()
                || continued.values().any(|replaced| replaced == key)
                || self.world.find_effective(dpn, *key).is_some()
                || old.ended_before(today)
                || old.start >= window_end(today)
            {
                continue;
            }
            let before = base.trainees.get(&(dpn.to_owned(), *key));
            if before.is_some_and(|person| self.sent_as_applicant(office, dpn, *key, person)) {
                let mut row = Row::new(2, office, &position.dpn_text);
                self.withdraw_trainee(&mut row, base, dpn, old);
                findings.others.push((2, key.0, row));
            }
        }
        findings
    }

    /// D32: the number became reconciled since the last run, other than by an RMF, a move between offices or the base
    /// line.
    pub(crate) fn is_late(&self, office: &str, base: &Base, dpn: &str) -> bool {
        let Some(post) = self.world.preferred(dpn) else {
            return false;
        };
        // D1: the baseline came after the last run of this office.
        if let Some(line) = self.baseline.as_ref().filter(|line| base.run < line.run) {
            let before = self.bases.get("").and_then(|last| last.world.posts.get(&post.id));
            let is_renumbered = before.is_some_and(|before| before.dpn != dpn);
            return !line.posts.contains(&post.id) || is_renumbered;
        }
        // D13: another preferred post is as R6.
        if self.preference_changed(base, dpn) {
            return true;
        }
        if base.world.reconciled(office, dpn) {
            return false;
        }
        let was_here = base
            .world
            .posts
            .get(&post.id)
            .is_some_and(|before| before.dpn == dpn && ["CURRENT", "INACTIVE"].contains(&before.status.as_str()));
        if !was_here {
            return true;
        }
        let was_live = |position: &Position| base.world.live(office, dpn).iter().any(|before| before.id == position.id);
        let mut come: Vec<&Position> = self.world.live(office, dpn);
        come.retain(|position| !was_live(position));
        come.iter()
            .map(|position| &position.arrival)
            .min()
            .is_some_and(|first| first.by_changes_file && !first.moved_office)
    }

    pub(crate) fn preference_changed(&self, base: &Base, dpn: &str) -> bool {
        match (base.world.preferred(dpn), self.world.preferred(dpn)) {
            (Some(before), Some(now)) => before.id != now.id,
            _ => false,
        }
    }

    /// Type 5 of a late set.
    pub(crate) fn new_post(&self, scene: &Scene, findings: &mut Findings) {
        let Some(post) = self.world.preferred(scene.dpn) else {
            return;
        };
        let in_baseline = self.baseline.as_ref().is_some_and(|line| line.posts.contains(&post.id));
        let moved = scene.base.moved_posts.get(scene.dpn) == Some(&post.id);
        let told = self.new_posts_sent.contains(&(scene.office.to_owned(), post.id));
        if !in_baseline && !moved && !told {
            let row = Row::new(5, scene.office, &scene.dpn_text);
            findings.others.push((5, post.id, row));
        }
    }
}
