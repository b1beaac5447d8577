//! Answers of the catalogue, good and bad ones.

use super::*;
use crate::soap::{ENVELOPE, Fault, FaultCode};

const NOTIFICATIONS: &str = IndexInteraction::ProcessNotification.contract();

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

/// An answer. The prefix `t` stands for the namespace.
fn answer(question: TakQuestion, inside: &str) -> TakAnswer {
    let text = format!(
        "<s:Envelope xmlns:s='{ENVELOPE}'><s:Body><t:{0}Response xmlns:t='{NAMESPACE}'>{inside}</t:{0}Response>\
         </s:Body></s:Envelope>",
        question.name()
    );
    of_text(200, text)
}

fn of_text(status: u16, text: impl Into<Vec<u8>>) -> TakAnswer {
    TakAnswer { status, charset: None, body: text.into() }
}

fn elements(fields: &[(&str, &str)]) -> String {
    let elements: Vec<_> = fields.iter().map(|(name, text)| format!("<t:{name}>{text}</t:{name}>")).collect();
    elements.concat()
}

fn route(fields: &[(&str, &str)]) -> String {
    format!("<t:virtualiseringsInfo>{}</t:virtualiseringsInfo>", elements(fields))
}

fn permission(receiver: &str, contract: &str, more: &str) -> String {
    let fields = elements(&[("receiverId", receiver), ("senderId", "sender"), ("tjansteKontrakt", contract)]);
    format!("<t:anropsBehorighetsInfo>{fields}{more}</t:anropsBehorighetsInfo>")
}

fn filter(domain: &str, categories: &[&str]) -> String {
    let categories: String = categories.iter().map(|category| elements(&[("categorization", category)])).collect();
    format!("<t:filterInfo>{}{categories}</t:filterInfo>", elements(&[("serviceDomain", domain)]))
}

fn read(routes: TakAnswer, permissions: TakAnswer) -> Result<FetchedTak, TakAnswerError> {
    read_answers(routes, permissions, &Stockholm::load().unwrap(), now())
}

fn of_routes(inside: &str) -> FetchedTak {
    read(answer(TakQuestion::Routes, inside), answer(TakQuestion::Permissions, "")).unwrap()
}

fn of_permissions(inside: &str) -> FetchedTak {
    read(answer(TakQuestion::Routes, ""), answer(TakQuestion::Permissions, inside)).unwrap()
}

#[test]
fn a_question_is_one_empty_element() {
    for (question, name) in
        [(TakQuestion::Routes, "hamtaAllaVirtualiseringar"), (TakQuestion::Permissions, "hamtaAllaAnropsBehorigheter")]
    {
        let message = Message::read(question.write().into_bytes(), None, 4096, &[]).unwrap();
        assert_eq!(message.name(), &Name::new("urn:skl:tp:vagvalsinfo:v2", name));
        assert!(message.values(&[]).iter().all(String::is_empty));
    }
}

#[test]
fn routes_and_permissions_are_those_of_the_file() {
    let routes =
        route(&[
            ("receiverId", " r "),
            ("rivProfil", "RIVTABP21"),
            ("tjansteKontrakt", "c"),
            ("fromTidpunkt", "2026-01-01T00:00:00+01:00"),
            ("tomTidpunkt", "9999-12-31T23:59:59"),
            ("virtualiseringsInfoId", "<t:receiverId>no</t:receiverId>"),
            ("adress", "https://r.example/a?b&amp;c"),
        ]) + &route(&[("receiverId", "late"), ("tjansteKontrakt", "c"), ("fromTidpunkt", "2026-12-01T00:00:00")])
            + &route(&[("receiverId", "bare"), ("tjansteKontrakt", "c")]);
    let permissions = permission("r", "c", "<t:tomTidpunkt>2026-11-28T13:00:00</t:tomTidpunkt>")
        + &permission("old", "c", "<t:tomTidpunkt>2026-11-28T12:59:59</t:tomTidpunkt>");
    let fetched = read(answer(TakQuestion::Routes, &routes), answer(TakQuestion::Permissions, &permissions)).unwrap();
    let tak = fetched.tak;
    assert_eq!((fetched.left_out, tak.counts()), (0, (3, 2)));
    assert_eq!(tak.route("c", "r", now()), Some(Some("https://r.example/a?b&c")));
    assert_eq!(tak.route("c", "late", now()), None);
    assert_eq!(tak.route("c", "bare", now()), Some(None));
    assert!(tak.permits("c", "r", ["sender", ""], now()));
    assert!(!tak.permits("c", "old", ["sender", ""], now()));
    assert!(tak.subscribers().is_empty());
}

#[test]
fn subscribers_are_the_receivers_of_permissions_for_notifications() {
    let inside = [
        permission("a", NOTIFICATIONS, &filter("riv:a", &["x", " y "])),
        permission("b", NOTIFICATIONS, &filter("riv:a", &[])),
        permission("c", "another", &filter("riv:a", &[])),
        permission("*", NOTIFICATIONS, ""),
        permission("old", NOTIFICATIONS, "<t:tomTidpunkt>2026-01-01T00:00:00</t:tomTidpunkt>"),
        permission("a", NOTIFICATIONS, &(filter("riv:b", &[]) + &filter("riv:c", &["z"]))),
        permission("b", NOTIFICATIONS, ""),
        permission("b", NOTIFICATIONS, &filter("riv:d", &[])),
    ];
    let fetched = of_permissions(&inside.concat());
    let wanted = |domain: &str, categories: &[&str]| SubscriberFilter {
        domain: domain.to_owned(),
        categories: categories.iter().map(ToString::to_string).collect(),
    };
    let filters = vec![wanted("riv:a", &["x", "y"]), wanted("riv:b", &[]), wanted("riv:c", &["z"])];
    let expected =
        [Subscriber { address: "a".to_owned(), filters }, Subscriber { address: "b".to_owned(), filters: Vec::new() }];
    assert_eq!((fetched.tak.subscribers(), fetched.left_out), (&expected[..], 0));
}

#[test]
fn a_filter_that_cannot_be_read_does_not_become_one_for_everything() {
    let long = "x".repeat(LONGEST + 1);
    for bad in [
        "<t:filterInfo/>".to_owned(),
        filter(" ", &["x"]),
        filter("riv:a", &[""]),
        filter("riv:a", &[&long]),
        "<t:filterInfo><t:serviceDomain>a</t:serviceDomain><t:serviceDomain>b</t:serviceDomain></t:filterInfo>"
            .to_owned(),
    ] {
        let fetched = of_permissions(&permission("a", NOTIFICATIONS, &bad));
        assert_eq!((fetched.tak.subscribers().len(), fetched.left_out, fetched.tak.counts().1), (0, 1, 1), "{bad}");
    }
}

#[test]
fn a_bad_entry_is_left_out_and_the_others_stay() {
    let long = "x".repeat(LONGEST + 1);
    for bad in [
        route(&[]),
        route(&[("receiverId", "r")]),
        route(&[("receiverId", ""), ("tjansteKontrakt", "c")]),
        route(&[("receiverId", &long), ("tjansteKontrakt", "c")]),
        route(&[("receiverId", "r"), ("tjansteKontrakt", "c"), ("adress", &long)]),
        route(&[("receiverId", "r"), ("tjansteKontrakt", "c"), ("tomTidpunkt", "soon")]),
        route(&[("receiverId", "r"), ("receiverId", "r"), ("tjansteKontrakt", "c")]),
    ] {
        let good = route(&[("receiverId", "good"), ("tjansteKontrakt", "c")]);
        let fetched = of_routes(&(bad.clone() + &good));
        assert_eq!((fetched.left_out, fetched.tak.counts()), (1, (1, 0)), "{bad}");
        assert_eq!(fetched.tak.route("c", "good", now()), Some(None));
    }
    let without_sender = "<t:anropsBehorighetsInfo><t:receiverId>r</t:receiverId><t:tjansteKontrakt>c\
                          </t:tjansteKontrakt></t:anropsBehorighetsInfo>";
    let fetched = of_permissions(&(without_sender.to_owned() + &permission("r", "c", "")));
    assert_eq!((fetched.left_out, fetched.tak.counts()), (1, (0, 1)));
}

#[test]
fn elements_of_other_names_and_namespaces_are_passed_over() {
    let field = "<x:receiverId xmlns:x='x'>no</x:receiverId><receiverId>no</receiverId><t:other><t:adress>no</t:adress>\
                 </t:other>";
    let inside = format!(
        "<virtualiseringsInfo/><t:other/><virtualiseringsInfo xmlns='{NAMESPACE}'>{}<receiverId>r</receiverId>\
         <p:tjansteKontrakt xmlns:p='{NAMESPACE}'>c</p:tjansteKontrakt></virtualiseringsInfo>",
        field.replace("<receiverId>no</receiverId>", "<receiverId xmlns=''>no</receiverId>")
    );
    let fetched = of_routes(&inside);
    assert_eq!((fetched.left_out, fetched.tak.counts()), (0, (1, 0)));
    assert_eq!(fetched.tak.route("c", "r", now()), Some(None));
}

#[test]
fn what_is_no_answer_is_refused() {
    let routes = |routes: TakAnswer| read(routes, answer(TakQuestion::Permissions, "")).unwrap_err();
    let fault = Fault::new(FaultCode::Server, "secret").write();
    for status in [200, 500] {
        assert_eq!(routes(of_text(status, fault.clone())), TakAnswerError::Fault);
    }
    let right = answer(TakQuestion::Routes, "").body;
    assert_eq!(routes(of_text(302, right.clone())), TakAnswerError::Status(302));
    assert_eq!(routes(of_text(503, "busy")), TakAnswerError::Status(503));
    assert_eq!(routes(answer(TakQuestion::Permissions, "")), TakAnswerError::OtherMessage("hamtaAllaVirtualiseringar"));
    let elsewhere = String::from_utf8(right.clone()).unwrap().replace(":v2", ":v1");
    assert_eq!(routes(of_text(200, elsewhere)), TakAnswerError::OtherMessage("hamtaAllaVirtualiseringar"));
    for bad in ["", "no XML", "<!DOCTYPE a><a/>", "<a/>"].map(Vec::from).into_iter().chain([right[..40].to_vec()]) {
        assert!(matches!(routes(of_text(200, bad)), TakAnswerError::NoMessage(_)));
    }
    let permissions = read(answer(TakQuestion::Routes, ""), of_text(200, "")).unwrap_err();
    assert_eq!(permissions, TakAnswerError::NoMessage(SoapError::Empty));
}

#[test]
fn an_answer_with_too_many_entries_or_bytes_is_refused() {
    let inside = "<t:virtualiseringsInfo/>".repeat(MOST_ENTRIES + 1);
    let many = read(answer(TakQuestion::Routes, &inside), answer(TakQuestion::Permissions, "")).unwrap_err();
    assert_eq!(many, TakAnswerError::TooMany("virtualiseringsInfo"));
    let large = read(of_text(200, vec![b' '; LARGEST + 1]), answer(TakQuestion::Permissions, "")).unwrap_err();
    assert_eq!(large, TakAnswerError::NoMessage(SoapError::TooLarge(LARGEST)));
}
