//! The index from text to text (A 3.5, 6.3, 6.5, 7.5): requests here, questions and notices below.

mod bad_input;
mod notices;
mod questions;

use tributary_schemas::records::aggregation::{AcceptedTransactions, Engagement, Interaction, SubscriberList};

use super::*;
use crate::ei_settings::IndexSettings;
use crate::engagement::Field;
use crate::find_content;
use crate::harness::{self, Harness, NOW_STAMP, OWN, PATIENT, Sent, sent};
use crate::index::{IndexStage, IndexView};
use crate::soap::{ENVELOPE, REGISTRY};
use crate::topics;
use crate::transaction::{SentEngagement, SentTransaction};

/// How many bytes of a request are taken.
const LIMIT: usize = 4 << 20;
const DOMAIN: &str = "riv:crm:scheduling";
/// Another index.
const OTHER: &str = "SE-OTHER-EI";

fn settings() -> IndexSettings {
    IndexSettings { reserved: vec!["SE-RESERVED".to_owned()], ..harness::settings() }
}

fn asked(body: impl Into<Vec<u8>>) -> Asked {
    let headers = vec![(CORRELATION.to_owned(), "test-corr-id".to_owned())];
    Asked { headers, soap_action: Some("ignored".to_owned()), charset: None, body: body.into() }
}

/// A request with these elements in its body element. The prefix `q` stands for the contract, `c` for the types.
fn request(interaction: IndexInteraction, address: &str, inside: &str) -> String {
    let (name, contract) = (interaction.name(), interaction.contract());
    format!(
        "<?xml version='1.0'?><e:Envelope xmlns:e='{ENVELOPE}' xmlns:r='{REGISTRY}' xmlns:q='{contract}' \
         xmlns:c='{TYPES}'><e:Header><r:LogicalAddress>{address}</r:LogicalAddress></e:Header><e:Body>\
         <q:{name}>\n{inside}\n</q:{name}></e:Body></e:Envelope>"
    )
}

/// The fields of an engagement as elements, in the order of the contract.
fn fields(engagement: &SentEngagement) -> String {
    let mut engagement = engagement.clone();
    let element = |field: Field| {
        let (name, text) = (field.element(), engagement.place(field).take()?);
        Some(format!("<c:{name}>{text}</c:{name}>\n"))
    };
    Field::ALL.into_iter().filter_map(element).collect()
}

fn transaction(sent: &SentTransaction) -> String {
    let SentTransaction { delete_flag, engagement } = sent;
    let fields = fields(engagement);
    format!(
        "<q:engagementTransaction><c:deleteFlag>{delete_flag}</c:deleteFlag><c:engagement>{fields}</c:engagement>\
         </q:engagementTransaction>"
    )
}

fn with(field: Field, text: Option<&str>) -> SentTransaction {
    let mut sent = sent("visit-1");
    *sent.engagement.place(field) = text.map(ToOwned::to_owned);
    sent
}

fn owned(object: &str, owner: &str) -> SentTransaction {
    let mut sent = sent(object);
    sent.engagement.owner = Some(owner.to_owned());
    sent
}

fn delete(sent: SentTransaction) -> SentTransaction {
    SentTransaction { delete_flag: true, ..sent }
}

/// An index that takes and gives text.
struct Ei {
    stage: Harness<IndexStage>,
    view: IndexView,
}

impl Ei {
    /// With one subscriber, which wants all.
    fn new() -> Self {
        let mut stage = harness::stage_with(settings(), IndexStage::new);
        stage.give("", &SubscriberList { subscribers: vec![harness::subscriber("SE-SUB", &[])] });
        Self { stage, view: IndexView::default() }
    }

    /// Takes a request in and applies it. Returns what it sends.
    fn take(&mut self, interaction: Interaction, text: &str) -> Result<Vec<Sent>, Fault> {
        let transactions = read_transactions(interaction, asked(text), LIMIT)?.accept(&settings())?;
        let sent = self.stage.give("", &AcceptedTransactions { interaction, single: false, transactions });
        for row in sent.iter().filter(|sent| sent.topic == topics::ENGAGEMENT.name) {
            let engagement: Option<Engagement> = self.stage.read(std::slice::from_ref(row)).pop();
            self.view.take(row.text_key().parse().unwrap(), engagement);
        }
        Ok(sent)
    }

    fn update(&mut self, sent: &[SentTransaction]) -> Result<Vec<Sent>, Fault> {
        let inside: String = sent.iter().map(transaction).collect();
        self.take(Interaction::Update, &request(IndexInteraction::Update, OWN, &inside))
    }

    /// Another index notifies this one. The address is not looked at.
    fn notified(&mut self, sent: &[SentTransaction]) -> Result<Vec<Sent>, Fault> {
        let inside: String = sent.iter().map(transaction).collect();
        let text = request(IndexInteraction::ProcessNotification, "SE-ANY", &inside);
        self.take(Interaction::ProcessNotification, &text)
    }

    /// The answer to a question with these elements, as the flow reads it.
    fn find(&self, inside: &str) -> Result<Vec<crate::engagement::Engagement>, Fault> {
        let question = read_question(asked(request(IndexInteraction::FindContent, OWN, inside)), LIMIT)?;
        let answer = write_found(&self.view.find(&question)?);
        let found = find_content::read_answer(answer.into_bytes(), None, 64 << 20).unwrap();
        assert_eq!((found.without_address, found.too_many), (0, 0));
        Ok(found.engagements)
    }

    /// The rows of the patient of most tests.
    fn rows(&self) -> Vec<crate::engagement::Engagement> {
        self.find(&question(PATIENT, DOMAIN)).unwrap()
    }
}

/// The two mandatory elements of a question.
fn question(patient: &str, domain: &str) -> String {
    format!(
        "<q:registeredResidentIdentification>{patient}</q:registeredResidentIdentification>\
         <q:serviceDomain>{domain}</q:serviceDomain>"
    )
}

/// The fault of an update, which changes nothing.
fn refused(sent: &[SentTransaction]) -> String {
    let mut ei = Ei::new();
    let fault = ei.update(sent).unwrap_err();
    assert!(ei.view.is_empty());
    assert_eq!(fault.code, "Server");
    fault.text
}

fn numbered(count: usize) -> Vec<SentTransaction> {
    (0..count).map(|number| sent(&format!("visit-{number}"))).collect()
}

#[test]
fn a_valid_update_is_a_row_with_all_its_fields() {
    let mut ei = Ei::new();
    let mut sent = sent("visit-1");
    sent.engagement.categorization = Some("B&amp;<![CDATA[<C>]]>&#229;".to_owned());
    ei.update(&[sent]).unwrap();
    let row = ei.rows().pop().unwrap();
    let expected = [PATIENT, DOMAIN, "B&<C>å", "SE-UNIT", "visit-1", "NA", "20261120143000", "SE-SYSTEM", NOW_STAMP];
    let found = Field::ALL.map(|field| row.field(field).to_owned());
    assert_eq!(found[..9], expected);
    assert_eq!(found[9..], ["", "SE-CONTROLLER", OWN]);
}

#[test]
fn the_answer_to_both_is_ok_without_a_comment() {
    for interaction in [Interaction::Update, Interaction::ProcessNotification] {
        let contract = IndexInteraction::from(interaction);
        let written = write_ok(interaction);
        let message = Message::read(written.clone().into_bytes(), None, LIMIT, &[]).unwrap();
        assert_eq!(message.name().namespace, contract.contract());
        assert_eq!(message.name().local, format!("{}Response", contract.name()));
        assert_eq!(message.values(&["ResultCode".to_owned()]), ["OK"]);
        assert!(!message.has(&["comment".to_owned()]), "{written}");
    }
}

#[test]
fn a_delete_flag_in_each_of_its_forms_deletes_or_does_not() {
    for (flag, is_delete) in [("true", true), (" 1\n", true), ("false", false), ("0", false)] {
        let mut ei = Ei::new();
        ei.update(&[sent("visit-1")]).unwrap();
        let inside = transaction(&sent("visit-1")).replace(">false<", &format!(">{flag}<"));
        ei.take(Interaction::Update, &request(IndexInteraction::Update, OWN, &inside)).unwrap();
        assert_eq!(ei.rows().is_empty(), is_delete, "{flag:?}");
    }
    let inside = transaction(&sent("visit-1")).replace("<c:deleteFlag>false</c:deleteFlag>", "");
    let mut ei = Ei::new();
    ei.take(Interaction::Update, &request(IndexInteraction::Update, OWN, &inside)).unwrap();
    assert_eq!(ei.rows().len(), 1, "without a flag nothing is deleted");
}

#[test]
fn a_delete_flag_that_is_no_boolean_is_ei004() {
    for flag in ["", "TRUE", "yes", "2", "true false", "<c:x/>"] {
        let inside = transaction(&sent("visit-1")).replace(">false<", &format!(">{flag}<"));
        let text = request(IndexInteraction::Update, OWN, &inside);
        let fault = Ei::new().take(Interaction::Update, &text).unwrap_err();
        assert!(fault.text.starts_with("EI004: ") && fault.text.contains("\"deleteFlag\""), "{}", fault.text);
    }
}

#[test]
fn sent_times_and_a_sent_owner_are_ignored_by_an_update() {
    let mut sent = owned("visit-1", OTHER);
    sent.engagement.creation_time = Some("20200101000000".to_owned());
    sent.engagement.update_time = Some("20200101000000".to_owned());
    let mut ei = Ei::new();
    ei.update(&[sent]).unwrap();
    let row = ei.rows().pop().unwrap();
    assert_eq!((row.owner.as_str(), row.creation_time.as_str(), row.update_time.as_str()), (OWN, NOW_STAMP, ""));
}

#[test]
fn a_repeat_does_not_duplicate() {
    let mut ei = Ei::new();
    ei.update(&[sent("visit-1")]).unwrap();
    ei.update(&[sent("visit-1")]).unwrap();
    assert_eq!(ei.rows().len(), 1);
}

#[test]
fn each_mandatory_field_that_is_missing_empty_or_has_white_space_around_it_is_ei004() {
    for field in Field::MANDATORY {
        for text in [None, Some(""), Some(" x"), Some("x\n")] {
            let refused = refused(&[sent("visit-2"), with(field, text)]);
            assert!(refused.starts_with("EI004: "), "{refused}");
            assert!(refused.contains(&format!("\"{}\"", field.element())), "{refused}");
        }
    }
    let inside = "<q:engagementTransaction><c:deleteFlag>true</c:deleteFlag></q:engagementTransaction>";
    let text = request(IndexInteraction::Update, OWN, inside);
    let fault = Ei::new().take(Interaction::Update, &text).unwrap_err();
    assert!(fault.text.starts_with("EI004: "), "a transaction without an engagement: {}", fault.text);
}

#[test]
fn empty_and_wrong_times_are_ei004() {
    for field in [Field::MostRecentContent, Field::CreationTime, Field::UpdateTime] {
        for text in ["", "2026-11-20", " 20261120143000"] {
            let refused = refused(&[with(field, Some(text))]);
            assert!(refused.starts_with("EI004: ") && refused.contains(field.element()), "{refused}");
        }
    }
}

#[test]
fn a_duplicate_is_ei002_with_both_numbers() {
    let refused = refused(&[sent("visit-1"), sent("visit-2"), sent("visit-1")]);
    assert!(refused.starts_with("EI002: ") && refused.contains("#1 and #3"), "{refused}");
}

#[test]
fn an_update_to_another_address_or_to_none_is_ei003() {
    let good = request(IndexInteraction::Update, OWN, &transaction(&sent("visit-1")));
    let header = format!("<r:LogicalAddress>{OWN}</r:LogicalAddress>");
    let lower = OWN.to_lowercase();
    for (other, shown) in [
        ("<r:LogicalAddress>SE-WRONG</r:LogicalAddress>", "SE-WRONG"),
        (&format!("<r:LogicalAddress>{lower}</r:LogicalAddress>"), lower.as_str()),
        ("<r:LogicalAddress/>", "missing"),
        ("", "missing"),
        (&format!("<q:LogicalAddress>{OWN}</q:LogicalAddress>"), "missing"),
    ] {
        let fault = Ei::new().take(Interaction::Update, &good.replace(&header, other)).unwrap_err();
        assert!(fault.text.starts_with("EI003: ") && fault.text.contains(shown), "{}", fault.text);
    }
}

#[test]
fn reserved_addresses_are_ei005_and_ei006() {
    for (field, code) in [(Field::LogicalAddress, "EI005: "), (Field::SourceSystem, "EI006: ")] {
        let refused = refused(&[sent("visit-2"), with(field, Some("SE-RESERVED"))]);
        assert!(refused.starts_with(code) && refused.contains("#2") && refused.contains("SE-RESERVED"), "{refused}");
    }
}

#[test]
fn a_request_has_1_to_1000_transactions() {
    assert!(refused(&[]).starts_with("EI000: "));
    let mut ei = Ei::new();
    ei.update(&numbered(1000)).unwrap();
    assert_eq!(ei.rows().len(), 1000);
    assert!(refused(&numbered(1001)).starts_with("EI000: "));
}

#[test]
fn of_too_many_transactions_only_as_many_are_kept_as_tell_so() {
    let inside = "<q:engagementTransaction/>".repeat(150_000);
    let text = request(IndexInteraction::Update, OWN, &inside);
    let request = read_transactions(Interaction::Update, asked(text), LIMIT).unwrap();
    assert_eq!(request.transactions.len(), 1001);
    assert!(request.accept(&settings()).unwrap_err().to_string().starts_with("EI000: "));
}

#[test]
fn a_notification_of_another_index_is_kept_with_its_owner_and_times_of_this_one() {
    let mut sent = owned("visit-1", OTHER);
    sent.engagement.creation_time = Some("20200101000000".to_owned());
    let mut ei = Ei::new();
    ei.notified(&[sent]).unwrap();
    let row = ei.rows().pop().unwrap();
    assert_eq!((row.owner.as_str(), row.creation_time.as_str()), (OTHER, NOW_STAMP));
    ei.notified(&[delete(owned("visit-1", OTHER))]).unwrap();
    assert!(ei.rows().is_empty());
}

#[test]
fn what_goes_in_circles_is_dropped_and_still_ok() {
    let mut ei = Ei::new();
    let sent = ei.notified(&[owned("visit-1", OWN)]).unwrap();
    assert!(sent.is_empty() && ei.view.is_empty());
    ei.notified(&[owned("visit-1", OWN), owned("visit-2", OTHER)]).unwrap();
    assert_eq!(ei.rows().len(), 1);
    let fault = ei.notified(&[crate::harness::sent("visit-3")]).unwrap_err();
    assert!(fault.text.starts_with("EI004: ") && fault.text.contains("\"owner\""), "{}", fault.text);
}

#[test]
fn a_change_of_the_owner_removes_the_own_row() {
    let mut ei = Ei::new();
    ei.update(&[sent("visit-1")]).unwrap();
    ei.notified(&[owned("visit-1", OTHER)]).unwrap();
    let owners: Vec<_> = ei.rows().into_iter().map(|row| row.owner).collect();
    assert_eq!(owners, [OTHER]);
}

#[test]
fn a_platform_with_an_external_index_checks_a_notification_and_keeps_all_of_it() {
    let inside = [transaction(&owned("visit-1", OWN)), transaction(&owned("visit-2", OTHER))].concat();
    let text = request(IndexInteraction::ProcessNotification, "SE-ANY", &inside);
    let read = || read_transactions(Interaction::ProcessNotification, asked(text.clone()), LIMIT).unwrap();
    assert_eq!(read().check(&[]).unwrap().len(), 2);
    let refusal = read().check(&["SE-UNIT".to_owned()]).unwrap_err();
    assert!(refusal.to_string().starts_with("EI005: "), "{refusal}");
}
