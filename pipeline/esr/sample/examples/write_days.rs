//! Writes the days of a sample region. Each day has its own folder (`first`, `second`, `peak`) with `inbox` and `tis`.
//! Prints the amounts of each day and the time as of which to run it.
//!
//! `cargo run --release -p tributary-esr-sample --example write_days -- national 1 /tmp/region`

use std::error::Error;
use std::path::{Path, PathBuf};

use jiff::civil::date;
use tributary_esr_sample::{SampleRegion, Scale, Written};

type WriteDay = fn(&mut SampleRegion, &Path, &Path) -> std::io::Result<Written>;

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
    let mut region = SampleRegion::new(scale, seed.parse()?, date(2026, 11, 21));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("offices"), region.offices().join(","))?;
    let days: [(&str, WriteDay); 3] = [
        ("first", SampleRegion::write_first_day),
        ("second", SampleRegion::write_second_day),
        ("peak", SampleRegion::write_peak_day),
    ];
    for (name, write) in days {
        let day = folder.join(name);
        let written = write(&mut region, &day.join("inbox"), &day.join("tis"))?;
        std::fs::write(day.join("now"), written.now.to_string())?;
        println!("{name} {} {:?}", written.now, written.counts);
    }
    Ok(())
}
