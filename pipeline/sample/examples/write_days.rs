//! Writes the days of a sample region into a folder and says how much there is of what.
//!
//! `cargo run --release -p tributary-sample --example write_days -- national 1 /tmp/region`

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use jiff::civil::date;
use tributary_sample::{SampleRegion, Scale, Written};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scale, seed, folder] = arguments.as_slice() else {
        return Err("usage: write_days office|region|national SEED FOLDER".into());
    };
    let scale = match scale.as_str() {
        "office" => Scale::Office,
        "region" => Scale::Region,
        "national" => Scale::National,
        other => return Err(format!("unknown scale {other}").into()),
    };
    let folder = PathBuf::from(folder);
    let (inbox, tis) = (folder.join("inbox"), folder.join("tis"));
    let begun = Instant::now();
    let say = |written: &Written| println!("{:?} {} {:#?}", begun.elapsed(), written.now, written.counts);
    let mut region = SampleRegion::new(scale, seed.parse()?, date(2026, 11, 21));
    say(&region.write_first_day(&inbox, &tis)?);
    say(&region.write_second_day(&inbox, &tis)?);
    say(&region.write_peak_day(&inbox, &tis)?);
    Ok(())
}
