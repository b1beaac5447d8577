//! How looks end while the log grows.

use tributary_runtime::{EachRecord, Headers};

use super::*;
use crate::tests::world::Site;

/// A log whose outcomes grow by twice what a look reads, each time that somebody asks for their end.
#[derive(Default)]
struct Growing {
    end: Mutex<i64>,
}

impl TopicFollower for Growing {
    fn ends(&self, topic: &'static Topic, partitions: i32) -> Result<Vec<i64>, LogError> {
        let mut ends = vec![0; partitions as usize];
        if topic == &topics::OUTCOME {
            let mut end = self.end.lock().unwrap();
            *end += 2 * MOST_BEHIND_CASES as i64;
            ends[0] = *end;
        }
        Ok(ends)
    }

    fn read_from(&self, origin: TopicPartition, from: i64, each: EachRecord<'_>) -> Result<i64, LogError> {
        let end = *self.end.lock().unwrap();
        for offset in from..end {
            let headers = Headers::default();
            each(&Record { origin, offset, timestamp: 0, key: b"esdh-a/none", value: None, headers })?;
        }
        Ok(end)
    }
}

#[tokio::test]
async fn a_look_at_all_topics_ends_although_outcomes_grow_faster_than_it_reads() {
    let stop = Shutdown::new();
    let shared = Arc::new(Shared::new(KeptCases::default(), KeptQueues::default()));
    let process = Site::new().process(&stop);
    let mut reader = Reader { process, shared: Arc::clone(&shared), stop, offsets: HashMap::new(), behind: None };
    let mut follower: Option<Box<dyn TopicFollower>> = Some(Box::new(Growing::default()));
    let mut look = || {
        let begun = Begun { at: Instant::now(), time: Timestamp::now() };
        (begun.at, reader.look(&mut follower, begun).unwrap().map(|begun| begun.at))
    };
    let ((first, part), (_, whole), (third, next)) = (look(), look(), look());
    assert_eq!((part, whole, next), (None, Some(first), None), "the second look reads what the first has left");
    assert_eq!(shared.begun_cases.borrow().map(|begun| begun.at), Some(third), "cases wait for nothing behind them");
}
