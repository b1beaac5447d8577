//! What a flow has left to do.
//!
//! The difference between end and committed offset does not show this. Transaction markers and aborted records have
//! offsets too but are never delivered, so a consumer that has read everything still seems to be behind. Here a gap
//! counts as nothing to do when three conditions hold:
//!
//! - no transaction is open in it: the last stable offset is the end;
//! - reading it as `read_committed` delivers no record;
//! - neither committed nor end offsets moved between the start and the end of the check.
//!
//! Offsets never go back, so all of this then holds for all partitions at one moment. Only the broker is asked. It does
//! not matter which process owns a partition, or whether any does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rustc_hash::FxHashMap;
use tributary_runtime::{Lag, LogError, Topic};

use super::configuration::KafkaConfiguration;
use super::log_error;
use super::offsets::{self, BrokerPartition};
use super::renewable::Renewable;
use super::restore::ChangelogReader;

/// What the groups of a flow have left to do in their inboxes.
pub struct KafkaLag {
    groups: Arc<[Group]>,
    timeout: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    clients: Renewable<Clients>,
    /// Gaps that are known to hold no record.
    empty: EmptyGaps,
}

/// The committed offset and the end of each gap, by group and partition.
type EmptyGaps = FxHashMap<(usize, BrokerPartition), (i64, i64)>;

/// The clients that ask the broker.
struct Clients {
    reader: ChangelogReader,
    /// One for each group.
    consumers: Vec<BaseConsumer>,
}

/// A group and the partitions that it has to read.
struct Group {
    name: String,
    partitions: Vec<BrokerPartition>,
}

impl Clients {
    fn new(configuration: &KafkaConfiguration, groups: &[Group]) -> Result<Self, LogError> {
        let consumer = |group: &Group| {
            let mut config = configuration.consumer(&group.name);
            // It never joins, so it must not use the name of a member. It reads the offsets as they are now, and must
            // not wait for those in an open transaction.
            config.set("isolation.level", "read_uncommitted").remove("group.instance.id");
            config.create().map_err(|error| log_error::from_creation("the client that asks for the lag", &error))
        };
        let consumers = groups.iter().map(consumer).collect::<Result<_, _>>()?;
        Ok(Self { reader: ChangelogReader::new(configuration, "lag")?, consumers })
    }
}

/// The offsets between the committed one and the end of a partition, for one group.
type Gap = ((usize, BrokerPartition), (i64, i64));

/// Records are counted up to this number. Above it, the distance to the end is precise enough.
const COUNT_MOST: u64 = 1000;

/// How long to wait for the markers of transactions that were just committed.
const MARKER_PATIENCE: Duration = Duration::from_millis(50);

/// Committed and end offset of every partition of every group, in order.
type Reading = Vec<(i64, i64)>;

impl KafkaLag {
    /// Watches the inboxes of each group.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the configuration is wrong.
    pub fn open(
        configuration: &KafkaConfiguration,
        groups: &[(&str, Vec<&'static Topic>)],
        flow_partitions: i32,
    ) -> Result<Self, LogError> {
        let partitions_of = |inboxes: &[&'static Topic]| {
            let partitions = inboxes.iter().flat_map(|inbox| {
                let name = configuration.name(inbox.name);
                (0..inbox.partition_count(flow_partitions)).map(move |partition| (name.clone(), partition))
            });
            partitions.collect()
        };
        let groups: Arc<[Group]> = groups
            .iter()
            .map(|(name, inboxes)| Group { name: (*name).to_owned(), partitions: partitions_of(inboxes) })
            .collect();
        let timeout = configuration.call_timeout();
        let (configuration, shared) = (configuration.clone(), Arc::clone(&groups));
        let clients = Renewable::new(move || Clients::new(&configuration, &shared))?;
        let inner = Mutex::new(Inner { clients, empty: FxHashMap::default() });
        Ok(Self { groups, timeout, inner })
    }

    /// Reads committed offsets before ends, so that a move in between shows as something left to do.
    fn read(&self, clients: &Clients) -> Result<Reading, LogError> {
        let mut reading = Vec::new();
        for (group, consumer) in self.groups.iter().zip(&clients.consumers) {
            let committed = offsets::committed(consumer, &group.partitions, self.timeout)?;
            reading.extend(committed.into_iter().map(|committed| (committed.unwrap_or_default(), 0)));
        }
        let partitions: Vec<BrokerPartition> = self.partitions().map(|(_, partition)| partition.clone()).collect();
        let ends = clients.reader.ends(&partitions)?;
        let starts = clients.reader.starts(&partitions)?;
        for (((committed, end), now), start) in reading.iter_mut().zip(ends).zip(starts) {
            *committed = (*committed).max(start);
            *end = now;
        }
        Ok(reading)
    }

    /// All partitions, each with the index of its group.
    fn partitions(&self) -> impl Iterator<Item = (usize, &BrokerPartition)> {
        self.groups
            .iter()
            .enumerate()
            .flat_map(|(number, group)| group.partitions.iter().map(move |partition| (number, partition)))
    }

    /// The gaps of a reading that may hold records.
    fn open_gaps(&self, reading: &Reading, empty: &EmptyGaps) -> Vec<Gap> {
        self.partitions()
            .zip(reading)
            .filter(|(_, (committed, end))| committed < end)
            .map(|((group, partition), gap)| ((group, partition.clone()), *gap))
            .filter(|(key, gap)| empty.get(key) != Some(gap))
            .collect()
    }
}

impl Lag for KafkaLag {
    fn lag(&self) -> Result<u64, LogError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { clients, empty } = &mut *inner;
        clients.ask(|clients| self.left(clients, empty))
    }
}

impl KafkaLag {
    fn left(&self, clients: &Clients, empty: &mut EmptyGaps) -> Result<u64, LogError> {
        let reading = self.read(clients)?;
        let gaps = self.open_gaps(&reading, empty);
        if !gaps.is_empty() {
            match unread(&clients.reader, &gaps)? {
                0 => empty.extend(gaps),
                unread => return Ok(unread),
            }
        }
        let again = self.read(clients)?;
        if again == reading {
            return Ok(0);
        }
        // Offsets moved during the check, so the flow is not settled.
        Ok(1)
    }
}

/// How many records the gaps hold. Too high when a transaction is open in one of them or when there are many.
fn unread(reader: &ChangelogReader, gaps: &[Gap]) -> Result<u64, LogError> {
    let partitions: Vec<BrokerPartition> = gaps.iter().map(|((_, partition), _)| partition.clone()).collect();
    let width = |(_, (committed, end)): &Gap| end.abs_diff(*committed);
    let all: u64 = gaps.iter().map(width).sum();
    if all > COUNT_MOST * 10 || !becomes_stable(reader, &partitions, gaps)? {
        return Ok(all);
    }
    let mut groups: Vec<usize> = gaps.iter().map(|((group, _), _)| *group).collect();
    groups.dedup();
    let mut unread = 0;
    for group in groups {
        let of_group = gaps.iter().filter(|((other, _), _)| *other == group);
        let starts: Vec<(BrokerPartition, i64)> =
            of_group.map(|((_, partition), (committed, _))| (partition.clone(), *committed)).collect();
        unread += reader.count(&starts, COUNT_MOST)?;
    }
    Ok(if unread >= COUNT_MOST { all } else { unread })
}

/// Whether no transaction is open in any gap. The markers of a commit arrive some milliseconds after it.
fn becomes_stable(reader: &ChangelogReader, partitions: &[BrokerPartition], gaps: &[Gap]) -> Result<bool, LogError> {
    let deadline = Instant::now() + MARKER_PATIENCE;
    loop {
        let stable = reader.stable_ends(partitions)?;
        if gaps.iter().zip(&stable).all(|((_, (_, end)), stable)| stable >= end) {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
