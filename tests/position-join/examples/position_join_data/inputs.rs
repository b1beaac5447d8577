//! Creates, fills and removes the topics.

use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::Producer as _;
use tributary_connectors::kafka::TopicPlan;
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{INTERNAL, OPEN};

use crate::Failure;
use crate::cluster::Cluster;

/// What the first load is made of.
#[derive(Debug, Clone, Args)]
pub(crate) struct Content {
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[arg(long, default_value_t = 100_000)]
    positions: u32,
    /// Placements of the one post that has many.
    #[arg(long, default_value_t = 5_000)]
    bucket: u32,
}

impl Content {
    /// A sample that has sent nothing yet.
    pub(crate) fn sample(&self, changes: f64, bucket_changes: u32) -> Sample {
        let size = Size { positions: self.positions, bucket: self.bucket, changes, bucket_changes };
        Sample::new(self.seed, size)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Load {
    #[command(flatten)]
    content: Content,
    /// Changes for each position and placement.
    #[arg(long, default_value_t = 1.0)]
    changes: f64,
    /// Changes that reach the whole bucket.
    #[arg(long, default_value_t = 20)]
    bucket_changes: u32,
}

pub(crate) fn load(cluster: &Cluster, options: &Load) -> Result<(), Failure> {
    TopicPlan::compare(&cluster.kafka, &OPEN, cluster.partitions, 1)?.apply()?;
    let producer = cluster.producer(20)?;
    let mut sample = options.content.sample(options.changes, options.bucket_changes);
    let (mut records, mut bytes, mut failed) = (0_u64, 0_usize, None);
    let mut sink = |input: Input<'_>| {
        records += 1;
        bytes += input.key.len() + input.value.map_or(0, <[u8]>::len);
        failed = failed.take().or_else(|| cluster.send(&producer, &input).err());
    };
    let started = Instant::now();
    sample.load(&mut sink);
    sample.change(&mut sink);
    failed.map_or(Ok(()), Err)?;
    producer.flush(Duration::from_mins(2))?;
    println!("records_in={records} bytes_in={bytes} load_s={:.2}", started.elapsed().as_secs_f64());
    Ok(())
}

/// Removes all topics of the namespace.
pub(crate) fn remove(cluster: &Cluster) -> Result<(), Failure> {
    let kafka = &cluster.kafka;
    let admin: AdminClient<DefaultClientContext> = cluster.client().create()?;
    let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(10))?;
    let own: Vec<String> = OPEN.iter().chain(&INTERNAL).map(|topic| kafka.name(topic.name)).collect();
    let prefix = kafka.name("");
    let ours =
        |name: &str| own.iter().any(|own| own == name) || (!kafka.namespace.is_empty() && name.starts_with(&prefix));
    let names: Vec<&str> =
        metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name).filter(|name| ours(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let timeout = Some(Duration::from_secs(30));
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    for result in runtime.block_on(admin.delete_topics(&names, &options))? {
        result.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    Ok(())
}
