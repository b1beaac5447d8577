//! The write lock: while it is closed, accepted transactions wait in the order of their arrival. When it is opened,
//! they go on in steps before anything newer, so that no transaction of the log grows with the length of the lock.

use tributary_runtime::{Headers, Output, TimestampMillis};
use tributary_schemas::records::aggregation::{IndexLock, IndexRelease};
use tributary_schemas::records::aggregation_state::{CollectProgress, HeldTransactions};

use super::{CollectStage, Given};
use crate::topics;

/// Records that go on in one step.
pub const RELEASED_AT_ONCE: i64 = 50;

/// The key of the next step.
const RELEASE: &[u8] = b"release";

impl CollectStage {
    pub(super) fn hold(&mut self, given: Given<'_>, mut progress: CollectProgress) {
        progress.waiting += given.accepted.transactions.len() as i64;
        let held = HeldTransactions { accepted: given.accepted, headers: given.headers.as_bytes().to_vec() };
        self.held.put(progress.next, held);
        progress.next += 1;
        self.note(progress);
        self.is_moved = true;
    }

    pub(super) fn lock(&mut self, lock: &IndexLock, output: &mut Output) {
        let mut progress = self.progress();
        progress.locked = lock.locked;
        if !progress.locked && progress.oldest < progress.next {
            self.continue_release(&progress, output);
        }
        self.note(progress);
        self.is_moved = true;
    }

    pub(super) fn release(&mut self, now: TimestampMillis, release: &IndexRelease, output: &mut Output) {
        let progress = self.progress();
        // Only the release that belongs to the present position continues: a second one would hand on nothing more.
        if progress.locked || progress.oldest != release.oldest {
            return;
        }
        let end = progress.next.min(progress.oldest + RELEASED_AT_ONCE);
        for number in progress.oldest..end {
            let Some(held) = self.held.get(&number).cloned() else { continue };
            self.held.delete(number);
            let mut progress = self.progress();
            progress.oldest = number + 1;
            progress.waiting -= held.accepted.transactions.len() as i64;
            self.note(progress);
            let headers = Headers::from_bytes(&held.headers);
            self.take(Given { accepted: held.accepted, headers, now }, output);
        }
        output.set_headers(Headers::default());
        let progress = self.progress();
        if progress.oldest < progress.next {
            self.continue_release(&progress, output);
        }
        self.is_moved = true;
    }

    fn continue_release(&self, progress: &CollectProgress, output: &mut Output) {
        let release = IndexRelease { oldest: progress.oldest };
        self.context.send_to(output, &topics::INDEX_INBOX, self.partition, RELEASE, &release);
    }
}
