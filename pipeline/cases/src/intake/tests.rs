//! Commands of origin systems on Kafka: who sends them, and in which form.

use serde_json::json;
use tributary_runtime::TopicPartition;
use tributary_schemas::AvroRecord;
use tributary_schemas::records::cases::Command;

use super::*;
use crate::harness;
use crate::topics;

const TIME: i64 = harness::NOW;

/// Answers with the header `answer`.
struct Told;

impl Senders for Told {
    fn sender(&self, headers: Headers<'_>, _: TimestampMillis) -> Result<OriginName, SenderError> {
        let answer = headers.get("answer").unwrap_or(b"esdh-a");
        match std::str::from_utf8(answer).unwrap() {
            "unauthenticated" => Err(SenderError::Unauthenticated("no token".to_owned())),
            "unknown" => Err(SenderError::UnknownClient("x".to_owned())),
            "client" => Err(SenderError::NotAnOrigin("x".to_owned())),
            "away" => Err(SenderError::Unavailable("the issuer is away".to_owned())),
            name => Ok(name.parse().unwrap()),
        }
    }
}

struct Given {
    stage: IntakeStage,
    context: Context,
    headers: Vec<u8>,
}

impl Given {
    fn new(queue: Queue) -> Self {
        let context = harness::context();
        Self { stage: IntakeStage::new(context.clone(), queue, Arc::new(Told)), context, headers: Vec::new() }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        append_header(&mut self.headers, name, value.as_bytes());
        self
    }

    fn process(&mut self, value: Option<&[u8]>, offset: i64) -> Result<Output, ProcessError> {
        let mut output = Output::new(1);
        let headers = Headers::from_bytes(&self.headers);
        output.inherit(TIME, headers);
        let origin = TopicPartition { topic: topics::CREATE_COMMANDS.name, partition: 0 };
        let record = Record { origin, offset, timestamp: TIME, key: b"", value, headers };
        self.stage.process(&record, &mut output)?;
        Ok(output)
    }

    fn command(&mut self, value: &[u8]) -> Command {
        let output = self.process(Some(value), 7).unwrap();
        let sent = output.records().next().unwrap();
        assert_eq!(sent.topic.name, topics::inbox_of(self.stage.queue).name);
        self.context.codec.open(sent.value.unwrap()).unwrap().read().unwrap()
    }

    /// The code of the dead letter, or `retry`.
    fn refused(&mut self, value: &[u8]) -> &'static str {
        match self.process(Some(value), 7) {
            Err(ProcessError::DeadLetter { code, .. }) => code,
            Err(ProcessError::Retry(_)) => "retry",
            other => panic!("not refused: {other:?}"),
        }
    }

    fn framed<R: AvroRecord>(&self, record: &R) -> Vec<u8> {
        let mut value = Vec::new();
        self.context.codec.encode(record, &mut value).unwrap();
        value
    }
}

fn create_json() -> Vec<u8> {
    let created = "2026-11-20T14:30:00+01:00";
    let uri = "https://esdh.example/1";
    json!({"caseId": harness::guid(1), "created": created, "caseDetailsUri": uri, "consumers": null}).to_string().into()
}

fn create_avro() -> CreateCaseCommand {
    CreateCaseCommand {
        case_id: harness::guid(1),
        created: "2026-11-20T14:30:00+01:00".to_owned(),
        case_details_uri: "https://esdh.example/1".to_owned(),
        any_consumer: true,
        ..CreateCaseCommand::default()
    }
}

#[test]
fn bare_json_framed_json_and_avro_are_the_same_command() {
    let mut given = Given::new(Queue::Create);
    let bare = given.command(&create_json());
    assert_eq!((bare.origin.as_str(), bare.any_consumer), ("esdh-a", true));
    let framed = [&[0, 0, 0, 0, 42], b" \n".as_slice(), &create_json()].concat();
    assert_eq!(given.command(&framed), bare);
    let avro = given.framed(&create_avro());
    assert_eq!(given.command(&avro), bare);
}

#[test]
fn a_command_without_an_id_has_the_same_one_each_time_and_another_one_at_another_place() {
    let id = |offset: i64| {
        let mut given = Given::new(Queue::Create);
        let output = given.process(Some(&create_json()), offset).unwrap();
        let command: Command =
            given.context.codec.open(output.records().next().unwrap().value.unwrap()).unwrap().read().unwrap();
        command.command_id
    };
    assert_eq!(id(7), id(7));
    assert_ne!(id(7), id(8));
}

#[test]
fn what_is_refused_has_a_code_and_what_cannot_be_told_now_is_tried_again() {
    for (answer, code) in [
        ("unauthenticated", "Unauthenticated"),
        ("unknown", "UnknownClient"),
        ("client", "NotAnOrigin"),
        ("away", "retry"),
    ] {
        assert_eq!(Given::new(Queue::Create).header("answer", answer).refused(b"no command"), code);
    }
}

#[test]
fn a_malformed_command_is_invalid() {
    let mut given = Given::new(Queue::Create);
    let update = given.framed(&UpdateCaseCommand { case_id: harness::guid(1), ..UpdateCaseCommand::default() });
    let mut damaged = given.framed(&create_avro());
    damaged.truncate(12);
    let large = format!("{{\"caseId\": \"{}\"}}", "x".repeat(LARGEST));
    let values: [&[u8]; 9] =
        [b"", b"{", b"[]", b"{}", b"\0\0\0\0\x2a{", b"\0\0\0\xff\xff\x48", &update, &damaged, large.as_bytes()];
    for value in values {
        assert_eq!(given.refused(value), "InvalidCommand", "{}", String::from_utf8_lossy(value));
    }
    let tombstone = given.process(None, 7).unwrap_err();
    assert!(matches!(tombstone, ProcessError::DeadLetter { code: "InvalidCommand", .. }));
}

#[test]
fn the_credentials_and_other_headers_of_the_sender_do_not_go_on() {
    let given = Given::new(Queue::Create).header("authorization", "Bearer secret").header("x", "y");
    let mut given = given.header("correlation", "c-1");
    let output = given.process(Some(&create_json()), 7).unwrap();
    let headers: Vec<_> = output.records().next().unwrap().headers.iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(headers, ["correlation"]);
}
