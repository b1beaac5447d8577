//! Compares the output with the batch join of the inputs.

use std::collections::HashMap;

use tributary_position_join::layout::PAIR_KEY_LENGTH;
use tributary_position_join::oracle::{Difference, Inputs, Rows};
use tributary_position_join::topics::{APP_RECORDS, PLACEMENTS, POSITIONS, POSTS};
use tributary_runtime::partition_for_key;

use crate::cluster::Cluster;
use crate::{Failure, row};

/// What a reader of the output saw.
#[derive(Default)]
struct Seen {
    deletions: u64,
    bytes: usize,
    wrong_partition: u64,
    /// Rows in which a position or a placement was older than in an earlier row of the same pair.
    gone_back: u64,
    newest: HashMap<[u8; PAIR_KEY_LENGTH], (u32, u32)>,
    rows: Rows,
}

impl Seen {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>, is_there: bool) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.wrong_partition += u64::from(!is_there);
        let Ok(pair) = key.try_into() else { return };
        let Some(row) = value else {
            self.deletions += 1;
            self.rows.remove(&pair);
            return;
        };
        let now = row::revisions(row);
        let before = self.newest.insert(pair, now).unwrap_or_default();
        self.gone_back += u64::from(now.0 < before.0 || now.1 < before.1);
        self.rows.insert(pair, row.to_vec());
    }
}

pub(crate) fn verify(cluster: &Cluster) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    let mut records = cluster.read(&POSITIONS, |_, key, value| inputs.position(key, value))?;
    records += cluster.read(&POSTS, |_, key, value| inputs.post(key, value))?;
    records += cluster.read(&PLACEMENTS, |_, key, value| inputs.placement(key, value))?;
    let expected = inputs.join();
    drop(inputs);
    let mut seen = Seen::default();
    let written = cluster.read(&APP_RECORDS, |partition, key, value| {
        seen.take(key, value, partition == partition_for_key(key, cluster.partitions));
    })?;
    let difference = Difference::between(&seen.rows, &expected);
    let good = difference.is_none() && seen.wrong_partition == 0 && difference.equal > 0;
    println!(
        "verify={} records_in={records} records_out={written} deletions={} bytes_out={} pairs={} missing={} wrong={} \
         surplus={} wrong_partition={} gone_back={}",
        if good { "ok" } else { "MISMATCH" },
        seen.deletions,
        seen.bytes,
        expected.len(),
        difference.missing,
        difference.wrong,
        difference.surplus,
        seen.wrong_partition,
        seen.gone_back
    );
    if good { Ok(()) } else { Err("the output is not the batch join of the inputs".into()) }
}
