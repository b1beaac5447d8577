//! Asks a service as a consumer does, and says why an answer is as it is.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use tributary_aggregation::in_words::{AnswerInWords, RecordInWords, read_answer};
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, table};
use uuid::Uuid;

use super::{Answer, file, required, text_of};

/// Who asks, if nobody is named.
const SENDER: &str = "tributary";

/// The largest answer that is shown, in bytes.
const MOST_BYTES: usize = 64 << 20;

pub(super) fn ask() -> Command {
    Command::new("ask").about("Ask a service about a patient: rows, and what became of each source system").args([
        Arg::new("service").long("service").value_name("NAME").required(true).help("The name of a service"),
        Arg::new("patient").long("patient").value_name("ID").required(true).help("The patient"),
        Arg::new("sender")
            .long("sender")
            .value_name("ID")
            .help("Who asks, as source systems see it [default: tributary]"),
        file("body").long("body").help("A file with the request element, instead of one with the patient alone"),
    ])
}

pub(super) fn why() -> Command {
    Command::new("why").about("Say why a source system is, or is not, in an answer").args([
        Arg::new("correlation").value_name("CORRELATION_ID").required(true).help("The correlation id of the question"),
        Arg::new("address").value_name("ADDRESS").help("Only this address"),
    ])
}

pub(super) fn asked(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let (name, patient) = (required(options, "service")?, required(options, "patient")?);
    let services = service.get("/api/aggregation/services", &[])?;
    let offered = services.as_array().into_iter().flatten().find(|one| one["name"] == json!(name));
    let offered = offered.ok_or_else(|| {
        Failure::refused(format!("the service offers no {name}: see tributary aggregation services list"))
    })?;
    let body = match options.get_one::<PathBuf>("body") {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::refused(format!("cannot read {}: {error}", path.display())))?,
        None => request_element(offered, patient),
    };
    let message = format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Header>\
         <r:LogicalAddress xmlns:r=\"urn:riv:itintegration:registry:1\">tributary</r:LogicalAddress></soap:Header>\
         <soap:Body>{body}</soap:Body></soap:Envelope>"
    );
    let sender = options.get_one::<String>("sender").map_or(SENDER, String::as_str);
    let correlation = Uuid::new_v4().to_string();
    let headers = [
        ("content-type", "text/xml; charset=UTF-8"),
        ("x-vp-sender-id", sender),
        ("x-rivta-original-serviceconsumer-hsaid", sender),
        ("x-skltp-correlation-id", &correlation),
    ];
    let (status, text) = service.post_text(&text_of(&offered["path"]), &headers, message.into_bytes())?;
    match read_answer(text.into_bytes(), MOST_BYTES) {
        Ok(answer) => Ok(shown(&correlation, &answer)),
        Err(reason) if status.is_client_error() => Err(Failure::refused(format!("HTTP {status}: {reason}"))),
        Err(reason) => Err(Failure::unfinished(format!("HTTP {status}: {reason}"))),
    }
}

/// The smallest request: the patient where the contract has it.
fn request_element(offered: &Value, patient: &str) -> String {
    let (contract, interaction) = (text_of(&offered["contract"]), text_of(&offered["interaction"]));
    let path = text_of(&offered["patient"]);
    let names: Vec<&str> = path.split('/').collect();
    let patient = patient.replace('&', "&amp;").replace('<', "&lt;");
    let inside = names.iter().rev().fold(patient, |inside, name| format!("<c:{name}>{inside}</c:{name}>"));
    format!("<c:{interaction} xmlns:c=\"{contract}\">{inside}</c:{interaction}>")
}

fn shown(correlation: &str, answer: &AnswerInWords) -> Answer {
    let record =
        |one: &RecordInWords| json!({"address": one.address, "status": one.status, "code": one.code, "text": one.text});
    let records: Vec<Value> = answer.records.iter().map(record).collect();
    let object = |row: &Vec<(String, String)>| row.iter().cloned().map(|(path, text)| (path, json!(text))).collect();
    let rows: Vec<Value> = answer.rows.iter().map(|row| Value::Object(object(row))).collect();
    let document = json!({"correlation": correlation, "rows": rows, "records": records});
    let leaf = |(path, text): &(String, String)| format!("{path}={text}");
    let line = |row: &Vec<(String, String)>| row.iter().map(leaf).collect::<Vec<_>>().join(" ") + "\n";
    let mut text: String = answer.rows.iter().map(line).collect();
    let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |one: &RecordInWords| vec![one.address.clone(), one.status.clone(), cell(&one.code), cell(&one.text)];
    let rows: Vec<Vec<String>> = answer.records.iter().map(row).collect();
    let _ = writeln!(text, "{} rows, {} source systems; correlation id {correlation}", answer.rows.len(), rows.len());
    text += &table::lines(&["source system", "status", "code", "text"], &rows, 4).join("\n");
    Answer { document, text }
}

pub(super) fn explained(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let correlation = required(options, "correlation")?;
    let address = options.get_one::<String>("address");
    let document = service.get("/api/aggregation/calls", &[("correlation", correlation)])?;
    let calls = document.as_array().map(Vec::as_slice).unwrap_or_default();
    if calls.is_empty() {
        return Err(Failure::refused(format!(
            "the audit has no question with the correlation id {correlation}; the last 100,000 can be asked for"
        )));
    }
    let text = calls.iter().map(|call| verdict(call, address.map(String::as_str))).collect::<Vec<_>>().join("\n\n");
    Ok(Answer { document, text })
}

/// Why an answer is as it is: the steps in the order in which they were taken.
fn verdict(call: &Value, address: Option<&str>) -> String {
    let mut text = format!(
        "{} at {}: {} asked for {}; it was {}",
        text_of(&call["service"]),
        text_of(&call["time"]),
        text_of(&call["sender"]),
        text_of(&call["original_consumer"]),
        match call["outcome"].as_str() {
            Some("answered") => "answered",
            Some("fault") => "answered with a fault, so nothing of any source system is in it",
            _ => "not answered, because the consumer went away",
        }
    );
    let is_wanted = |one: &&Value| address.is_none_or(|address| one["address"] == json!(address));
    let (mut count, step) = (0, |text: String| format!("\n  {text}"));
    for filtered in call["filtered"].as_array().into_iter().flatten().filter(is_wanted) {
        let reason = match filtered["reason"].as_str().unwrap_or_default() {
            "category" => "the category of its engagement is not one of the service",
            "own_address" => "it is the own address of this platform",
            "permission" => "TAK has no permission for the sender or the original consumer that is valid now",
            "route" => "TAK has no route to it that is valid now",
            "service" => "the request does not ask for it",
            other => other,
        };
        text += &step(format!("{}: in the index, not called: {reason}", text_of(&filtered["address"])));
        count += 1;
    }
    for called in call["addresses"].as_array().into_iter().flatten().filter(is_wanted) {
        let code = called["code"].as_str().map(|code| format!(", code {code}")).unwrap_or_default();
        let what = match called["status"].as_str().unwrap_or_default() {
            "DataFromSource" => "called, its rows are in the answer",
            "DataFromCache" => "not called, its rows are from the cache and up to date",
            "DataFromCacheSynchFailed" => "called in vain, its rows are old ones from the cache",
            "NoDataSynchFailed" if called["code"].is_null() => "called, the question ended before its answer",
            "NoDataSynchFailed" => "called in vain, no rows",
            other => other,
        };
        let line = format!("{}: in the index, {what} ({} ms{code})", text_of(&called["address"]), called["ms"]);
        text += &step(line);
        count += 1;
    }
    if count == 0 {
        let is_answered = call["outcome"] == json!("answered");
        text += &step(match address {
            _ if !is_answered => "it ended before that was known".to_owned(),
            Some(address) => format!("{address}: the index had no engagement there that the question asked for"),
            None => "the index had no engagement that the question asked for".to_owned(),
        });
    }
    text
}
