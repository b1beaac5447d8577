//! The table `[registry]` of the configuration. Unknown keys are refused here. What the flow itself decides with is
//! read by the flow's own crate; here it is only known.

use std::path::PathBuf;

use bytesize::ByteSize;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use tributary_flow::configuration::SecretSource;

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) graphql: Spanned<GraphqlTable>,
    pub(super) clients: Option<PathBuf>,
    pub(super) encryption_keys: Option<Spanned<SecretSource>>,
    pub(super) lookup_key: Option<Spanned<SecretSource>>,
    pub(super) trembita: TrembitaTable,
    #[serde(rename = "tick")]
    _tick: IgnoredAny,
    #[serde(rename = "purge_after")]
    _purge_after: IgnoredAny,
    #[serde(rename = "max_pending")]
    _max_pending: IgnoredAny,
    #[serde(rename = "statuses")]
    _statuses: IgnoredAny,
    #[serde(rename = "calls")]
    _calls: IgnoredAny,
    #[serde(rename = "job")]
    _job: IgnoredAny,
}

/// What a document of GraphQL may ask for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphqlTable {
    pub(super) introspection: bool,
    pub(super) graphiql: bool,
    pub(super) max_depth: usize,
    pub(super) max_fields: usize,
    pub(super) max_body: ByteSize,
}

/// The way to all registers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrembitaTable {
    pub(super) url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow_plain_http: bool,
    pub(super) tls: Option<Spanned<TlsTable>>,
    #[serde(rename = "instance")]
    _instance: IgnoredAny,
    #[serde(rename = "client")]
    _client: IgnoredAny,
    #[serde(rename = "user_id")]
    _user_id: IgnoredAny,
    #[serde(rename = "protocol_version")]
    _protocol_version: IgnoredAny,
    #[serde(rename = "max_answer")]
    _max_answer: IgnoredAny,
}

/// Files of TLS, in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    pub(super) ca: PathBuf,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}
