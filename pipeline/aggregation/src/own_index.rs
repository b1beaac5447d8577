//! The own index as the flow asks it: a view of the rows in this process, and no message in between.

use std::sync::{Arc, PoisonError, RwLock};

use crate::cache_flow::Asked;
use crate::caller::Caller;
use crate::engagement::Engagement;
use crate::find_content::{FindContent, Found, IndexError};
use crate::index::{self, IndexView, SentQuestion};
use crate::port::{Answering, Index, IndexQuestion};
use crate::refusal::Refusal;
use crate::soap::Fault;
use crate::{ei_soap, events};

/// The view, which whoever reads the rows fills, and which questions share.
pub type SharedView = Arc<RwLock<IndexView>>;

/// Asks the view.
#[derive(Clone, Debug)]
pub struct OwnIndex {
    view: SharedView,
}

impl OwnIndex {
    /// Asks this view.
    pub fn new(view: SharedView) -> Self {
        Self { view }
    }

    /// Answers a question that comes over SOAP. `limit` is the number of its bytes that are taken. An answer that is
    /// cut is logged.
    ///
    /// # Errors
    /// A fault that says why there is no answer.
    pub fn reply(&self, asked: Asked, limit: usize) -> Result<String, Fault> {
        let correlation = Caller::correlation_of(&asked.headers);
        let question = ei_soap::read_question(asked, limit)?;
        // The view is free again before the answer is written.
        let found = self.find_in_view(&question)?;
        if found.left_out > 0 {
            events::answer_cut(correlation.as_deref(), found.left_out);
        }
        Ok(ei_soap::write_found(&found))
    }

    fn find_in_view(&self, question: &SentQuestion) -> Result<index::Found, Refusal> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).find(question)
    }

    fn answer(&self, question: &FindContent) -> Result<Found, IndexError> {
        let found = self.find_in_view(&SentQuestion::from(question));
        let found = found.map_err(|refusal| IndexError::Fault(refusal.into()))?;
        let engagements = found.engagements.into_iter().map(Engagement::from).collect();
        Ok(Found { engagements, without_address: 0, too_many: found.left_out })
    }
}

impl Index for OwnIndex {
    fn find(&self, question: IndexQuestion) -> Answering<Result<Found, IndexError>> {
        let index = self.clone();
        Box::pin(async move { index.answer(&question.find) })
    }
}

/// The question of the flow as the index takes it. The two differ because a consumer may send the index any of ten
/// fields and leave out those that are mandatory, and the flow asks with four and always has a patient.
impl From<&FindContent> for SentQuestion {
    fn from(question: &FindContent) -> Self {
        Self {
            registered_resident_identification: Some(question.patient.as_str().to_owned()),
            service_domain: Some(question.service_domain.clone()),
            categorization: question.categorization.clone(),
            most_recent_content: question.most_recent_content.clone(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{self, PATIENT};

    const DOMAIN: &str = "riv:crm:scheduling";

    fn index() -> OwnIndex {
        let mut view = IndexView::default();
        for (category, content) in [("a", Some("20261120143000")), ("b", None)] {
            let mut row = harness::engagement(PATIENT, DOMAIN, category);
            row.most_recent_content = content.map(|content| content.parse().unwrap());
            row.creation_time = Some("20261120150000".parse().unwrap());
            view.take(row.key(), Some(row));
        }
        OwnIndex::new(Arc::new(RwLock::new(view)))
    }

    fn question(domain: &str) -> FindContent {
        FindContent {
            patient: PATIENT.parse().unwrap(),
            service_domain: domain.to_owned(),
            categorization: None,
            most_recent_content: None,
        }
    }

    async fn ask(index: &OwnIndex, find: FindContent) -> Result<Found, IndexError> {
        index.find(IndexQuestion { find, headers: Vec::new() }).await
    }

    #[tokio::test]
    async fn a_question_of_the_flow_finds_whole_engagements() {
        let found = ask(&index(), question(DOMAIN)).await.unwrap();
        let expected = Engagement {
            patient: PATIENT.parse().ok(),
            service_domain: DOMAIN.to_owned(),
            categorization: "a".to_owned(),
            logical_address: "SE-UNIT".to_owned(),
            business_object: "NA".to_owned(),
            clinical_process: "NA".to_owned(),
            most_recent_content: "20261120143000".to_owned(),
            source_system: "SE-SYSTEM".to_owned(),
            creation_time: "20261120150000".to_owned(),
            update_time: String::new(),
            data_controller: "SE-CONTROLLER".to_owned(),
            owner: harness::OWN.to_owned(),
        };
        assert!(found.engagements[0] == expected, "the fields differ");
        assert_eq!((found.engagements.len(), found.too_many), (2, 0));
    }

    #[tokio::test]
    async fn category_and_time_of_the_question_count() {
        let index = index();
        let of_category = FindContent { categorization: Some("b".to_owned()), ..question(DOMAIN) };
        let recent = FindContent { most_recent_content: Some("20261101000000".to_owned()), ..question(DOMAIN) };
        for (question, expected) in [(of_category, "b"), (recent, "a")] {
            let found = ask(&index, question).await.unwrap();
            let categories: Vec<_> = found.engagements.iter().map(|one| one.categorization.as_str()).collect();
            assert_eq!(categories, [expected]);
        }
        assert_eq!(ask(&index, question("riv:other")).await, Ok(Found::default()));
    }

    fn asked(find: &FindContent) -> Asked {
        let headers = vec![(crate::caller::CORRELATION.to_owned(), "test-corr-id".to_owned())];
        Asked { headers, soap_action: None, charset: None, body: find.write(harness::OWN).into_bytes() }
    }

    /// The message that asks an external index asks this one as well, and its answer is read in the same way.
    #[tokio::test]
    async fn over_soap_the_answer_is_the_same_as_without() {
        let index = index();
        for find in [question(DOMAIN), FindContent { categorization: Some("b".to_owned()), ..question(DOMAIN) }] {
            let reply = index.reply(asked(&find), 1 << 20).unwrap();
            let found = crate::find_content::read_answer(reply.into_bytes(), None, 1 << 20);
            assert_eq!(found, ask(&index, find).await);
        }
        let fault = index.reply(asked(&question("")), 1 << 20).unwrap_err();
        assert!(fault.text.starts_with("EI000: "), "{}", fault.text);
    }

    #[tokio::test]
    async fn what_the_index_refuses_is_its_fault() {
        let Err(IndexError::Fault(fault)) = ask(&index(), question("")).await else { panic!("no fault") };
        assert_eq!(fault.code, "Server");
        assert!(fault.text.starts_with("EI000: ") && fault.text.contains("serviceDomain"), "{}", fault.text);
    }

    #[tokio::test]
    async fn a_change_of_the_view_is_seen_by_the_next_question() {
        let index = index();
        let row = harness::engagement(PATIENT, DOMAIN, "c");
        index.view.write().unwrap().take(row.key(), Some(row.clone()));
        assert_eq!(ask(&index, question(DOMAIN)).await.unwrap().engagements.len(), 3);
        index.view.write().unwrap().clear();
        assert_eq!(ask(&index, question(DOMAIN)).await, Ok(Found::default()));
    }
}
