//! JSON bodies that may name a patient. Their errors show nothing of them.

use serde_json::{Map, Value};
use tributary_flow::http::{FieldError, Problem};
use tributary_schemas::types::aggregation::PatientId;

/// The fields of a body.
pub(super) struct PersonalBody(Map<String, Value>);

impl PersonalBody {
    /// Reads a body. An empty one has no fields.
    ///
    /// # Errors
    /// 400 for what is no JSON object, and for a field that is not known.
    pub(super) fn read(body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        let no_object = |_| wrong("", "expected a JSON object");
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(no_object)?;
        if fields.keys().all(|name| known.contains(&name.as_str())) {
            return Ok(Self(fields));
        }
        Err(wrong("", &format!("expected no other fields than {}", known.join(" and "))))
    }

    /// A text, if it is given.
    ///
    /// # Errors
    /// 400 for another value.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "expected a text")),
        }
    }

    /// The patient, if one is given.
    ///
    /// # Errors
    /// 400 for what is no id of a patient.
    pub(super) fn patient(&self) -> Result<Option<PatientId>, Problem> {
        let patient = self.text("patient")?.map(|text| text.parse());
        patient.transpose().map_err(|_| wrong("patient", "expected an id of a patient"))
    }
}

fn wrong(field: &'static str, reason: &str) -> Problem {
    Problem::bad_request(vec![FieldError::new(field, reason)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_shows_what_was_sent() {
        let known = ["patient", "domain"];
        for body in [
            "{\"patient\": 191212121212}",
            "{\"191212121212\": 1}",
            "{\"patient\": [\"191212121212\"]}",
            "191212121212",
            "{\"patient\": \"191212121212\"",
        ] {
            let read = PersonalBody::read(body.as_bytes(), &known).and_then(|fields| fields.patient());
            let problem = read.unwrap_err();
            let shown = format!("{} {:?}", problem.detail(), problem.errors());
            assert!(problem.status().as_u16() == 400 && !shown.contains("1912"), "{shown}");
        }
        assert!(PersonalBody::read(b" ", &known).unwrap().patient().unwrap().is_none());
        let given = PersonalBody::read(b"{\"patient\": \"191212121212\"}", &known).unwrap();
        assert_eq!(given.patient().unwrap().unwrap().as_str(), "191212121212");
    }
}
