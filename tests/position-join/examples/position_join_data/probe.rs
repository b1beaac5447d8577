//! Changes single placements and waits for their rows: one after the other, or all at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::Producer as _;
use tributary_position_join::oracle::Rows;
use tributary_position_join::sample::{Input, dpn};
use tributary_position_join::topics::{APP_RECORDS, PLACEMENTS};

use crate::cluster::{Cluster, Producer, epoch_millis};
use crate::{Failure, row};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which placements.
    #[arg(long, value_enum)]
    of: Which,
    /// How many changes.
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Sends all of them first, then waits for all.
    #[arg(long)]
    at_once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Those of the post that has many.
    Bucket,
    /// Those of posts that have one.
    Single,
    /// Any, from all partitions.
    Any,
}

/// How long to wait for a row.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn measure(cluster: &Cluster, options: &Options) -> Result<(), Failure> {
    let mut placements = choose(cluster, options)?;
    let producer = cluster.producer(0)?;
    let consumer = cluster.follow(&APP_RECORDS)?;
    if options.at_once {
        let stamp = epoch_millis();
        for (id, value) in &mut placements {
            send(cluster, &producer, *id, value, stamp)?;
        }
        producer.flush(LIMIT)?;
        let waiting = placements.iter().map(|(id, _)| *id).collect();
        wait(&consumer, waiting, stamp)?;
        println!("changes={} done_at={}", placements.len(), epoch_millis());
        return Ok(());
    }
    let mut micros = Vec::with_capacity(placements.len());
    for (id, value) in &mut placements {
        let (started, stamp) = (Instant::now(), epoch_millis());
        send(cluster, &producer, *id, value, stamp)?;
        wait(&consumer, HashSet::from([*id]), stamp)?;
        micros.push(started.elapsed().as_micros());
    }
    micros.sort_unstable();
    let part = |share: usize| micros.get(micros.len() * share / 100).copied().unwrap_or_default() as f64 / 1000.0;
    println!("changes={} p50_ms={:.1} p99_ms={:.1}", micros.len(), part(50), part(99));
    Ok(())
}

/// Placements that have a row now, with their last value, evenly spread over those that there are.
fn choose(cluster: &Cluster, options: &Options) -> Result<Vec<(i64, Vec<u8>)>, Failure> {
    let ids = candidates(cluster, options.of)?;
    let spacing = (ids.len() / options.count.max(1)).max(1);
    let chosen: HashSet<i64> = ids.iter().step_by(spacing).take(options.count).copied().collect();
    if chosen.is_empty() {
        return Err("there is no such placement with a row; load the inputs and let an engine join them first".into());
    }
    let mut values = HashMap::new();
    cluster.read(&PLACEMENTS, |_, key, value| {
        let Ok(id) = key.try_into().map(i64::from_be_bytes) else { return };
        if let Some(value) = value.filter(|_| chosen.contains(&id)) {
            values.insert(id, value.to_vec());
        }
    })?;
    Ok(values.into_iter().collect())
}

/// The ids of all placements of this kind that have a row.
fn candidates(cluster: &Cluster, which: Which) -> Result<Vec<i64>, Failure> {
    let mut rows = Rows::new();
    cluster.read(&APP_RECORDS, |_, key, value| {
        let Ok(key) = key.try_into() else { return };
        match value {
            Some(value) => rows.insert(key, value.to_vec()),
            None => rows.remove(&key),
        };
    })?;
    let mut at_post: BTreeMap<&[u8], Vec<i64>> = BTreeMap::new();
    for (key, value) in &rows {
        let id = key.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        at_post.entry(row::dpn(value)).or_default().push(id);
    }
    let bucket = dpn(0);
    let wanted = |number: &[u8], ids: &[i64]| match which {
        Which::Any => true,
        Which::Bucket => number == bucket.0,
        Which::Single => ids.len() == 1,
    };
    at_post.retain(|number, ids| wanted(number, ids));
    let mut ids: Vec<i64> = at_post.into_values().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Sends the placement with the next revision and this time.
fn send(cluster: &Cluster, producer: &Producer, id: i64, value: &mut [u8], stamp: i64) -> Result<(), Failure> {
    let (Some(revision), Some(_)) = (value.get(54..).and_then(<[u8]>::first_chunk).copied(), value.get(58..66)) else {
        return Err(format!("placement {id} is too short").into());
    };
    value[54..58].copy_from_slice(&(u32::from_be_bytes(revision) + 1).to_be_bytes());
    value[58..66].copy_from_slice(&stamp.to_be_bytes());
    let input = Input { topic: &PLACEMENTS, key: &id.to_be_bytes(), value: Some(value), timestamp: stamp };
    Ok(cluster.send(producer, &input)?)
}

/// Waits for a row of each placement that is as new as that.
fn wait(consumer: &BaseConsumer, mut waiting: HashSet<i64>, stamp: i64) -> Result<(), Failure> {
    let deadline = Instant::now() + LIMIT;
    while !waiting.is_empty() {
        if Instant::now() > deadline {
            return Err(format!("{} changes have not become visible", waiting.len()).into());
        }
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let (Some(key), Some(value)) = (message.key(), message.payload()) else { continue };
        if row::newest_change(value) >= stamp {
            let id = key.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
            waiting.remove(&id);
        }
    }
    Ok(())
}
