//! The cache-flow: the service as the consumer sees it. It reads headers and request, makes the query object, answers
//! from the cache or by the main-flow, and writes the answer (A 2.2).

use std::fmt;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::audit::{AuditAddress, AuditOutcome, OpenEntry};
use crate::cache::{CacheKey, CachedPart, Entry, Refresh};
use crate::caller::{Caller, Header, check_soap_action};
use crate::events;
use crate::flow::{Flow, Service};
use crate::main_flow;
use crate::memory::Share;
use crate::query_object;
use crate::question::{Answer, Part, Question};
use crate::request_reply_flow;
use crate::response_list;
use crate::soap::{Fault, FaultCode, Message};

/// A request as it came, without its transport.
pub struct Asked {
    /// All HTTP headers.
    pub headers: Vec<Header>,
    /// The SOAP action, if there was one.
    pub soap_action: Option<String>,
    /// The charset of the content type, if it has one.
    pub charset: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What goes back.
#[derive(Debug)]
pub struct Reply {
    /// What it is.
    pub kind: ReplyKind,
    /// The correlation id of the request, if it had one.
    pub correlation: Option<String>,
    body: ReplyBody,
}

/// The SOAP message of a reply, in UTF-8. It has the space of the answers that it is made of until it is dropped: a
/// message that waits for its reader is held too.
pub struct ReplyBody {
    text: String,
    space: Vec<Share>,
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ReplyBody({} bytes, {} shares)", self.text.len(), self.space.len())
    }
}

impl AsRef<[u8]> for ReplyBody {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The kinds of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// An answer, HTTP 200.
    Answer,
    /// A fault, HTTP 500.
    Fault,
    /// A fault because too many questions are under way, HTTP 503 with `Retry-After`.
    Busy,
}

impl ReplyKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Answer => 200,
            Self::Fault => 500,
            Self::Busy => 503,
        }
    }
}

impl Reply {
    /// The SOAP message.
    pub fn body(&self) -> &str {
        &self.body.text
    }

    /// Takes the SOAP message, with its space.
    pub fn into_body(self) -> ReplyBody {
        self.body
    }
}

impl Flow {
    /// Answers a question. If the future is dropped, everything that is under way for it is cancelled.
    pub async fn ask(self: &Arc<Self>, service: &Arc<Service>, asked: Asked) -> Reply {
        let arrival = Instant::now();
        let correlation = Caller::correlation_of(&asked.headers);
        let of_fault = |kind: ReplyKind, fault: &Fault| {
            let body = ReplyBody { text: fault.write(), space: Vec::new() };
            Reply { kind, correlation: correlation.clone(), body }
        };
        let Ok(_question) = self.questions.try_acquire() else {
            self.note_refused(service, correlation.clone());
            let fault = Fault::new(FaultCode::Server, "Too many questions are under way. Ask again later.");
            return of_fault(ReplyKind::Busy, &fault);
        };
        let limit = service.timeouts.aggregated_service();
        let late = || Fault::new(FaultCode::Server, format!("timeout: no answer within {} ms", limit.as_millis()));
        // If this future is dropped, so is the entry, which then says that the consumer went away.
        let mut open = None;
        let answer = timeout_at(arrival + limit, self.answer(service, asked, arrival, &mut open)).await;
        let answer = answer.unwrap_or_else(|_| Err(late()));
        if let Some(open) = &mut open {
            open.entry.outcome = if answer.is_ok() { AuditOutcome::Answered } else { AuditOutcome::Fault };
        }
        match answer {
            Ok(body) => Reply { kind: ReplyKind::Answer, correlation, body },
            Err(fault) => {
                events::question_failed(&service.descriptor.name, correlation.as_deref(), &fault.code);
                of_fault(ReplyKind::Fault, &fault)
            }
        }
    }

    /// Notes a question that is refused because too many are under way. It waits for no place in the audit: then the
    /// refusal would wait too.
    fn note_refused(&self, service: &Service, correlation: Option<String>) {
        if let Ok(permit) = self.audit.clone().try_reserve_owned() {
            let mut open = OpenEntry::begin(permit, (self.clock)(), &service.descriptor.name, correlation);
            open.entry.outcome = AuditOutcome::Fault;
        }
    }

    async fn answer(
        self: &Arc<Self>,
        service: &Arc<Service>,
        asked: Asked,
        arrival: Instant,
        open: &mut Option<OpenEntry>,
    ) -> Result<ReplyBody, Fault> {
        let no_audit = |_| Fault::new(FaultCode::Server, "The audit is closed, so no question is answered.");
        let permit = self.audit.clone().reserve_owned().await.map_err(no_audit)?;
        let correlation = Caller::correlation_of(&asked.headers);
        let open = open.insert(OpenEntry::begin(permit, (self.clock)(), &service.descriptor.name, correlation));
        let mut question = self.question(service, asked, arrival, open)?;
        let (parts, of_text) = self.parts(&mut question, open).await?;
        open.entry.addresses = parts.iter().map(Part::audit).collect();
        let records: Vec<_> = parts.iter().map(Part::record).collect();
        let failed = records.iter().filter(|record| record.failure.is_some()).count();
        let (name, correlation) = (&service.descriptor.name, &question.caller.correlation);
        events::question_answered(name, correlation, records.len(), failed);
        let (answers, mut space) = messages(parts);
        space.push(of_text);
        let text = response_list::write(&service.descriptor, answers, &records, &self.stockholm);
        Ok(ReplyBody { text, space })
    }

    /// What becomes of each address, from the cache as far as it serves. Also the space for the text of those answers
    /// that the cache holds on to.
    async fn parts(
        self: &Arc<Self>,
        question: &mut Question,
        open: &mut OpenEntry,
    ) -> Result<(Vec<Part>, Share), Fault> {
        let mut text = self.memory.share();
        let Some(cache) = &self.cache else {
            return Ok((self.refresh(question, None, open).await?, text));
        };
        if let Some(log) = self.cache_log() {
            log.read_once().await;
        }
        let (descriptor, patient) = (&question.service.descriptor, &question.find.patient);
        let key = CacheKey::of(&descriptor.name, patient, &question.caller, &question.request);
        if let Some(entry) = cache.answer(&key, Instant::now()) {
            text.grow_to(entry.answer_bytes()).await;
            // A mark may have come during the wait, and all has become older.
            if let Some(entry) = cache.answer(&key, Instant::now()) {
                cache.count_hit();
                return Ok((entry.parts.into_iter().map(CachedPart::into_part).collect(), text));
            }
        }
        let ticket = cache.begin(key, descriptor, patient);
        // A reload before the ticket is seen here, and one after it reaches the ticket.
        question.tak = self.tak();
        let old = ticket.entry();
        let old_bytes = old.as_ref().map(Entry::answer_bytes).unwrap_or_default();
        // Waits while it holds nothing that another question may wait for.
        text.grow_to(old_bytes).await;
        let parts = self.refresh(question, old, open).await?;
        let answers = parts.iter().filter_map(|part| part.result.as_ref().ok());
        // What is kept takes its space beside the text that is written. If there is none, it is not kept.
        if text.try_grow_to(answers.map(|answer| answer.message.size()).sum()) {
            let basis = self.basis(&question.service.descriptor, question.tak.as_deref());
            ticket.keep(&parts, Instant::now(), basis);
        }
        Ok((parts, text))
    }

    /// Asks the index, and calls those of which the cache has nothing to serve.
    async fn refresh(
        self: &Arc<Self>,
        question: &Question,
        old: Option<Entry>,
        open: &mut OpenEntry,
    ) -> Result<Vec<Part>, Fault> {
        let (requests, filtered) = main_flow::requests(self, question).await?;
        open.entry.filtered = filtered;
        let mut refresh = Refresh::new(old, requests);
        loop {
            let now = Instant::now();
            let due = refresh.due(now);
            if due.is_empty() {
                return Ok(refresh.finish(now));
            }
            // Should the consumer go away, the audit still says who was called.
            open.entry.addresses.extend(due.iter().map(|request| AuditAddress::called(&request.address)));
            refresh.take(request_reply_flow::reply(self, question, due).await);
        }
    }

    /// Reads the request.
    fn question(
        &self,
        service: &Arc<Service>,
        asked: Asked,
        arrival: Instant,
        open: &mut OpenEntry,
    ) -> Result<Question, Fault> {
        let caller = Caller::read(&asked.headers)?;
        open.entry.caller = Some(caller.clone());
        let descriptor = &service.descriptor;
        events::question_came(&descriptor.name, &caller);
        if self.settings.check_soap_action {
            check_soap_action(asked.soap_action.as_deref(), &descriptor.soap_action())?;
        }
        let limit = self.settings.max_request_bytes;
        let request = Message::read(asked.body, asked.charset.as_deref(), limit, &[])
            .map_err(|error| Fault::new(FaultCode::Client, error.to_string()))?;
        let now = open.entry.time;
        let find = query_object::create(descriptor, &request, &self.stockholm, now)?;
        open.entry.patient = Some(find.patient.clone());
        Ok(Question { service: service.clone(), caller, request, find, tak: self.tak(), now, arrival })
    }
}

/// The good answers, and their space, in which the text that is written takes their place. An answer that nobody else
/// holds can be let go as soon as it is written.
fn messages(parts: Vec<Part>) -> (Vec<Arc<Message>>, Vec<Share>) {
    let answers = parts.into_iter().filter_map(|part| part.result.ok());
    let (mut messages, mut space) = (Vec::new(), Vec::new());
    for answer in answers {
        match Arc::try_unwrap(answer) {
            Ok(Answer { message, share }) => {
                messages.push(message);
                space.push(share);
            }
            Err(cached) => messages.push(cached.message.clone()),
        }
    }
    (messages, space)
}
