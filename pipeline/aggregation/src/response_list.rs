//! Response List Transformer: which answers are good, and one answer out of them (A 2.7).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::descriptor::Descriptor;
use crate::local_time::Stockholm;
use crate::soap::{self, Message, Scope, SoapError, push_declaration};
use crate::status::{Failure, FailureCode, Record, push_status};

/// The prefix of the response element.
const PREFIX: &str = "agg";

/// Reads what a source system has sent. A SOAP fault is found whatever the HTTP status.
///
/// # Errors
/// The failure for its record.
pub fn read_answer(
    descriptor: &Descriptor,
    status: u16,
    content_type: Option<&str>,
    body: Vec<u8>,
    limit: usize,
) -> Result<Message, Failure> {
    if (300..400).contains(&status) {
        return Err(Failure::other(format!("the answer is a redirect (HTTP {status}), which is not followed")));
    }
    let is_good = (200..300).contains(&status);
    let of_status = |problem: &str| {
        let without_fault = || format!("HTTP status {status} without a SOAP fault");
        Failure::other(if is_good { problem.to_owned() } else { without_fault() })
    };
    let content = content_type.map(ContentType::read).unwrap_or_default();
    if !content.is_xml && !body.is_empty() {
        return Err(of_status("the content type of the answer is not XML"));
    }
    let read = Message::read(body, content.charset.as_deref(), limit, &descriptor.response.concatenate);
    let message = match read {
        Ok(message) => message,
        Err(SoapError::Empty) => return Err(of_status("the answer is empty")),
        Err(error) => return Err(of_status(&error.to_string())),
    };
    if let Some(fault) = message.fault() {
        let text = if fault.text.is_empty() { "a SOAP fault without a text" } else { &fault.text };
        return Err(Failure::new(FailureCode::Fault, text));
    }
    if !is_good {
        return Err(of_status(""));
    }
    if *message.name() != descriptor.response_name() {
        return Err(Failure::other(format!("the answer holds {}", message.name())));
    }
    match descriptor.response.checks.iter().find_map(|check| check.broken_by(&message)) {
        Some((path, value)) => Err(Failure::other(format!("the value '{value}' of {path} is not valid"))),
        None => Ok(message),
    }
}

/// A content type, as far as it matters.
#[derive(Debug)]
pub struct ContentType {
    /// Whether it is one of XML.
    pub is_xml: bool,
    /// Its charset.
    pub charset: Option<String>,
}

/// An answer without a content type is read as XML.
impl Default for ContentType {
    fn default() -> Self {
        Self { is_xml: true, charset: None }
    }
}

impl ContentType {
    /// Reads the value of the header.
    pub fn read(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_xml = matches!(kind.as_str(), "text/xml" | "application/xml") || kind.ends_with("+xml");
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        });
        Self { is_xml, charset }
    }
}

/// Writes the answer: the records, and the elements of all answers. `answers` come in the order of their arrival. Each
/// is let go as soon as its elements are written, so that the whole is not held twice.
pub fn write(
    descriptor: &Descriptor,
    mut answers: Vec<Arc<Message>>,
    records: &[Record],
    stockholm: &Stockholm,
) -> String {
    let mut out = String::with_capacity(answers.iter().map(|answer| answer.size()).sum::<usize>() + 4096);
    out.push_str(&soap::open_envelope());
    out.push_str("<soap:Header>");
    push_status(&mut out, records, stockholm);
    out.push_str("</soap:Header><soap:Body>");
    let element = format!("{PREFIX}:{}Response", descriptor.interaction);
    out.push_str(&format!("<{element}"));
    push_declaration(&mut out, PREFIX, &descriptor.contract);
    let mut scope = Scope::of_envelope();
    scope.bind(PREFIX, &descriptor.contract);
    // What the answers agree on is declared once. An element declares only where its answer differs.
    for answer in answers.iter().filter(|answer| answer.row_count() > 0) {
        for (prefix, namespace) in scope.extend(answer.row_scope()) {
            push_declaration(&mut out, &prefix, &namespace);
        }
    }
    out.push('>');
    let names = descriptor.response.concatenate.len();
    for index in 0..names.saturating_sub(1) {
        for answer in &answers {
            soap::splice_all(answer.rows(index), &mut out, &scope);
        }
    }
    for answer in answers.drain(..) {
        soap::splice_all(answer.rows(names.saturating_sub(1)), &mut out, &scope);
    }
    for fragment in descriptor.response.append.iter().flat_map(soap::Elements::fragments) {
        fragment.splice(&mut out, &scope);
    }
    out.push_str(&format!("</{element}></soap:Body></soap:Envelope>"));
    out
}
