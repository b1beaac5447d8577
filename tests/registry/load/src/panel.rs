//! The administration panel: what it asks over GraphQL. Answers are looked at without reading them as JSON, because the
//! panel shares its cores with what is measured.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::{Failure, Outcome, body};

/// How long a mutation waits for the end of its job: the most there is.
const WAIT: &str = "wait=30";

const SYNC: &str = "mutation($unzr: String!) { syncUnzrInfoRegister(input: {unzr: $unzr}) \
    { unzrInfo { id databaseId jobStatus syncedAt updatedAt updatedBy } } }";

const FIND: &str = "query($unzr: String!) { unzrInfoRegister(unzr: $unzr) \
    { id databaseId unzr jobStatus syncedAt insertedAt insertedBy updatedAt updatedBy \
    info { firstName lastName middleName rnokpp gender dateBirth \
    documentList { type number issuedAt expiredAt issuedBy status } } } }";

/// Asks one service. Its clones share their connections, which are as many as were needed at once.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    client: Client<HttpConnector, String>,
    url: Uri,
}

impl Panel {
    /// `url`: that of GraphQL.
    pub(crate) fn new(url: &Uri) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(15));
        Self { client: builder.build(connector), url: url.clone() }
    }

    /// Starts a job. Its row is pending, or has ended already.
    pub(crate) async fn start(&self, number: &str) -> Outcome {
        let answer = self.ask(SYNC, number, None).await?;
        if has_status(&answer, "pending") || has_status(&answer, "processed") { Ok(()) } else { Err(wrong(&answer)) }
    }

    /// Starts a job, and waits for its end.
    pub(crate) async fn complete(&self, number: &str) -> Outcome {
        let answer = self.ask(SYNC, number, Some(WAIT)).await?;
        if has_status(&answer, "processed") { Ok(()) } else { Err(wrong(&answer)) }
    }

    /// Asks for a row that the register has answered.
    pub(crate) async fn find(&self, number: &str) -> Outcome {
        let answer = self.ask(FIND, number, None).await?;
        let is_whole = has_status(&answer, "processed") && answer.contains("\"documentList\":[{");
        if is_whole { Ok(()) } else { Err(wrong(&answer)) }
    }

    async fn ask(&self, document: &str, number: &str, prefer: Option<&'static str>) -> Result<String, Failure> {
        let mut request = Request::new(format!("{{\"query\":\"{document}\",\"variables\":{{\"unzr\":\"{number}\"}}}}"));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(prefer) = prefer {
            request.headers_mut().insert(HeaderName::from_static("prefer"), HeaderValue::from_static(prefer));
        }
        self.send(request).await
    }

    /// What stands at an address.
    pub(crate) async fn get(&self, url: &Uri) -> Result<String, Failure> {
        let mut request = Request::new(String::new());
        *request.uri_mut() = url.clone();
        self.send(request).await
    }

    async fn send(&self, request: Request<String>) -> Result<String, Failure> {
        let response = self.client.request(request).await?;
        let status = response.status();
        let answer = body::text(response.into_body()).await?;
        if status.is_success() { Ok(answer) } else { Err(format!("status {status}: {answer}").into()) }
    }
}

fn has_status(answer: &str, status: &str) -> bool {
    let known = answer.split_once("\"jobStatus\":\"").and_then(|(_, rest)| rest.split('"').next());
    known == Some(status) && !answer.contains("\"errors\"")
}

/// All that is asked for is invented, so an answer may be shown.
fn wrong(answer: &str) -> Failure {
    format!("a wrong answer: {answer}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_status_of_its_row_if_nothing_has_failed() {
        let row = r#"{"data":{"x":{"unzrInfo":{"jobStatus":"processed","syncedAt":null}}}}"#;
        assert!(has_status(row, "processed") && !has_status(row, "pending"));
        assert!(!has_status(r#"{"data":{"x":null},"errors":[{"message":"x"}]}"#, "processed"));
        assert!(!has_status(r#"{"data":{"a":{"jobStatus":"processed"},"b":null},"errors":[]}"#, "processed"));
    }
}
