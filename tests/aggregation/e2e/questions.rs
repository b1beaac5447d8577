//! Questions over HTTP: the main cases of A 7.2 with the own index and real source systems.

use reqwest::Method;

use crate::messages::{Engaged, LABORATORY_PATH, laboratory_question, statuses, texts};
use crate::systems::{Answer, Systems};
use crate::world::{Platform, configuration};

const PATIENT: &str = "191212121212";

async fn platform_with(engagements: &[Engaged], more: &str) -> (Platform, Systems) {
    let systems = Systems::start().await;
    let platform = Platform::start(&configuration(&systems.url, more));
    platform.update(engagements).await;
    (platform, systems)
}

fn three() -> Vec<Engaged> {
    let engaged = |number: usize| Engaged::laboratory(PATIENT, &format!("HSA-ID-{number}"), &format!("100{number}"));
    (4..=6).map(engaged).collect()
}

#[tokio::test]
async fn tc1_three_source_systems_answer() {
    let (platform, systems) = platform_with(&three(), "").await;
    let answered = platform.ask(PATIENT).await;
    assert_eq!((answered.status, answered.header("content-type")), (200, "text/xml; charset=UTF-8"));
    assert_eq!(answered.header("x-skltp-correlation-id"), "test-corr-id");
    let mut rows = texts(&answered.body, "system");
    rows.sort();
    assert_eq!(rows, ["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"]);
    assert_eq!(texts(&answered.body, "person"), [PATIENT; 3]);
    assert!(answered.body.contains("åäö"), "{}", answered.body);
    let statuses: Vec<_> = statuses(&answered.body).into_iter().map(|one| (one.address, one.status)).collect();
    let expected = ["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"].map(|one| (one.to_owned(), "DataFromSource".to_owned()));
    assert_eq!(statuses, expected);
    assert_eq!(systems.called(), ["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"]);
}

#[tokio::test]
async fn tc2_nobody_has_data() {
    let (platform, systems) = platform_with(&[], "").await;
    let answered = platform.ask("188803099368").await;
    assert_eq!((answered.status, texts(&answered.body, "system").len()), (200, 0));
    assert_eq!((texts(&answered.body, "ProcessingStatus").len(), statuses(&answered.body).len()), (1, 0));
    assert!(systems.called().is_empty());
}

#[tokio::test]
async fn tc4_and_tc5_a_late_and_a_faulting_source_system_are_records() {
    let engagements: Vec<Engaged> =
        [("HSA-ID-1", "1"), ("HSA-ID-2", "2"), ("HSA-ID-2", "3"), ("HSA-ID-3", "4"), ("HSA-ID-9", "5")]
            .map(|(address, object)| Engaged::laboratory(PATIENT, address, object))
            .into();
    let (platform, systems) = platform_with(&engagements, "").await;
    systems.set("HSA-ID-2", Answer::Rows(2));
    systems.set("HSA-ID-3", Answer::Late(10_000, 1));
    systems.set("HSA-ID-9", Answer::Fault(500, format!("Invalid Id: {PATIENT}")));
    let answered = platform.ask(PATIENT).await;
    assert_eq!((answered.status, texts(&answered.body, "system").len()), (200, 3));
    let records = statuses(&answered.body);
    let of = |index: usize| {
        let record = &records[index];
        (record.address.as_str(), record.status.as_str(), record.code.as_deref())
    };
    assert_eq!(of(0), ("HSA-ID-1", "DataFromSource", None));
    assert_eq!(of(1), ("HSA-ID-2", "DataFromSource", None));
    assert_eq!(of(2), ("HSA-ID-3", "NoDataSynchFailed", Some("504")));
    assert!(records[2].text.as_ref().unwrap().contains("timeout"), "{records:?}");
    assert_eq!(of(3), ("HSA-ID-9", "NoDataSynchFailed", Some("500")));
    assert!(records[3].text.as_ref().unwrap().contains(&format!("Invalid Id: {PATIENT}")), "{records:?}");
    // One call for the two engagements of HSA-ID-2.
    assert_eq!(systems.called(), ["HSA-ID-1", "HSA-ID-2", "HSA-ID-3", "HSA-ID-9"]);
}

#[tokio::test]
async fn tc6_tc7_and_the_tak_matrix() {
    let contract = "urn:riv:clinicalprocess:healthcond:actoutcome:GetLaboratoryOrderOutcomeResponder:4";
    let tak = format!(
        "{{\"routes\": [
            {{\"contract\": \"{contract}\", \"receiver\": \"*\"}}, {{\"contract\": \"urn:other\", \"receiver\": \"B\"}}],
          \"permissions\": [
            {{\"contract\": \"{contract}\", \"receiver\": \"A\", \"sender\": \"sample-sender-id\"}},
            {{\"contract\": \"{contract}\", \"receiver\": \"P\", \"sender\": \"sample-original-consumer-hsaid\"}},
            {{\"contract\": \"{contract}\", \"receiver\": \"OLD\", \"sender\": \"sample-sender-id\",
              \"to\": \"2020-01-01T00:00:00Z\"}}],
          \"parents\": {{\"CHILD\": \"P\"}}}}"
    );
    let systems = Systems::start().await;
    let folder = crate::world::folder(&configuration(&systems.url, "[aggregation.tak]\nfile = \"tak.json\"\n"));
    std::fs::write(folder.path().join("tak.json"), tak).unwrap();
    let platform = Platform::start_in(folder);
    let engagements =
        ["A", "B", "CHILD", "OLD", "5565594230"].map(|address| Engaged::laboratory(PATIENT, address, address));
    platform.update(&engagements).await;
    let answered = platform.ask(PATIENT).await;
    assert_eq!(systems.called(), ["A", "CHILD"]);
    assert_eq!(statuses(&answered.body).len(), 2);
    platform
        .wait_until("the audit says why", async || {
            let calls = platform.get("/api/aggregation/calls?correlation=test-corr-id").await;
            let mut filtered: Vec<(String, String)> = calls[0]["filtered"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| (one["address"].as_str().unwrap().to_owned(), one["reason"].as_str().unwrap().to_owned()))
                .collect();
            filtered.sort();
            let expected = [("5565594230", "own_address"), ("B", "permission"), ("OLD", "permission")];
            filtered == expected.map(|(address, reason)| (address.to_owned(), reason.to_owned()))
        })
        .await;
}

/// Headers of A 2.8: an allow list.
#[tokio::test]
async fn only_headers_of_the_platform_go_on_to_a_source_system() {
    let (platform, systems) = platform_with(&three()[..1], "").await;
    let request = platform
        .soap(LABORATORY_PATH, laboratory_question(PATIENT))
        .header("x-rivta-test1", "1")
        .header("cookie", "secret")
        .header("authorization", "Bearer secret")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(platform.send(request).await.status, 200);
    let call = systems.calls().remove(0);
    let header = |name: &str| call.headers.get(name).map(String::as_str);
    assert_eq!(header("x-vp-sender-id"), Some("sample-sender-id"));
    assert_eq!(header("x-rivta-original-serviceconsumer-hsaid"), Some("sample-original-consumer-hsaid"));
    assert_eq!(header("x-skltp-correlation-id"), Some("test-corr-id"));
    assert_eq!(header("x-vp-instance-id"), Some("test"));
    assert_eq!((header("x-rivta-test1"), header("accept-encoding")), (Some("1"), Some("gzip")));
    assert!(header("traceparent").is_some_and(|trace| trace.contains("0af7651916cd43dd8448eb211c80319c")));
    let action = "\"urn:riv:clinicalprocess:healthcond:actoutcome:GetLaboratoryOrderOutcomeResponder:4:\
                  GetLaboratoryOrderOutcome\"";
    assert_eq!(header("soapaction"), Some(action));
    assert_eq!((header("cookie"), header("authorization")), (None, None));
    assert!(header("content-length").is_some(), "{call:?}");
    assert_eq!(texts(&call.body, "LogicalAddress"), ["HSA-ID-4"]);
}

/// Index and platform in processes of their own, as in the original: the one asks the other over SOAP.
#[tokio::test]
async fn an_external_index_is_asked_and_its_notifications_are_taken() {
    let (index, systems) = platform_with(&three(), "").await;
    let ei = format!(
        "[aggregation.ei]\nmode = \"external\"\nurl = \"{}/skltp-ei/find-content-service/v1\"\n\
         logical_address = \"SE-EI\"\nsender_id = \"ei-sender-id\"\n[aggregation.tak]\noff = true\n",
        index.url
    );
    let platform = Platform::start(&format!("{ei}[aggregation.vp]\nurl = \"{}\"\n", systems.url));
    let answered = platform.ask(PATIENT).await;
    assert_eq!((answered.status, statuses(&answered.body).len()), (200, 3), "{}", answered.body);
    let notified = crate::messages::notification("SE-AGP", "SE-EI", &three());
    for path in
        ["/aggregation/process-notification/v1", "/GetAggregatedLaboratoryOrderOutcome/service/process-notification/v1"]
    {
        let answered = platform.send(platform.soap(path, notified.clone())).await;
        assert_eq!((answered.status, texts(&answered.body, "ResultCode")), (200, vec!["OK".to_owned()]), "{path}");
    }
    let request = platform.soap("/skltp-ei/update-service/v1", "<x/>");
    assert_eq!(platform.send(request).await.status, 404);
    // The index goes away: nothing can be said about the patient.
    drop(index);
    let fault = platform.ask(PATIENT).await.fault();
    assert!(fault.0.contains("The engagement index failed"), "{fault:?}");
}

/// EI-1: an index that does not answer in time.
#[tokio::test]
async fn ei_1_a_slow_index_is_a_fault_with_the_word_timeout() {
    let systems = Systems::start().await;
    systems.set("SE-EI", Answer::Late(10_000, 0));
    let ei = format!(
        "[aggregation.ei]\nmode = \"external\"\nurl = \"{}\"\nlogical_address = \"SE-EI\"\ntimeout_ms = 300\n\
         [aggregation.tak]\noff = true\n",
        systems.url
    );
    let platform = Platform::start(&ei);
    let answered = platform.ask(PATIENT).await;
    assert_eq!(answered.status, 500);
    assert!(answered.fault().0.contains("timeout"), "{answered:?}");
    systems.set("SE-EI", Answer::Fault(500, "Invalid Id: EI:INV_ID".to_owned()));
    assert_eq!(platform.ask("EI:INV_ID").await.fault(), ("Invalid Id: EI:INV_ID".to_owned(), "Server".to_owned()));
}

/// With the cache, an update of the index makes one address asked again.
#[tokio::test]
async fn a_change_of_the_index_refreshes_one_address_of_the_cache() {
    let cache = "[aggregation.cache]\nenabled = true\nttl_ms = 60000\n";
    let (platform, systems) = platform_with(&three(), cache).await;
    platform.ask(PATIENT).await;
    let answered = platform.ask(PATIENT).await;
    assert_eq!(systems.called().len(), 3);
    assert!(statuses(&answered.body).iter().all(|one| one.status == "DataFromCache"), "{}", answered.body);
    let mut changed = three().remove(1);
    changed.content = "20261127120000".to_owned();
    platform.update(&[changed]).await;
    platform
        .wait_until("only the changed address is asked again", async || {
            let statuses = statuses(&platform.ask(PATIENT).await.body);
            let status = |index: usize| (statuses[index].address.as_str(), statuses[index].status.as_str());
            status(0) == ("HSA-ID-4", "DataFromCache") && status(1) == ("HSA-ID-5", "DataFromSource")
        })
        .await;
    assert_eq!(systems.called(), ["HSA-ID-4", "HSA-ID-5", "HSA-ID-5", "HSA-ID-6"]);
    let state = platform.get("/api/aggregation/cache").await;
    assert_eq!((state["enabled"].as_bool(), state["entries"].as_u64()), (Some(true), Some(1)), "{state}");
    let (status, cleared) = platform.post("/api/aggregation/cache/clear", &serde_json::json!({})).await;
    assert_eq!((status, cleared["cleared"].as_u64()), (200, Some(1)));
    let (status, _) = platform.post("/api/aggregation/cache/clear", &serde_json::json!({"service": "x"})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_contract_of_ones_own_needs_a_descriptor_alone() {
    let systems = Systems::start().await;
    let descriptor = "name = \"GetAggregatedX.v1\"\npath = \"/GetAggregatedX/service/v1\"\ncontract = \"urn:x:1\"\n\
                      interaction = \"GetX\"\nwsdl_namespace = \"urn:x:1:rivtabp21\"\nschemas = \"xsd\"\n\
                      [query]\npatient = \"person\"\ndomain = \"riv:x\"\n[requests]\ngroup_by = \"logicalAddress\"\n\
                      [response]\nconcatenate = [\"row\"]\n";
    let text = configuration(&systems.url, "").replace("[aggregation]\n", "[aggregation]\nservice_folder = \"own\"\n");
    let folder = crate::world::folder(&text);
    for (name, content) in [("own/x.toml", descriptor), ("xsd/x.xsd", "<schema targetNamespace=\"urn:x:1\"/>")] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let platform = Platform::start_in(folder);
    let engaged = Engaged { domain: "riv:x".to_owned(), ..Engaged::laboratory(PATIENT, "SE-X", "1") };
    platform.update(&[engaged]).await;
    let answer = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
                  <GetXResponse xmlns=\"urn:x:1\"><row><n>7</n></row></GetXResponse></e:Body></e:Envelope>";
    systems.set("SE-X", Answer::Raw(200, vec![("content-type", "text/xml")], answer.into()));
    let question =
        crate::messages::envelope("SE-AGP", &format!("<GetX xmlns=\"urn:x:1\"><person>{PATIENT}</person></GetX>"));
    let answered = platform.send(platform.soap("/GetAggregatedX/service/v1", question)).await;
    assert_eq!((answered.status, texts(&answered.body, "n")), (200, vec!["7".to_owned()]), "{}", answered.body);
    let get = |path: &str| platform.request(Method::GET, path);
    let wsdl = platform.send(get("/GetAggregatedX/service/v1?wsdl")).await;
    assert!(wsdl.body.contains(&format!("{}/GetAggregatedX/service/v1?xsd=x.xsd", platform.url)), "{}", wsdl.body);
    let schema = platform.send(get("/GetAggregatedX/service/v1?xsd=x.xsd")).await;
    assert_eq!((schema.status, schema.body.as_str()), (200, "<schema targetNamespace=\"urn:x:1\"/>"));
    assert_eq!(platform.send(get("/GetAggregatedX/service/v1?xsd=../agp.toml")).await.status, 404);
}
