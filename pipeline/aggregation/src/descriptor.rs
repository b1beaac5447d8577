//! A contract as data: what differs between aggregating services (A 2.3, A 2.6, A 2.7).

mod parts;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tributary_flow::configuration::{ConfigurationError, Source};

pub use parts::{BodyElement, Check, ElementPath, GroupBy, Keep, ValueSource};

use crate::soap::{Elements, Name};

/// The descriptors that are built in.
const BUILT_IN: [(&str, &str); 5] = [
    (
        "GetAggregatedSubjectOfCareSchedule.v1.toml",
        include_str!("../config/services/GetAggregatedSubjectOfCareSchedule.v1.toml"),
    ),
    (
        "GetAggregatedRequestActivities.v1.toml",
        include_str!("../config/services/GetAggregatedRequestActivities.v1.toml"),
    ),
    (
        "GetAggregatedRequestActivities.v2.toml",
        include_str!("../config/services/GetAggregatedRequestActivities.v2.toml"),
    ),
    (
        "GetAggregatedCareDocumentation.v3.toml",
        include_str!("../config/services/GetAggregatedCareDocumentation.v3.toml"),
    ),
    (
        "GetAggregatedLaboratoryOrderOutcome.v4.toml",
        include_str!("../config/services/GetAggregatedLaboratoryOrderOutcome.v4.toml"),
    ),
];

/// The descriptor of a service.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Its name, such as `GetAggregatedSubjectOfCareSchedule.v1`.
    pub name: String,
    /// The path of its URL.
    pub path: String,
    /// The namespace of request and response, which is also TAK's name of the contract.
    pub contract: String,
    /// The request element. The response element has `Response` after it.
    pub interaction: String,
    /// The namespace of its WSDL.
    pub wsdl_namespace: String,
    /// Where its calls go, if not to the platform's URL.
    pub url: Option<String>,
    /// The folder of its schemas.
    pub schemas: Option<String>,
    /// How long its answers may be kept.
    pub cache_ttl: Option<Duration>,
    /// How long a call may take.
    pub service_timeout: Option<Duration>,
    /// When the answer goes out with what has come.
    pub aggregate_timeout: Option<Duration>,
    /// When a question fails.
    pub aggregated_service_timeout: Option<Duration>,
    /// Create Query Object.
    pub query: Query,
    /// Request List Transformer.
    pub requests: Requests,
    /// Response List Transformer.
    pub response: Response,
    /// Where it was read, for messages about it.
    origin: Origin,
}

/// Where a descriptor stands.
#[derive(Clone, Debug)]
struct Origin {
    file: String,
    /// The line of its path.
    path_line: usize,
    /// The line of the first time that it sets, if it sets one.
    times_line: Option<usize>,
    /// The digest of its text.
    digest: [u8; 32],
}

/// From a request to a question for the index.
#[derive(Clone, Debug)]
pub struct Query {
    /// Where in the request the patient id is.
    pub patient: ElementPath,
    /// The domain in the index.
    pub domain: String,
    /// One category is sent to the index. Of several none is sent, and engagements are filtered here.
    pub categories: Vec<String>,
    /// Only engagements with content of that many days.
    pub most_recent_content_days: Option<u16>,
    /// A request that holds one of these elements is refused.
    pub refuse: Vec<ElementPath>,
}

/// From engagements to calls.
#[derive(Clone, Debug)]
pub struct Requests {
    /// Which field of an engagement names the receiver.
    pub group_by: GroupBy,
    /// Which engagements the request asks for.
    pub keep: Vec<Keep>,
    /// The body, if it is built new.
    pub body: Option<Vec<BodyElement>>,
}

/// From answers to one answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The elements that are put together.
    pub concatenate: Vec<Name>,
    /// What comes after them.
    pub append: Option<Elements>,
    /// What an answer must satisfy, if answers are validated.
    pub checks: Vec<Check>,
}

impl Descriptor {
    /// Reads a descriptor.
    ///
    /// # Errors
    /// The first wrong entry, with file, line and what was expected.
    pub fn read(source: &Source) -> Result<Self, ConfigurationError> {
        table::read(source)
    }

    /// The name of the request element.
    pub fn request_name(&self) -> Name {
        Name::new(&self.contract, &self.interaction)
    }

    /// The name of the response element.
    pub fn response_name(&self) -> Name {
        Name::new(&self.contract, format!("{}Response", self.interaction))
    }

    /// The digest of its text: SHA-256. Another text may mean other calls and other rows.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.origin.digest
    }

    /// The SOAP action of the operation (A 3.1).
    pub fn soap_action(&self) -> String {
        format!("{}:{}", self.contract, self.interaction)
    }
}

/// All services by name: the built-in ones, and those of users.
#[derive(Clone, Debug)]
pub struct Descriptors(Vec<Descriptor>);

impl Descriptors {
    /// The built-in descriptors with those of users' files over them. A descriptor with the name of a built-in one
    /// replaces it.
    ///
    /// # Errors
    /// The first wrong entry, with file, line and what was expected.
    pub fn read(files: &[Source]) -> Result<Self, ConfigurationError> {
        let built_in = BUILT_IN.iter().map(|(name, text)| Descriptor::read(&Source::new(*name, *text)));
        let mut all: Vec<Descriptor> = built_in.collect::<Result<_, _>>()?;
        let mut own: Vec<String> = Vec::new();
        for source in files {
            let read = Descriptor::read(source)?;
            if own.contains(&read.name) {
                return Err(read.wrong_path(format!("expected another name, found \"{}\" a second time", read.name)));
            }
            own.push(read.name.clone());
            match all.iter_mut().find(|known| known.name == read.name) {
                Some(known) => *known = read,
                None => all.push(read),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let all = Self(all);
        all.check_paths()?;
        Ok(all)
    }

    /// Only the services of these names.
    ///
    /// # Errors
    /// The first name that no descriptor has.
    pub fn select(mut self, names: &[String]) -> Result<Self, UnknownService> {
        if let Some(unknown) = names.iter().find(|name| self.0.iter().all(|known| known.name != **name)) {
            let known: Vec<&str> = self.0.iter().map(|known| known.name.as_str()).collect();
            return Err(UnknownService { name: unknown.clone(), known: known.join(", ") });
        }
        self.0.retain(|known| names.contains(&known.name));
        Ok(self)
    }

    /// The descriptors, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Descriptor> {
        self.0.iter()
    }

    fn check_paths(&self) -> Result<(), ConfigurationError> {
        for (index, service) in self.0.iter().enumerate() {
            let others = self.0.get(..index).unwrap_or_default();
            if let Some(other) = others.iter().find(|other| other.path == service.path) {
                // The file of the user is to blame, if one of the two is built in.
                let own = |one: &Descriptor| BUILT_IN.iter().all(|(file, _)| *file != one.origin.file);
                let (blamed, other) = if own(service) || !own(other) { (service, other) } else { (other, service) };
                let problem = format!("expected a path of its own, found \"{}\" of {}", blamed.path, other.name);
                return Err(blamed.wrong_path(problem));
            }
        }
        Ok(())
    }
}

impl Descriptor {
    /// An error at the line of the path.
    fn wrong_path(&self, problem: String) -> ConfigurationError {
        ConfigurationError { file: self.origin.file.clone(), line: self.origin.path_line, problem }
    }

    /// An error at the line of the times.
    pub(crate) fn wrong_times(&self, problem: String) -> ConfigurationError {
        let line = self.origin.times_line.unwrap_or(self.origin.path_line);
        ConfigurationError { file: self.origin.file.clone(), line, problem }
    }
}

/// A service that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of the services {known}, found \"{name}\"")]
pub struct UnknownService {
    /// The unknown name.
    pub name: String,
    /// The known names.
    pub known: String,
}
