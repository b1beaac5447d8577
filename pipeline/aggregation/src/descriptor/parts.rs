//! The parts of a descriptor: paths, fields of engagements, and checks.

use regex::Regex;
use serde::Deserialize;

use crate::engagement::{Engagement, Field};
use crate::soap::{Message, is_name};

/// How deep a path may lead.
const LONGEST_PATH: usize = 32;
/// How many bytes a compiled pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

/// A path of local names below the element of a body, such as `patientId/id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementPath(Vec<String>);

impl ElementPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What was expected.
    pub fn read(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text.split('/').map(str::to_owned).collect();
        if names.len() > LONGEST_PATH || !names.iter().all(|name| is_name(name)) {
            return Err(format!("expected a path of local names such as \"patientId/id\", found \"{text}\""));
        }
        Ok(Self(names))
    }

    /// The texts of all elements at this path, as written.
    pub fn values(&self, message: &Message) -> Vec<String> {
        message.values(&self.0)
    }

    /// Whether an element is at this path.
    pub fn is_in(&self, message: &Message) -> bool {
        message.has(&self.0)
    }

    /// The path as written.
    pub fn text(&self) -> String {
        self.0.join("/")
    }
}

/// Which field of an engagement names the receiver of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupBy {
    /// The address where the data is reachable.
    LogicalAddress,
    /// The system that holds the data.
    SourceSystem,
}

impl GroupBy {
    /// The receiver that an engagement names.
    pub fn receiver(self, engagement: &Engagement) -> &str {
        match self {
            Self::LogicalAddress => &engagement.logical_address,
            Self::SourceSystem => &engagement.source_system,
        }
    }
}

/// An engagement is kept if the request has no such element, or only empty ones, or one that equals the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The element of the request.
    pub request: ElementPath,
    /// The field of the engagement.
    pub engagement: Field,
}

/// An element of a body that is built new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyElement {
    /// Its local name. Its namespace is that of the contract.
    pub element: String,
    /// Its text.
    pub from: ValueSource,
}

/// Where the text of an element comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// A field of the engagement.
    Engagement(Field),
    /// The request: one element for each that it has there.
    Request(ElementPath),
    /// A fixed text.
    Text(String),
}

impl ValueSource {
    /// Reads `engagement.FIELD`, `request.PATH` or `text:...`.
    ///
    /// # Errors
    /// What was expected.
    pub fn read(text: &str) -> Result<Self, String> {
        if let Some(fixed) = text.strip_prefix("text:") {
            return Ok(Self::Text(fixed.to_owned()));
        }
        if let Some(path) = text.strip_prefix("request.") {
            return ElementPath::read(path).map(Self::Request);
        }
        let field = text.strip_prefix("engagement.").and_then(Field::named);
        field.map(Self::Engagement).ok_or_else(|| {
            format!("expected \"engagement.\" and a field, \"request.\" and a path, or \"text:\", found \"{text}\"")
        })
    }
}

/// What the texts of an answer must be like.
#[derive(Clone, Debug)]
pub struct Check {
    path: ElementPath,
    pattern: Regex,
}

impl Check {
    /// Reads a check. The pattern must match a whole value.
    ///
    /// # Errors
    /// What was expected of the pattern.
    pub fn read(path: ElementPath, pattern: &str) -> Result<Self, String> {
        let built = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(PATTERN_SIZE).build();
        let wrong = |_| format!("expected a regular expression, found \"{pattern}\"");
        Ok(Self { path, pattern: built.map_err(wrong)? })
    }

    /// The path and the first value of an answer that breaks this check.
    pub fn broken_by(&self, answer: &Message) -> Option<(String, String)> {
        let values = self.path.values(answer);
        let wrong = values.into_iter().find(|value| !self.pattern.is_match(value))?;
        Some((self.path.text(), wrong))
    }
}
