//! The flow on its own index: what a source system tells the index is what the flow finds.

use std::sync::{Arc, RwLock};

use tributary_schemas::records::aggregation::{AcceptedTransactions, Engagement, Interaction};

use super::world::*;
use crate::ei_soap::{IndexInteraction, read_transactions};
use crate::harness::{self, OWN};
use crate::index::{IndexStage, IndexView};
use crate::own_index::{OwnIndex, SharedView};
use crate::soap::{ENVELOPE, REGISTRY};
use crate::topics;

const PERSON: &str = "121212121212";

/// A transaction that says that a system has an answer of the laboratory about the person of TC1.
fn transaction(address: &str, object: &str, delete: bool) -> String {
    let fields = [
        ("registeredResidentIdentification", PERSON),
        ("serviceDomain", "riv:clinicalprocess:healthcond:actoutcome"),
        ("categorization", "und-kkm-ure"),
        ("logicalAddress", address),
        ("businessObjectInstanceIdentifier", object),
        ("clinicalProcessInterestId", "NA"),
        ("sourceSystem", address),
        ("dataController", "SE-CONTROLLER"),
    ];
    let fields = fields.map(|(name, text)| format!("<e:{name}>{text}</e:{name}>")).concat();
    format!(
        "<u:engagementTransaction><e:deleteFlag>{delete}</e:deleteFlag><e:engagement>{fields}</e:engagement>\
         </u:engagementTransaction>"
    )
}

/// Sends an update through the index to the view.
fn update(stage: &mut harness::Harness<IndexStage>, view: &SharedView, transactions: &str) {
    let contract = IndexInteraction::Update.contract();
    let body = format!(
        "<s:Envelope xmlns:s='{ENVELOPE}' xmlns:u='{contract}' xmlns:e='urn:riv:itintegration:engagementindex:1'>\
         <s:Header><LogicalAddress xmlns='{REGISTRY}'>{OWN}</LogicalAddress></s:Header>\
         <s:Body><u:Update>{transactions}</u:Update></s:Body></s:Envelope>"
    );
    let request = read_transactions(Interaction::Update, asked(body), 1 << 20).unwrap();
    let transactions = request.accept(&harness::settings()).unwrap();
    let accepted = AcceptedTransactions { interaction: Interaction::Update, single: false, transactions };
    for row in stage.give("", &accepted).iter().filter(|sent| sent.topic == topics::ENGAGEMENT.name) {
        let engagement: Option<Engagement> = stage.read(std::slice::from_ref(row)).pop();
        view.write().unwrap().take(row.text_key().parse().unwrap(), engagement);
    }
}

#[tokio::test(start_paused = true)]
async fn tc1_on_the_own_index() {
    let view: SharedView = Arc::new(RwLock::new(IndexView::default()));
    let index: Arc<dyn crate::port::Index> = Arc::new(OwnIndex::new(view.clone()));
    // The source systems answer with these rows. The index knows nothing of them yet.
    let systems = [("HSA-ID-4", "1002"), ("HSA-ID-5", "1003"), ("HSA-ID-6", "1004")];
    let engagements = systems.map(|(address, object)| engagement(address, "und-kkm-ure", object));
    let setup = Setup { index: Some(index), ..Setup::default() };
    let world = setup.with_tak().patient(PERSON, &engagements).build();
    let answer = world.ask(LABORATORY, PERSON).await;
    assert_eq!((answer.rows.len(), answer.records.len()), (0, 0));

    let mut stage = harness::stage_with(harness::settings(), IndexStage::new);
    let all = systems.map(|(address, object)| transaction(address, object, false)).concat();
    update(&mut stage, &view, &all);
    let answer = world.ask(LABORATORY, PERSON).await;
    assert_eq!(answer.rows.len(), 3);
    answer.assert_all_from_source(&["HSA-ID-4", "HSA-ID-5", "HSA-ID-6"]);

    update(&mut stage, &view, &transaction("HSA-ID-5", "1003", true));
    let answer = world.ask(LABORATORY, PERSON).await;
    answer.assert_all_from_source(&["HSA-ID-4", "HSA-ID-6"]);
    assert!(world.index.seen.lock().unwrap().is_empty(), "no other index was asked");
}
