//! The main cases (A 7.2). They run against the descriptor of `GetLaboratoryOrderOutcome`, as the original's do.

use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tributary_flow::configuration::Source;

use super::world::*;
use crate::soap::{Fault, FaultCode};

fn tc1_setup() -> Setup {
    let systems = [("HSA-ID-4", "1002"), ("HSA-ID-5", "1003"), ("HSA-ID-6", "1004")];
    let engagements = systems.map(|(address, object)| engagement(address, "test_category", object));
    Setup::default().with_tak().patient("121212121212", &engagements)
}

fn tc4_setup() -> Setup {
    let systems = ["HSA-ID-1", "HSA-ID-2", "HSA-ID-2", "HSA-ID-3"];
    let engagements = systems.map(|address| engagement(address, "test_category", "1001"));
    Setup::default().with_tak().patient("198611062384", &engagements)
}

/// The descriptor of the laboratories with other entries.
fn laboratory(replace: &str, with: &str) -> Source {
    let text = include_str!("../../config/services/GetAggregatedLaboratoryOrderOutcome.v4.toml");
    assert!(text.contains(replace));
    Source::new("own.toml", text.replace(replace, with))
}

#[tokio::test(start_paused = true)]
async fn tc1() {
    let mut world = tc1_setup().build();
    let answer = world.ask(LABORATORY, "121212121212").await;
    assert_eq!(answer.rows.len(), 3);
    answer.assert_all_from_source(&["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"]);
    let mut objects: Vec<_> = answer.rows.iter().map(|[_, _, object]| object.as_str()).collect();
    objects.sort_unstable();
    assert_eq!(objects, ["1002", "1003", "1004"]);
    let success = "<h:lastSuccessfulSynch>20261128130000</h:lastSuccessfulSynch>";
    assert_eq!(answer.text.matches(success).count(), 3, "{}", answer.text);
    let entry = world.audit.recv().await.unwrap();
    assert_eq!((entry.outcome, entry.addresses.len()), (AuditOutcome::Answered, 3));
    assert_eq!((entry.addresses[0].status.name(), entry.addresses[0].ms), ("DataFromSource", 500));
    for seen in world.seen() {
        assert_eq!(seen.message().logical_address(), Some(seen.address.clone()));
        assert_eq!(seen.url, "http://vp.example/vp");
    }
}

#[tokio::test(start_paused = true)]
async fn tc2() {
    let world = tc1_setup().build();
    let answer = world.ask(LABORATORY, "188803099368").await;
    assert_eq!((answer.rows.len(), answer.records.len()), (0, 0));
    assert!(answer.text.contains("ProcessingStatus"), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn tc3() {
    let engagements = ["HSA-ID-1", "HSA-ID-2"].map(|address| engagement(address, "test_category", "1001"));
    let world = Setup::default().with_tak().patient("194911172296", &engagements).build();
    world.producers.set("HSA-ID-2", 2000, What::Inside(String::new()));
    let answer = world.ask(LABORATORY, "194911172296").await;
    assert_eq!((answer.rows_of("HSA-ID-1"), answer.rows_of("HSA-ID-2")), (1, 0));
    answer.assert_all_from_source(&["HSA-ID-1", "HSA-ID-2"]);
}

#[tokio::test(start_paused = true)]
async fn tc4() {
    let world = tc4_setup().build();
    let begin = Instant::now();
    let answer = world.ask(LABORATORY, "198611062384").await;
    assert_eq!((answer.rows_of("HSA-ID-1"), answer.rows_of("HSA-ID-2"), answer.rows.len()), (1, 2, 3));
    answer.assert_failed("HSA-ID-3", "504", "timeout");
    assert!(!answer.text.contains("<h:lastSuccessfulSynch>20261128130003"), "{}", answer.text);
    assert!(answer.text.contains("<h:lastUnsuccessfulSynch>20261128130003<"), "{}", answer.text);
    assert_eq!(world.called(), ["HSA-ID-1", "HSA-ID-2", "HSA-ID-3"]);
    assert_eq!(begin.elapsed(), ms(3010));
}

#[tokio::test(start_paused = true)]
async fn tc5() {
    let world = Setup::default().with_tak().patient("192011189228", &[engagement("HSA-ID-1", "c", "5001")]).build();
    world.producers.set("HSA-ID-1", 100, What::Fault(500, "Invalid Id: 192011189228".to_owned()));
    let answer = world.ask(LABORATORY, "192011189228").await;
    assert!(answer.rows.is_empty());
    answer.assert_failed("HSA-ID-1", "500", "Invalid Id: 192011189228");
}

#[tokio::test(start_paused = true)]
async fn tc6() {
    let engagements = [engagement("HSA-ID-7", "c", "6001"), engagement("HSA-ID-77", "c", "6002")];
    let mut world = Setup::default().with_tak().patient("194804032094", &engagements).build();
    let answer = world.ask(LABORATORY, "194804032094").await;
    assert_eq!((answer.rows.len(), answer.records.len(), world.called().len()), (0, 0, 0));
    let filtered = world.audit.recv().await.unwrap().filtered;
    let reasons: Vec<_> = filtered.iter().map(|one| (one.address.as_str(), one.reason.name())).collect();
    assert_eq!(reasons, [("HSA-ID-7", "permission"), ("HSA-ID-77", "permission")]);
}

#[tokio::test(start_paused = true)]
async fn tc7() {
    let text = format!(
        r#"{{"routes": [{{"contract": "{LABORATORY_CONTRACT}", "receiver": "SE0000000003-1234"}}],
            "permissions": [{{"contract": "{LABORATORY_CONTRACT}", "receiver": "SE0000000003-1234",
                              "sender": "sample-sender-id"}}],
            "parents": {{"SE0000000005-1234": "SE0000000004-1234", "SE0000000004-1234": "SE0000000003-1234"}}}}"#
    );
    let setup = Setup { tak: Some(crate::tak::Tak::read(text.as_bytes()).unwrap()), ..Setup::default() };
    let world = setup.patient("194808069887", &[engagement("SE0000000005-1234", "c", "7001")]).build();
    let answer = world.ask(LABORATORY, "194808069887").await;
    assert_eq!(answer.rows_of("SE0000000005-1234"), 1);
}

fn tc8_setup() -> Setup {
    let engagements = ["HSA-ID-4", "HSA-ID-5"].map(|address| engagement(address, "c", "8001"));
    Setup::default().with_tak().patient("194800000001", &engagements)
}

fn tc8_answer() -> What {
    let row = row("laboratoryOrderOutcome", "HSA-ID-5", "194800000001", "8001");
    What::Inside(row.replace("</c:laboratory", "<c:time>1895</c:time></c:laboratory"))
}

#[tokio::test(start_paused = true)]
async fn tc8a() {
    let world = tc8_setup().build();
    world.producers.set("HSA-ID-5", 500, tc8_answer());
    let answer = world.ask(LABORATORY, "194800000001").await;
    answer.assert_all_from_source(&["HSA-ID-4", "HSA-ID-5"]);
    assert_eq!((answer.rows_of("HSA-ID-4"), answer.rows_of("HSA-ID-5")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn tc8b() {
    let checks = "validate = true\n\
                  checks = [{ path = \"laboratoryOrderOutcome/time\", pattern = \"^[0-9]{8}([0-9]{6})?$\" }]\n\
                  concatenate";
    let mut setup = Setup { descriptors: vec![laboratory("concatenate", checks)], ..tc8_setup() };
    setup.settings.check_soap_action = true;
    let world = setup.build();
    world.producers.set("HSA-ID-5", 500, tc8_answer());
    let answer = world.ask(LABORATORY, "194800000001").await;
    assert_eq!((answer.rows_of("HSA-ID-4"), answer.rows_of("HSA-ID-5")), (1, 0));
    answer.assert_failed("HSA-ID-5", "43000", "1895");
}

fn tc9_setup(categories: &str) -> Setup {
    let systems = [("HSA-ID-4", "cat1"), ("HSA-ID-5", "CAT2"), ("HSA-ID-6", "cat3")];
    let engagements = systems.map(|(address, category)| engagement(address, category, "9001"));
    let descriptors = vec![laboratory("\"und-kkm-ure\"", categories)];
    Setup { descriptors, ..Setup::default() }.with_tak().patient("194800000002", &engagements)
}

#[tokio::test(start_paused = true)]
async fn tc9a() {
    let world = tc9_setup("\"test_category\"").build();
    let answer = world.ask(LABORATORY, "194800000002").await;
    assert_eq!(answer.rows.len(), 3);
    let sent = world.index.seen.lock().unwrap()[0].find.categorization.clone();
    assert_eq!(sent.as_deref(), Some("test_category"));
}

#[tokio::test(start_paused = true)]
async fn tc9b() {
    let mut world = tc9_setup("\"cat2\", \"cat3\"").build();
    let answer = world.ask(LABORATORY, "194800000002").await;
    answer.assert_all_from_source(&["HSA-ID-5", "HSA-ID-6"]);
    assert_eq!(world.index.seen.lock().unwrap()[0].find.categorization, None);
    assert_eq!(world.audit.recv().await.unwrap().filtered[0].reason.name(), "category");
    let none = tc9_setup("\"cat4\", \"CAT1\"").build();
    assert!(none.ask(LABORATORY, "194800000002").await.records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn tc10() {
    let engagements = [engagement("5565594230", "c", "1"), engagement("HSA-ID-5", "c", "2")];
    let mut world = Setup::default().with_tak().patient("194800000003", &engagements).build();
    let answer = world.ask(LABORATORY, "194800000003").await;
    answer.assert_all_from_source(&["HSA-ID-5"]);
    let filtered = world.audit.recv().await.unwrap().filtered;
    assert_eq!((filtered.len(), filtered[0].reason.name()), (1, "own_address"));
}

#[tokio::test(start_paused = true)]
async fn ei_1() {
    let mut world = tc1_setup().build();
    let begin = Instant::now();
    let fault = world.fault(LABORATORY, "EI:TIMEOUT").await;
    assert_eq!(fault.code, "Server");
    assert!(fault.text.contains("timeout"), "{}", fault.text);
    assert_eq!(begin.elapsed(), ms(1000));
    assert_eq!(world.audit.recv().await.unwrap().outcome, AuditOutcome::Fault);
}

#[tokio::test(start_paused = true)]
async fn ei_2() {
    let world = tc1_setup().build();
    let fault = world.fault(LABORATORY, "EI:INV_ID").await;
    assert_eq!(fault, Fault::new(FaultCode::Server, "Invalid Id: EI:INV_ID"));
}

#[tokio::test(start_paused = true)]
async fn soap_1() {
    let world = tc1_setup().build();
    let find = crate::find_content::FindContent {
        patient: "121212121212".parse().unwrap(),
        service_domain: "riv:a".to_owned(),
        categorization: None,
        most_recent_content: None,
    };
    let reply = world.flow.ask(world.service(LABORATORY), asked(find.write("5565594230"))).await;
    let expected = "Message part {urn:riv:itintegration:engagementindex:FindContentResponder:1}FindContent was not \
                    recognized.";
    assert_eq!(fault_of(&reply), Fault::new(FaultCode::Client, expected));
    assert_eq!(reply.correlation.as_deref(), Some("test-corr-id"));
}

async fn with_another_action(setup: Setup) -> (World, Reply) {
    let world = setup.build();
    let service = world.service(LABORATORY).clone();
    let body = request(&service, &naming(&service, "121212121212"), "");
    let asked = Asked { soap_action: Some("\"urn:another\"".to_owned()), ..asked(body) };
    let reply = world.flow.ask(&service, asked).await;
    (world, reply)
}

#[tokio::test(start_paused = true)]
async fn soap_2() {
    let (world, reply) = with_another_action(tc1_setup()).await;
    assert_eq!(Answered::of(world.service(LABORATORY), &reply).rows.len(), 3);
    let own = format!("\"{LABORATORY_CONTRACT}:GetLaboratoryOrderOutcome\"");
    assert!(world.seen().iter().all(|seen| seen.header("soapaction") == Some(&own)));
}

#[tokio::test(start_paused = true)]
async fn soap_3() {
    let mut setup = tc1_setup();
    setup.settings.check_soap_action = true;
    let (world, reply) = with_another_action(setup).await;
    let text = "The given SOAPAction urn:another does not match an operation.";
    assert_eq!(fault_of(&reply), Fault::new(FaultCode::Server, text));
    assert!(world.index.seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn faulty() {
    let world = tc1_setup().build();
    let other = "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><a/></e:Body></e:Envelope>";
    for address in ["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"] {
        world.producers.set(address, 100, What::Raw(200, Some("text/xml"), other.into()));
    }
    let answer = world.ask(LABORATORY, "121212121212").await;
    assert!(answer.rows.is_empty());
    for address in ["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"] {
        answer.assert_failed(address, "43000", "the answer holds {}a");
    }
}

#[tokio::test(start_paused = true)]
async fn agg_to() {
    let mut setup = tc4_setup();
    setup.settings.index_timeout = Some(ms(2500));
    let mut world = setup.build();
    *world.index.delay.lock().unwrap() = ms(2000);
    world.producers.set("HSA-ID-2", 1000, What::Rows);
    world.producers.set("HSA-ID-3", 2900, What::Rows);
    let begin = Instant::now();
    let answer = world.ask(LABORATORY, "198611062384").await;
    assert_eq!(begin.elapsed(), ms(4000));
    assert_eq!((answer.rows_of("HSA-ID-1"), answer.rows_of("HSA-ID-2"), answer.rows.len()), (1, 2, 3));
    let record = answer.record("HSA-ID-3");
    assert_eq!((record.code.as_deref(), record.text.as_deref()), (Some("43000"), Some("Unknown error")));
    assert_eq!(world.audit.recv().await.unwrap().addresses.len(), 3);
    tokio::time::sleep(ms(60_000)).await;
    let counts = &world.producers.counts;
    assert_eq!((counts.answered.load(Ordering::Relaxed), counts.cancelled.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn no_hdr() {
    let world = tc1_setup().build();
    let service = world.service(LABORATORY).clone();
    for (name, _) in mandatory_headers() {
        let mut asked = asked(request(&service, &naming(&service, "121212121212"), ""));
        asked.headers.retain(|(known, _)| *known != name);
        let fault = fault_of(&world.flow.ask(&service, asked).await);
        assert_eq!(fault, Fault::new(FaultCode::Server, format!("Mandatory HTTP header {name} is missing")));
    }
    assert!(world.index.seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn headers_reach_the_index_and_the_source_systems() {
    let world = tc1_setup().build();
    let service = world.service(LABORATORY).clone();
    let mut asked = asked(request(&service, &naming(&service, "121212121212"), ""));
    let more = [("X-rivta-TEST2", "2"), ("x-vp-instance-id", "theirs"), ("Cookie", "secret")];
    asked.headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let reply = world.flow.ask(&service, asked).await;
    assert_eq!((reply.kind.status(), reply.correlation.as_deref()), (200, Some("test-corr-id")));
    for seen in world.seen() {
        assert_eq!(seen.header(SENDER), Some("sample-sender-id"));
        assert_eq!(seen.header("x-vp-instance-id"), Some("dev_env"));
        assert_eq!(seen.header("x-rivta-test2"), Some("2"));
        assert_eq!(seen.header("cookie"), None);
    }
    let question = world.index.seen.lock().unwrap()[0].clone();
    let header = |name: &str| question.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((header(SENDER), header(CORRELATION)), (Some("ei-sender-id"), Some("test-corr-id")));
}
