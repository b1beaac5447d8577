//! The connection to the database, with the statements. It is made when it is needed first, and again when the tables
//! are not there any more. Connections that break meanwhile are the driver's affair.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::frame::types::{Consistency, SerialConsistency};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Mutex;

use super::schema::{self, POSITIONS, ROWS};
use super::{CqlConfig, CqlError};

/// The longest name of a keyspace.
const LONGEST_KEYSPACE: usize = 48;

/// The attempts to connect, and to create tables, take at most this multiple of the time of a request.
const REQUESTS_OF_A_CONNECTION: u32 = 4;

/// How often a statement about a table that is listed is prepared again, if the node does not know the table yet.
const ATTEMPTS_TO_PREPARE: u32 = 40;

/// The time between two such attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// Not even a record at the last offset is as new: what is removed with this timestamp never returns.
const FOR_GOOD: i64 = i64::MAX;

/// The connection, and how it is made.
pub(super) struct Connection {
    config: CqlConfig,
    tls: Option<Arc<rustls::ClientConfig>>,
    ready: Mutex<Option<Arc<Ready>>>,
}

/// The session with its statements.
pub(super) struct Ready {
    pub(super) session: Session,
    /// log, topic
    pub(super) positions: PreparedStatement,
    /// log, topic, generation, partition, offset, time, timestamp
    pub(super) put_position: PreparedStatement,
    /// log, topic, generation, bucket, key, time, value, timestamp
    pub(super) put: PreparedStatement,
    /// timestamp, log, topic, generation, bucket, key
    pub(super) delete: PreparedStatement,
    /// log, topic, generation, bucket, key
    pub(super) row: PreparedStatement,
    /// log, topic, generation, bucket, from, end, limit
    pub(super) range: PreparedStatement,
    /// log, topic, generation, bucket, from, limit
    pub(super) open_range: PreparedStatement,
    /// new, log, topic, expected
    pub(super) begin_generation: PreparedStatement,
    /// log, topic, generation
    pub(super) forget_positions: PreparedStatement,
    /// log, topic, generation, bucket
    pub(super) forget_rows: PreparedStatement,
}

impl Connection {
    pub(super) fn new(config: CqlConfig) -> Result<Self, CqlError> {
        let setting = |setting, problem: String| CqlError::Setting { setting, problem };
        if config.nodes.is_empty() {
            return Err(setting("nodes", "expected at least one `host:port`, found none".to_owned()));
        }
        if !is_keyspace(&config.keyspace) {
            let problem = format!(
                "expected a name of letters, digits and underscores, at most {LONGEST_KEYSPACE}, found \"{}\"",
                config.keyspace
            );
            return Err(setting("keyspace", problem));
        }
        let tls = config.ca.as_deref().map(encryption).transpose().map_err(|problem| setting("ca", problem))?;
        Ok(Self { config, tls, ready: Mutex::default() })
    }

    /// The session, made if there is none.
    pub(super) async fn ready(&self) -> Result<Arc<Ready>, CqlError> {
        // Others wait meanwhile: they would fail for the same reason.
        let mut ready = self.ready.lock().await;
        if let Some(ready) = &*ready {
            return Ok(Arc::clone(ready));
        }
        let after = self.config.timeout * REQUESTS_OF_A_CONNECTION;
        let made = tokio::time::timeout(after, self.connect()).await;
        let made = Arc::new(made.map_err(|_| CqlError::ConnectTimeout { nodes: self.nodes(), after })??);
        *ready = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Executes a statement.
    pub(super) async fn execute(
        &self,
        ready: &Arc<Ready>,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, CqlError> {
        self.answer(ready, ready.session.execute_unpaged(statement, values).await).await
    }

    /// The answer to a request. If it says that the tables are not as they were, the next call connects and looks
    /// again.
    pub(super) async fn answer(
        &self,
        used: &Arc<Ready>,
        answer: Result<QueryResult, ExecutionError>,
    ) -> Result<QueryResult, CqlError> {
        if answer.as_ref().is_err_and(is_about_tables) {
            let mut ready = self.ready.lock().await;
            if ready.as_ref().is_some_and(|ready| Arc::ptr_eq(ready, used)) {
                *ready = None;
            }
        }
        answer.map_err(|error| CqlError::Request(Box::new(error)))
    }

    fn nodes(&self) -> String {
        self.config.nodes.join(", ")
    }

    async fn connect(&self) -> Result<Ready, CqlError> {
        let config = &self.config;
        let mut policy = DefaultPolicy::builder();
        if let Some(datacenter) = &config.datacenter {
            policy = policy.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
        }
        let consistency = if config.spans_datacenters { Consistency::Quorum } else { Consistency::LocalQuorum };
        let serial = if config.spans_datacenters { SerialConsistency::Serial } else { SerialConsistency::LocalSerial };
        let profile = ExecutionProfile::builder()
            .consistency(consistency)
            .serial_consistency(Some(serial))
            .request_timeout(Some(config.timeout))
            .load_balancing_policy(policy.build())
            .build();
        let builder = SessionBuilder::new()
            .known_nodes(&config.nodes)
            .connection_timeout(config.timeout)
            .fetch_schema_metadata(false)
            .tls_context(self.tls.clone())
            .default_execution_profile_handle(profile.into_handle());
        let builder = match &config.user {
            Some((user, password)) => builder.user(user, password),
            None => builder,
        };
        let session = builder.build().await;
        let session = session.map_err(|source| CqlError::Connect { nodes: self.nodes(), source: Box::new(source) })?;
        if let Some(replicas) = config.create
            && schema::is_missing(&session, &config.keyspace).await?
        {
            schema::create(&session, &config.keyspace, replicas).await?;
        }
        schema::check(&session, &config.keyspace).await?;
        prepare(session, &config.keyspace).await
    }
}

async fn prepare(session: Session, keyspace: &str) -> Result<Ready, CqlError> {
    let (rows, positions) = (format!("\"{keyspace}\".{ROWS}"), format!("\"{keyspace}\".{POSITIONS}"));
    let one = "log = ? AND topic = ? AND generation = ? AND bucket = ?";
    let statement = async |text: String| {
        let mut prepared = prepared(&session, &text).await?;
        // All of them may be repeated: writes carry their timestamp.
        prepared.set_is_idempotent(true);
        Ok::<_, CqlError>(prepared)
    };
    let mut begin_generation = statement(format!(
        "UPDATE {positions} SET current_generation = ? WHERE log = ? AND topic = ? IF current_generation = ?"
    ))
    .await?;
    begin_generation.set_is_idempotent(false);
    Ok(Ready {
        begin_generation,
        positions: statement(format!(
            "SELECT current_generation, generation, partition, next_offset, record_time FROM {positions} WHERE log = ? \
             AND topic = ?"
        ))
        .await?,
        put_position: statement(format!(
            "INSERT INTO {positions} (log, topic, generation, partition, next_offset, record_time) VALUES (?, ?, ?, ?, \
             ?, ?) USING TIMESTAMP ?"
        ))
        .await?,
        put: statement(format!(
            "INSERT INTO {rows} (log, topic, generation, bucket, key, record_time, value) VALUES (?, ?, ?, ?, ?, ?, ?) \
             USING TIMESTAMP ?"
        ))
        .await?,
        delete: statement(format!("DELETE FROM {rows} USING TIMESTAMP ? WHERE {one} AND key = ?")).await?,
        row: statement(format!("SELECT key, record_time, value FROM {rows} WHERE {one} AND key = ?")).await?,
        range: statement(format!(
            "SELECT key, record_time, value FROM {rows} WHERE {one} AND key >= ? AND key < ? LIMIT ?"
        ))
        .await?,
        open_range: statement(format!("SELECT key, record_time, value FROM {rows} WHERE {one} AND key >= ? LIMIT ?"))
            .await?,
        forget_positions: statement(format!(
            "DELETE FROM {positions} USING TIMESTAMP {FOR_GOOD} WHERE log = ? AND topic = ? AND generation = ?"
        ))
        .await?,
        forget_rows: statement(format!("DELETE FROM {rows} USING TIMESTAMP {FOR_GOOD} WHERE {one}")).await?,
        session,
    })
}

/// Prepares a statement. A node lists a table in its schema shortly before it takes statements about it: a process that
/// looks while another one creates the tables finds them, and has to ask again.
async fn prepared(session: &Session, text: &str) -> Result<PreparedStatement, CqlError> {
    for _ in 0..ATTEMPTS_TO_PREPARE {
        match session.prepare(text).await {
            Err(error) if lacks_table(&error) => tokio::time::sleep(BETWEEN_ATTEMPTS).await,
            answer => return answer.map_err(CqlError::prepare),
        }
    }
    session.prepare(text).await.map_err(CqlError::prepare)
}

fn lacks_table(error: &PrepareError) -> bool {
    let PrepareError::AllAttemptsFailed { first_attempt: error } = error else { return false };
    matches!(error, RequestAttemptError::DbError(DbError::Invalid, _))
}

/// It is written into statements, between quotation marks.
fn is_keyspace(name: &str) -> bool {
    let is_allowed = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    (1..=LONGEST_KEYSPACE).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Trusts the authorities in a PEM, and no others.
fn encryption(ca: &str) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("expected certificates as PEM, found none".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Whether a request failed because a table or its columns are not there. Timeouts and lost nodes are not of this kind.
fn is_about_tables(error: &ExecutionError) -> bool {
    let is_invalid = |error: &RequestAttemptError| {
        matches!(error, RequestAttemptError::DbError(DbError::Invalid | DbError::ConfigError, _))
    };
    match error {
        ExecutionError::LastAttemptError(error) => is_invalid(error),
        ExecutionError::PrepareError(_) => true,
        _ => false,
    }
}
