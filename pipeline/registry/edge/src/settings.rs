//! The settings of `[registry]`: those of the flow, and those of the edge. Keys and certificates that they name are
//! read before anything is opened.

mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;
use toml::Spanned;
use tributary_connectors::soap::mutual_tls::{
    MutualTlsClient, MutualTlsError, MutualTlsFiles, MutualTlsIdentity, MutualTlsSettings,
};
use tributary_flow::configuration::{self, ConfigurationError, ConfigurationFile, SecretSource, Source};
use tributary_registry::configuration::{DEFAULTS, RegistrySettings, TABLE};
use tributary_registry::sealing::{KeyError, KeyRing, LookupKey};

use table::{GraphqlTable, Table, TlsTable, TrembitaTable};

/// The deepest document that may be allowed. Its reader is recursive.
const MAX_DEPTH: usize = 30;

/// The most fields that may be allowed.
const MAX_FIELDS: usize = 10_000;

/// The largest body that may be allowed.
const MAX_BODY: u64 = 8 << 20;

/// The largest header of an answer, in bytes.
const LARGEST_HEADER: usize = 16 * 1024;

/// What a document may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphqlSettings {
    /// Whether the schema may be asked for.
    pub introspection: bool,
    /// Whether there is a page to try documents.
    pub graphiql: bool,
    /// How deep fields may be nested.
    pub max_depth: usize,
    /// How many fields there may be, with fragments spread.
    pub max_fields: usize,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
}

/// The settings of the edge in one process.
#[derive(Debug)]
pub struct EdgeSettings {
    /// Those that decide what stages and callers do.
    pub flow: Arc<RegistrySettings>,
    /// The limits of GraphQL.
    pub graphql: GraphqlSettings,
    /// The file of clients. `None`: they are not checked.
    pub clients: Option<PathBuf>,
    /// The keys that seal numbers and answers.
    pub keys: Arc<KeyRing>,
    /// The key of the hashes that stand for numbers.
    pub lookup_key: LookupKey,
    /// The security server that all calls go through.
    pub security_server: SecurityServer,
}

/// Where the security server is, and who we are to it.
#[derive(Clone, Debug)]
pub struct SecurityServer {
    /// Its address.
    pub url: String,
    /// Whether calls may go over http to another machine.
    pub allow_plain_http: bool,
    /// Files of TLS. `None`: the authorities of the system, and no certificate of ours.
    pub tls: Option<MutualTlsFiles>,
}

#[derive(Serialize)]
struct Effective {
    registry: toml::Table,
}

/// The settings in effect as TOML, without secrets. The entries that must be given are not missed in a file that gives
/// none of them: it may be one for other flows, or what this function has written.
///
/// # Errors
/// The first wrong entry, with file and line.
pub(crate) fn effective(file: &ConfigurationFile) -> Result<String, ConfigurationError> {
    let (user, defaults) = (file.source.as_ref(), Source::new("the built-in settings", DEFAULTS));
    let registry: toml::Table = configuration::read_table(TABLE, &defaults, user)?;
    let table: Table = configuration::read_table(TABLE, &defaults, user)?;
    let source = user.unwrap_or(&defaults);
    let at = table.graphql.span().start;
    graphql(table.graphql.get_ref()).map_err(|problem| source.error_at(at, problem))?;
    if table.encryption_keys.is_some() || table.trembita.url.is_some() {
        EdgeSettings::load(file)?;
    }
    let written = toml::to_string_pretty(&Effective { registry });
    written.map_err(|error| source.error_at(0, format!("[registry] cannot be shown: {error}")))
}

impl EdgeSettings {
    /// Reads and checks the settings, and the keys that they name. Paths are relative to the file.
    ///
    /// # Errors
    /// The first wrong entry, with file and line. No text shows a key.
    pub fn load(file: &ConfigurationFile) -> Result<Self, ConfigurationError> {
        let (user, defaults) = (file.source.as_ref(), Source::new("the built-in settings", DEFAULTS));
        // Before all others: it is the only one that refuses unknown keys.
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        let flow = RegistrySettings::load(user)?;
        let reading = Reading { folder: &file.folder, source: user.unwrap_or(&defaults) };
        let at = table.graphql.span().start;
        let limits = graphql(table.graphql.get_ref()).map_err(|problem| reading.source.error_at(at, problem))?;
        Ok(Self {
            flow: Arc::new(flow),
            graphql: limits,
            clients: table.clients.map(|path| file.folder.join(path)),
            keys: Arc::new(reading.key("encryption_keys", table.encryption_keys, |text| KeyRing::read(text, nonce))?),
            lookup_key: reading.key("lookup_key", table.lookup_key, LookupKey::read)?,
            security_server: reading.security_server(table.trembita)?,
        })
    }
}

/// Twelve random bytes. Without randomness of the system the time serves: a repeated nonce shows no more than that two
/// values of a row are the same.
fn nonce() -> [u8; 12] {
    let mut nonce = [0; 12];
    if getrandom::fill(&mut nonce).is_err() {
        let now = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        nonce.copy_from_slice(now.first_chunk::<12>().unwrap_or(&[0; 12]));
    }
    nonce
}

/// What is needed to read what the table names.
struct Reading<'a> {
    folder: &'a Path,
    /// Whose entries are to blame.
    source: &'a Source,
}

impl Reading<'_> {
    /// Reads a key that has to be given.
    fn key<T>(
        &self,
        name: &str,
        entry: Option<Spanned<SecretSource>>,
        read: impl FnOnce(&str) -> Result<T, KeyError>,
    ) -> Result<T, ConfigurationError> {
        let Some(entry) = entry else {
            let text = format!("expected `{name}` in [registry], as {{ file = \"...\" }} or \"${{NAME}}\", found none");
            return Err(self.source.error_at(0, text));
        };
        let wrong = |problem: String| self.source.error_at(entry.span().start, format!("{name}: {problem}"));
        let secret = entry.get_ref().read(self.folder).map_err(wrong)?;
        read(secret.expose()).map_err(|error| wrong(error.to_string()))
    }

    fn security_server(&self, table: TrembitaTable) -> Result<SecurityServer, ConfigurationError> {
        let Some(url) = table.url else {
            let text =
                "expected `url` in [registry.trembita], such as \"https://security-server.example/\", found none";
            return Err(self.source.error_at(0, text));
        };
        let at = url.span().start;
        let tls = table.tls.map(|tls| self.tls(&tls)).transpose()?;
        let server = SecurityServer { url: url.into_inner(), allow_plain_http: table.allow_plain_http, tls };
        // A client that cannot be made is told before anything is opened, with the line of the address.
        let limits = CallLimits { timeout: Duration::from_secs(1), largest_answer: 1 };
        server.client(limits).map_err(|error| self.source.error_at(at, format!("[registry.trembita]: {error}")))?;
        Ok(server)
    }

    fn tls(&self, table: &Spanned<TlsTable>) -> Result<MutualTlsFiles, ConfigurationError> {
        let TlsTable { ca, certificate, key } = table.get_ref();
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(MutualTlsIdentity { certificate: self.folder.join(certificate), key: self.folder.join(key) })
            }
            (None, None) => None,
            _ => {
                let text = "expected `certificate` and `key` together in trembita.tls, found one of them";
                return Err(self.source.error_at(table.span().start, text));
            }
        };
        Ok(MutualTlsFiles { ca: self.folder.join(ca), identity })
    }
}

/// The bounds of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    /// From the connection to the last byte.
    pub(crate) timeout: Duration,
    /// The largest body of an answer, in bytes.
    pub(crate) largest_answer: usize,
}

impl SecurityServer {
    /// A client of the server. It connects to nothing yet.
    ///
    /// # Errors
    /// What cannot be used: the address, or a file.
    pub(crate) fn client(&self, limits: CallLimits) -> Result<MutualTlsClient, MutualTlsError> {
        MutualTlsClient::new(&MutualTlsSettings {
            url: self.url.clone(),
            allow_plain_http: self.allow_plain_http,
            files: self.tls.clone(),
            timeout: limits.timeout,
            largest_header: LARGEST_HEADER,
            largest_answer: limits.largest_answer,
        })
    }
}

fn graphql(table: &GraphqlTable) -> Result<GraphqlSettings, String> {
    let within = |key: &str, number: usize, most: usize| match number {
        number if (1..=most).contains(&number) => Ok(number),
        number => Err(format!("expected 1 to {most} at graphql.{key}, found {number}")),
    };
    let max_body = table.max_body.as_u64();
    if !(1..=MAX_BODY).contains(&max_body) {
        let found = table.max_body;
        return Err(format!("expected a size up to {} at graphql.max_body, found {found}", ByteSize(MAX_BODY)));
    }
    Ok(GraphqlSettings {
        introspection: table.introspection,
        graphiql: table.graphiql,
        max_depth: within("max_depth", table.max_depth, MAX_DEPTH)?,
        max_fields: within("max_fields", table.max_fields, MAX_FIELDS)?,
        max_body: max_body as usize,
    })
}
