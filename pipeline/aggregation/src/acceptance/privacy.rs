//! Ids and contents of patients stay out of everything that could reach a log.

use std::sync::{Arc, Mutex};

use super::world::*;
use crate::find_content::{FindContent, Found, IndexError};
use crate::soap::{Fault, FaultCode};
use crate::status::Failure;

const PATIENT: &str = "191212121212";

#[tokio::test(start_paused = true)]
async fn no_patient_in_logs_metrics_or_errors() {
    let mut world = Setup::default().patient(PATIENT, &[engagement("SYS", "c", PATIENT)]).build();
    let answer = world.ask(LABORATORY, PATIENT).await;
    let question = world.index.seen.lock().unwrap()[0].clone();
    let entry = world.audit.recv().await.unwrap();
    let fault = Fault::new(FaultCode::Client, format!("Invalid Id: {PATIENT}"));
    let engagement = crate::engagement::Engagement {
        patient: PATIENT.parse().ok(),
        business_object: PATIENT.to_owned(),
        ..engagement("SYS", "c", PATIENT)
    };
    let find: FindContent = question.find.clone();
    let shown = [
        format!("{:?}", answer.message),
        format!("{question:?}"),
        format!("{entry:?}"),
        format!("{fault:?}"),
        format!("{engagement:?}"),
        format!("{find:?}"),
        format!("{:?}", IndexError::Fault(fault)),
        format!("{:?}", Failure::other(format!("the value '{PATIENT}' is not valid"))),
        format!("{:?}", Found { engagements: vec![engagement], ..Found::default() }),
        format!("{:?}", world.flow),
        format!("{:?}", world.flow.places()),
    ];
    for text in shown {
        assert!(!text.contains(PATIENT), "{text}");
    }
}

/// Keeps all log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_six_events_have_the_correlation_id_and_no_patient() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    // One for all threads: whether an event is of interest is remembered for the whole process.
    tracing::subscriber::set_global_default(subscriber.with_writer(move || writer.clone()).finish()).unwrap();
    let engagements = ["SYS-1", "SYS-2"].map(|address| engagement(address, "c", PATIENT));
    let world = Setup::default().patient(PATIENT, &engagements).build();
    world.producers.set("SYS-2", 10, What::Fault(500, format!("Invalid Id: {PATIENT}")));
    let service = world.service(LABORATORY).clone();
    for body in [request(&service, &naming(&service, PATIENT), ""), format!("<a>{PATIENT}</a>")] {
        let mut asked = asked(body);
        asked.headers.retain(|(name, _)| name != CORRELATION);
        asked.headers.push((CORRELATION.to_owned(), "corr-id-of-logs".to_owned()));
        world.flow.ask(&service, asked).await;
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for name in ["req-in", "req-out", "resp-in", "resp-out", "error-in", "error-out"] {
        let is_it = |line: &str| line.contains(name) && line.contains("corr-id-of-logs");
        assert!(text.lines().any(is_it), "{name}: {text}");
    }
    assert!(!text.contains(PATIENT), "{text}");
}

#[test]
fn no_patient_in_errors_about_a_message() {
    use crate::soap::Message;
    for bytes in [
        format!("<{PATIENT}/>"),
        format!("<a x='{PATIENT}' x='{PATIENT}'/>"),
        format!("<a>{PATIENT}</b{PATIENT}>"),
        format!("<a>&p{PATIENT};</a>"),
        format!("<p{PATIENT}:a/>"),
        format!("<?xml version='1.0' encoding='{PATIENT}'?><a/>"),
        format!("<a>{PATIENT}"),
        PATIENT.to_owned(),
    ] {
        let error = Message::read(bytes.into_bytes(), None, 1000, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PATIENT), "{error:?}");
    }
}
