//! How looks end while the log grows, and while a table takes no writes.

use tributary_flow::framed;
use tributary_runtime::{EachRecord, Headers, MemoryTables, Output, TableError, TableFaults, Tables as _};
use tributary_schemas::records::cases::{Client, Notification, NotificationType, QueueEntry, RegistryAnswer};
use tributary_schemas::types::cases::ClientName;

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

/// What reads an empty log.
fn reader(queues: KeptQueues) -> Reader {
    let stop = Shutdown::new();
    let shared = Arc::new(Shared::new(KeptCases::default(), queues));
    let process = Site::new().process(&stop);
    Reader { process, shared, stop, offsets: HashMap::new(), behind: None, queues_failed: None }
}

fn now() -> Begun {
    Begun { at: Instant::now(), time: Timestamp::now() }
}

#[tokio::test]
async fn a_look_at_all_topics_ends_although_outcomes_grow_faster_than_it_reads() {
    let mut reader = reader(KeptQueues::default());
    let shared = Arc::clone(&reader.shared);
    let mut follower: Option<Box<dyn TopicFollower>> = Some(Box::new(Growing::default()));
    let mut look = || {
        let begun = now();
        (begun.at, reader.look(&mut follower, begun).unwrap().map(|begun| begun.at))
    };
    let ((first, part), (_, whole), (third, next)) = (look(), look(), look());
    assert_eq!((part, whole, next), (None, Some(first), None), "the second look reads what the first has left");
    assert_eq!(shared.begun_cases.borrow().map(|begun| begun.at), Some(third), "cases wait for nothing behind them");
}

const ID: &str = "0ca5e000-0000-4000-8000-000000000001";

fn client(number: i64) -> ClientName {
    format!("journal-{number}").parse().unwrap()
}

/// A client, a notification for it, and the answer to a request. All have this number.
fn fill(process: &dyn Process, number: i64) {
    let (codec, mut output) = (process.codec(), Output::new(process.flow_partitions()));
    let name = client(number);
    let notification = Notification {
        message_id: ID.parse().unwrap(),
        id: ID.parse().unwrap(),
        notification_type: NotificationType::Created,
        case_details_uri: None,
        event_time: None,
        origin_system: "esdh-a".parse().unwrap(),
    };
    let entry = QueueEntry { client: name.clone(), position: number, notification, made: 0, original: None };
    let answer = RegistryAnswer { request: number.to_string(), ..RegistryAnswer::default() };
    let key = format!("client/{name}");
    framed::send(codec, &mut output, &topics::REGISTRY_ROWS, key.as_bytes(), &Client::of(name.clone()));
    let entry_key = format!("entry/{name}/{number}");
    framed::send(codec, &mut output, &topics::QUEUE, entry_key.as_bytes(), &entry);
    framed::send(codec, &mut output, &topics::REGISTRY_ANSWER, b"request", &answer);
    process.publish(&output).unwrap();
}

/// The positions of a client's notifications.
fn positions(shared: &Shared, number: i64) -> Result<Vec<i64>, TableError> {
    let rows = shared.read();
    let entries = rows.entries.from(&client(number), 0);
    entries.map(|entry| entry.map(|entry| entry.position)).collect()
}

#[tokio::test]
async fn a_table_that_takes_no_writes_delays_nothing_but_queues() {
    let tables = MemoryTables::default();
    let mut reader = reader(KeptQueues::in_table(tables.create("queues")));
    let (shared, process) = (Arc::clone(&reader.shared), Arc::clone(&reader.process));
    let mut follower = None;
    assert!(reader.look(&mut follower, now()).unwrap().is_some());
    tables.set_faults(Some(TableFaults { seed: 1, read: 0.0, write: 1.0 }));
    for number in 1..=3 {
        fill(&*process, number);
        // The second look comes before the table is tried again.
        reader.queues_failed = reader.queues_failed.filter(|_| number == 2);
        let begun = now();
        assert!(reader.look(&mut follower, begun).unwrap().is_none(), "queues are not whole");
        assert_eq!(shared.begun_cases.borrow().map(|begun| begun.at), Some(begun.at));
        let rows = shared.read();
        assert!(rows.clients.contains_key(&client(number).to_string()));
        assert!(rows.answer(&number.to_string()).is_some(), "the registry has answered");
        drop(rows);
        assert_eq!(positions(&shared, 1).unwrap(), [1], "what was read is in memory");
        assert!(positions(&shared, 2).unwrap().is_empty(), "nothing is read that the table would not take");
    }
    tables.set_faults(None);
    reader.queues_failed = None;
    let begun = now();
    assert_eq!(reader.look(&mut follower, begun).unwrap().map(|begun| begun.at), Some(begun.at));
    for number in 1..=3 {
        assert_eq!(positions(&shared, number).unwrap(), [number]);
    }
}

/// A log whose queues lose all that they had.
struct Losing {
    log: Box<dyn TopicFollower>,
    is_lost: bool,
}

impl TopicFollower for Losing {
    fn ends(&self, topic: &'static Topic, partitions: i32) -> Result<Vec<i64>, LogError> {
        if self.is_lost && topic == &topics::QUEUE {
            return Ok(vec![0; partitions as usize]);
        }
        self.log.ends(topic, partitions)
    }

    fn read_from(&self, origin: TopicPartition, from: i64, each: EachRecord<'_>) -> Result<i64, LogError> {
        if self.is_lost {
            return Err(LogError::offset_out_of_range("the log has lost its end"));
        }
        self.log.read_from(origin, from, each)
    }
}

#[tokio::test]
async fn queues_that_are_lost_in_the_log_can_be_read_although_nothing_new_comes() {
    for is_failing in [false, true] {
        let tables = MemoryTables::default();
        let mut reader = reader(KeptQueues::in_table(tables.create("queues")));
        let (shared, process) = (Arc::clone(&reader.shared), Arc::clone(&reader.process));
        fill(&*process, 1);
        let log = |is_lost| -> Option<Box<dyn TopicFollower>> {
            Some(Box::new(Losing { log: process.follower().unwrap(), is_lost }))
        };
        assert!(reader.look(&mut log(false), now()).unwrap().is_some());
        assert_eq!(positions(&shared, 1).unwrap(), [1]);
        tables.set_faults(is_failing.then_some(TableFaults { seed: 1, read: 0.0, write: 1.0 }));
        let lost = reader.look(&mut log(true), now());
        assert_eq!((lost.is_err(), positions(&shared, 1).unwrap()), (!is_failing, Vec::new()));
        tables.set_faults(None);
        reader.queues_failed = None;
        assert!(reader.look(&mut log(true), now()).unwrap().is_some());
        assert!(positions(&shared, 1).unwrap().is_empty());
    }
}
