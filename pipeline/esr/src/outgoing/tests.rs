//! The writer makes a file of the rows that it receives, and the file reads back the same (2.2, 2.4, D51).

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tributary_runtime::{Headers, Output, Record, StateStore, TopicPartition};
use tributary_schemas::records::esr::FileKind;
use tributary_schemas::records::tributary::FileClose;
use tributary_schemas::{Codec, CodecBuilder, LocalRegistry, RecordType};

use super::{OutgoingFile, RunTimes};
use crate::configuration::EsrSettings;
use crate::context::Context;
use crate::flow::Processors;
use crate::format::{Envelope, FileName, InboundLayouts, LineReader};
use crate::harness::millis;
use tributary_flow::configuration::Source;
use tributary_flow::whole_file::{FileSink, NotWritten};

/// The written files, in order.
#[derive(Default)]
struct Shelf {
    files: Mutex<Vec<(String, Vec<u8>)>>,
}

impl FileSink for Shelf {
    fn write(&self, name: &str, content: &[u8]) -> Result<(), NotWritten> {
        self.files.lock().unwrap().push((name.to_owned(), content.to_vec()));
        Ok(())
    }
}

fn name() -> FileName {
    "DE_EOE_APP_20261121_00000001.DAT".parse().unwrap()
}

fn context(configuration: &str) -> Context {
    let codec: Codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory()))
        .topics(crate::flow::DECLARATION.topics())
        .build()
        .unwrap();
    let user = Source::new("mine.toml", configuration);
    let settings = EsrSettings::load(Some(&user), &|_| Err("no files here".to_owned())).unwrap();
    Context::new(codec, Arc::new(settings), vec!["EOE".parse().unwrap()])
}

/// Sends a file of these rows to the writer. Returns the written file.
fn written(context: &Context, times: RunTimes, rows: &[String]) -> String {
    let mut output = Output::new(1);
    output.inherit(millis(FIRST), Headers::default());
    let mut file = OutgoingFile::start(context, name(), times, &mut output);
    for row in rows {
        file.row(row.clone(), &mut output);
    }
    file.close(FileKind::App, &mut output);
    let shelf = Arc::new(Shelf::default());
    write_all(context, &output, &shelf);
    let mut files = shelf.files.lock().unwrap();
    let (file_name, bytes) = files.pop().unwrap();
    assert_eq!((file_name, files.len()), (name().to_string(), 0));
    String::from_utf8(bytes).unwrap()
}

fn write_all(context: &Context, sent: &Output, shelf: &Arc<Shelf>) {
    let mut writer = Processors::new(context.clone(), Arc::clone(shelf) as Arc<dyn FileSink>).processor("writer", 0);
    let mut answers = Output::new(1);
    for (offset, record) in (0..).zip(sent.records()) {
        let record = Record {
            origin: TopicPartition { topic: record.topic.name, partition: record.partition },
            offset,
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        writer.stores().into_iter().for_each(StateStore::begin_record);
        writer.process(&record, &mut answers).unwrap();
        writer.stores().into_iter().for_each(StateStore::commit);
    }
}

const FIRST: &str = "2026-11-21T14:00:00Z";

fn first_run() -> RunTimes {
    RunTimes::new(millis(FIRST), None).unwrap()
}

#[test]
fn d51_golden_file_with_header_and_trailer() {
    let context = context("");
    let rows = ["APP,1".to_owned()];
    assert_eq!(
        written(&context, first_run(), &rows),
        "HDR,\"DE_EOE_APP_20261121_00000001.DAT\",20261121 140000,\"EOE\",,20261121 140000,\"01\"\nAPP,1\nTRL,3\n"
    );
    let second_run = RunTimes::new(millis("2026-11-22T14:00:00Z"), Some(millis(FIRST))).unwrap();
    let second = written(&context, second_run, &rows);
    let header = second.lines().next().unwrap();
    assert!(header.ends_with(",20261122 140000,\"EOE\",20261121 140000,20261122 140000,\"01\""), "{header}");
}

#[test]
fn a_file_with_crlf_is_whole_for_the_reader() {
    let context = context("[esr.outbound]\nline_end = \"crlf\"\n");
    let text = written(&context, first_run(), &["APP,1".to_owned()]);
    assert!(text.ends_with("\r\nAPP,1\r\nTRL,3\r\n"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(Envelope::of(text.as_bytes()).check(&name(), &context.inbound_layouts), Ok(()));
}

#[test]
fn a_closed_file_is_announced_with_the_count_and_hash_of_all_its_lines() {
    let context = context("");
    let mut output = Output::new(1);
    OutgoingFile::start(&context, name(), first_run(), &mut output).close(FileKind::App, &mut output);
    let last = output.records().last().unwrap();
    let framed = context.codec.open(last.value.unwrap()).unwrap();
    assert_eq!(framed.record_type(), RecordType::TributaryFileClose);
    let close: FileClose = framed.read().unwrap();
    let lines = "HDR,\"DE_EOE_APP_20261121_00000001.DAT\",20261121 140000,\"EOE\",,20261121 140000,\"01\"\nTRL,2\n";
    assert_eq!((close.rows, close.crc32c), (2, i64::from(crc32c::crc32c(lines.as_bytes()))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_lines_of_a_file_read_back_the_same(
        rows in prop::collection::vec("APP,[^\\p{Cc}\u{2028}\u{2029}\u{FEFF}]{0,20}", 0..30),
        crlf in any::<bool>(),
    ) {
        let context = context(if crlf { "[esr.outbound]\nline_end = \"crlf\"\n" } else { "" });
        let text = written(&context, first_run(), &rows);
        let layouts = InboundLayouts::new(&context.settings.layouts, 8192);
        prop_assert_eq!(Envelope::of(text.as_bytes()).check(&name(), &layouts), Ok(()));
        let lines: Vec<String> =
            LineReader::new(text.as_bytes()).map(|line| String::from_utf8(line.bytes.to_vec()).unwrap()).collect();
        prop_assert_eq!(&lines[1..lines.len() - 1], rows.as_slice());
    }
}
