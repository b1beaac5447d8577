//! `tributary demo`: an invented region, two days of exchange, and the results.

use std::any::Any;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::date;
use tributary_esr::configuration::EsrSettings;
use tributary_esr_sample::{SampleRegion, Scale, Written};
use tributary_flow::{ConfiguredFlow, Failure, Host, progress, table};

use crate::batch;
use crate::configured::{Configured, Folders};
use crate::exchange::Exchange;
use crate::options::{DemoOptions, DemoScale};
use crate::summary::{OutboundFile, Summary};
use crate::text;

/// The number of rows shown for each kind of file.
const SHOWN_ROWS: usize = 2;

/// Runs the demo and prints the results.
///
/// # Errors
/// The [`Failure`] of a batch.
pub(crate) fn run(options: &DemoOptions, host: &dyn Host, out: &mut dyn Write) -> Result<(), Failure> {
    let folder = demo_folder(options.dir.as_deref())?;
    let mut demo = Demo::new(options, folder, host, out)?;
    demo.introduce();
    let now = demo.days()?;
    demo.what_next(now);
    Ok(())
}

struct Demo<'a> {
    configured: Configured,
    folder: PathBuf,
    region: SampleRegion,
    host: &'a dyn Host,
    out: &'a mut dyn Write,
}

impl<'a> Demo<'a> {
    fn new(
        options: &DemoOptions,
        folder: PathBuf,
        host: &'a dyn Host,
        out: &'a mut dyn Write,
    ) -> Result<Self, Failure> {
        let scale = match options.scale {
            DemoScale::Office => Scale::Office,
            DemoScale::Region => Scale::Region,
            DemoScale::National => Scale::National,
        };
        let region = SampleRegion::new(scale, options.seed, date(2026, 11, 21));
        let folders = Folders { inbox: folder.join("inbox"), tis: folder.join("tis"), outbox: folder.join("outbox") };
        let offices = region.offices().iter().map(|office| office.parse().map_err(Failure::refused));
        let configured = Configured {
            offices: offices.collect::<Result<_, _>>()?,
            settings: Arc::new(EsrSettings::load(None, &|_| Ok(String::new())).map_err(Failure::refused)?),
            folders,
            decisions: Vec::new(),
            include_late: false,
            now: None,
            records: false,
        };
        Ok(Self { configured, folder, region, host, out })
    }

    fn say(&mut self, line: &str) {
        // A reader that has closed the pipe does not want more output.
        let _ = writeln!(self.out, "{line}");
    }

    fn introduce(&mut self) {
        let offices = self.region.offices().join(", ");
        self.say("Tributary: files of ESR and data of TIS in, files for ESR out. All people are invented.");
        self.say("");
        self.say(&format!("Offices  {offices}"));
        self.say(&format!("Folder   {}", self.folder.display()));
        let log = self.host.log().description;
        self.say(&format!("Log      {log}"));
        self.say("");
    }

    fn days(&mut self) -> Result<jiff::Timestamp, Failure> {
        let (inbox, tis) = (self.configured.folders.inbox.clone(), self.configured.folders.tis.clone());
        progress::show("writing the files of day 1");
        let written = self.region.write_first_day(&inbox, &tis).map_err(|error| self.cannot_write(&error))?;
        self.say("Day 1: full files (RMF) of each office, and the first snapshot of TIS");
        self.day(&written)?;
        progress::show("writing the files of day 2");
        let written = self.region.write_second_day(&inbox, &tis).map_err(|error| self.cannot_write(&error))?;
        self.say("Day 2: changes (RMC), and a snapshot with new, moved, ended and deleted placements");
        self.day(&written)?;
        Ok(written.now)
    }

    fn cannot_write(&self, error: &std::io::Error) -> Failure {
        Failure::unfinished(format!("cannot write into {}: {error}", self.folder.display()))
    }

    fn day(&mut self, written: &Written) -> Result<(), Failure> {
        let counts = &written.counts;
        let files = written.files.iter().filter(|name| name.starts_with("DE_")).count();
        self.say(&format!(
            "  in: {} in {}; TIS holds {}, {}, {}",
            table::counted(counts.lines as u64, "line", "lines"),
            table::counted(files as u64, "file", "files"),
            table::counted(counts.posts as u64, "post", "posts"),
            table::counted(counts.people as u64, "person", "people"),
            table::counted(counts.placements as u64, "placement", "placements"),
        ));
        let begun = Instant::now();
        progress::show("starting");
        let summary = self.batch(written.now);
        progress::clear();
        let elapsed = begun.elapsed();
        self.show(&summary?, elapsed);
        Ok(())
    }

    fn batch(&self, now: jiff::Timestamp) -> Result<Summary, Failure> {
        let flow: Arc<dyn ConfiguredFlow> = Arc::new(self.configured.clone());
        let mut summary = None;
        self.host.run(&flow, &self.folder.join("state"), &mut |running| {
            let running: &dyn Any = running;
            let exchange = running.downcast_ref::<Exchange>();
            let exchange = exchange.ok_or_else(|| Failure::refused("the demo runs another flow than the exchange"))?;
            summary = Some(batch::run(exchange, now, &|_, text| progress::show(text))?);
            batch::finish(exchange)
        })?;
        summary.ok_or_else(|| Failure::unfinished("the batch did not run"))
    }

    fn show(&mut self, summary: &Summary, elapsed: Duration) {
        let rejected: usize = summary.inbound.iter().map(|file| file.rejected.len()).sum();
        let rows: i64 = summary.outbound.iter().map(|file| file.rows).sum();
        self.say(&format!(
            "  out: {} with {} in {:.1} s; {} reported, {}",
            table::counted(summary.outbound.len() as u64, "file", "files"),
            table::counted(rows.unsigned_abs(), "row", "rows"),
            elapsed.as_secs_f64(),
            table::counted(rejected as u64, "bad line", "bad lines"),
            table::counted(summary.warnings.len() as u64, "warning", "warnings"),
        ));
        self.say("");
        self.say(text::offices(summary).trim_end());
        self.say("");
        self.show_files(&summary.outbound);
        self.say("");
    }

    fn show_files(&mut self, files: &[OutboundFile]) {
        for kind in ["RTC", "APP", "DNC"] {
            let of_kind: Vec<&OutboundFile> = files.iter().filter(|file| file.kind == kind).collect();
            let Some(example) = of_kind.iter().max_by_key(|file| file.rows) else { continue };
            let meaning = match kind {
                "RTC" => "confirmations",
                "APP" => "applicants",
                _ => "notifications",
            };
            let names: Vec<String> = of_kind
                .iter()
                .map(|file| format!("{} {}", file.office, table::number(file.rows.unsigned_abs())))
                .collect();
            self.say(&text::cut(&format!("  {kind} ({meaning}), rows: {}", names.join(", "))));
            self.say(&format!("    {}", example.name));
            let path = self.configured.folders.outbox.join(&example.name);
            for row in first_rows(&path) {
                self.say(&format!("      {}", cut_row(&row)));
            }
        }
    }

    fn what_next(&mut self, now: jiff::Timestamp) {
        let program = if std::env::var_os("CARGO").is_some() { "cargo run --release --" } else { "tributary" };
        let folders = &self.configured.folders;
        let offices: Vec<String> = self.configured.offices.iter().map(ToString::to_string).collect();
        let flags = format!(
            "--inbox {} --tis {} \\\n    --outbox {} --state {} \\\n    --offices {}{}",
            folders.inbox.display(),
            folders.tis.display(),
            folders.outbox.display(),
            self.folder.join("state").display(),
            offices.join(","),
            self.host.log().options,
        );
        let later = now.checked_add((24 * 14).hours()).unwrap_or(now);
        text::OFFICES_LEGEND.lines().for_each(|line| self.say(line));
        self.say("");
        self.say("What to try next");
        self.say("  The same day again: nothing is exported twice, the files hold header and trailer only");
        self.say(&format!("  {program} run {flags} \\\n    --once --now {now}"));
        self.say("");
        self.say("  Two weeks later: what has come into the window since");
        self.say(&format!("  {program} run {flags} \\\n    --once --now {later}"));
        self.say("");
        self.say("  The service, which watches the folders and exports at 14:00 and 15:00 London time");
        self.say(&format!("  {program} run {flags}"));
    }
}

fn first_rows(path: &Path) -> Vec<String> {
    let content = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let data = text.lines().filter(|line| !line.starts_with("HDR") && !line.starts_with("TRL"));
    data.take(SHOWN_ROWS).map(str::to_owned).collect()
}

fn cut_row(row: &str) -> String {
    const ROW_WIDTH: usize = 88;
    if row.chars().count() <= ROW_WIDTH {
        row.to_owned()
    } else {
        row.chars().take(ROW_WIDTH).chain("...".chars()).collect()
    }
}

/// The named folder, which must be empty, or a new folder that is kept.
fn demo_folder(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder =
        asked.map_or_else(|| std::env::temp_dir().join(format!("tributary-demo-{}", unique())), Path::to_owned);
    let failure =
        |error: std::io::Error| Failure::refused(format!("cannot use the folder {}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failure)?;
    if fs::read_dir(&folder).map_err(failure)?.next().is_some() {
        let text = format!("the folder {} is not empty: name another one with --dir", folder.display());
        return Err(Failure::refused(text));
    }
    fs::canonicalize(&folder).map_err(failure)
}

/// A name part that no other demo uses.
fn unique() -> String {
    format!("{}-{}", jiff::Timestamp::now().as_second(), std::process::id())
}
