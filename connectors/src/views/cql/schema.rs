//! The tables: how they are created, and what is checked of tables that are there.

use std::collections::BTreeSet;

use scylla::client::session::Session;

use super::CqlError;

/// The rows.
pub(super) const ROWS: &str = "view_rows";

/// The positions.
pub(super) const POSITIONS: &str = "view_positions";

/// Name, type and kind of a column. A static column belongs to the partition.
type Column = (&'static str, &'static str, &'static str);

/// Both tables with their columns.
const COLUMNS: &[(&str, &[Column])] = &[
    (
        ROWS,
        &[
            ("log", "text", "partition_key"),
            ("topic", "text", "partition_key"),
            ("generation", "int", "partition_key"),
            ("bucket", "int", "partition_key"),
            ("key", "blob", "clustering"),
            ("record_time", "bigint", "regular"),
            ("value", "blob", "regular"),
        ],
    ),
    (
        POSITIONS,
        &[
            ("log", "text", "partition_key"),
            ("topic", "text", "partition_key"),
            ("generation", "int", "clustering"),
            ("partition", "int", "clustering"),
            ("current_generation", "int", "static"),
            ("next_offset", "bigint", "regular"),
            ("record_time", "bigint", "regular"),
        ],
    ),
];

/// Statements that create what is missing. Replication is that of the local data centre and of all others alike.
fn statements(keyspace: &str, replicas: u16) -> [String; 3] {
    [
        format!(
            "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" WITH replication = {{'class': 'NetworkTopologyStrategy', \
             'replication_factor': {replicas}}}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS \"{keyspace}\".{ROWS} (log text, topic text, generation int, bucket int, key \
             blob, record_time bigint, value blob, PRIMARY KEY ((log, topic, generation, bucket), key))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS \"{keyspace}\".{POSITIONS} (log text, topic text, generation int, partition \
             int, current_generation int STATIC, next_offset bigint, record_time bigint, PRIMARY KEY ((log, topic), \
             generation, partition))"
        ),
    ]
}

/// Creates what is missing.
///
/// # Errors
/// [`CqlError::Schema`].
pub(super) async fn create(session: &Session, keyspace: &str, replicas: u16) -> Result<(), CqlError> {
    for statement in statements(keyspace, replicas) {
        let created = session.query_unpaged(statement, ()).await;
        created.map_err(|error| CqlError::schema(format!("the keyspace {keyspace}"), error))?;
    }
    Ok(())
}

/// Whether a table is missing. Only then is something created: the user may have no right to it.
///
/// # Errors
/// [`CqlError`].
pub(super) async fn is_missing(session: &Session, keyspace: &str) -> Result<bool, CqlError> {
    for (table, _) in COLUMNS {
        if columns(session, keyspace, table).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks the columns of both tables.
///
/// # Errors
/// [`CqlError::Differs`].
pub(super) async fn check(session: &Session, keyspace: &str) -> Result<(), CqlError> {
    for (table, expected) in COLUMNS {
        let found = columns(session, keyspace, table).await?;
        let expected = expected.iter().map(|(name, kind, place)| format!("{name} {kind} {place}")).collect();
        if found != expected {
            let in_words = |columns: &BTreeSet<String>| columns.iter().cloned().collect::<Vec<_>>().join(", ");
            let difference = if found.is_empty() {
                "it is not there".to_owned()
            } else {
                format!("expected the columns {}, found {}", in_words(&expected), in_words(&found))
            };
            return Err(CqlError::Differs { table: format!("{keyspace}.{table}"), difference });
        }
    }
    Ok(())
}

async fn columns(session: &Session, keyspace: &str, table: &str) -> Result<BTreeSet<String>, CqlError> {
    let statement =
        "SELECT column_name, type, kind FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?";
    let result = session.query_unpaged(statement, (keyspace, table)).await;
    let result = result.map_err(|error| CqlError::schema(format!("the table {keyspace}.{table}"), error))?;
    let rows = result.into_rows_result().map_err(CqlError::answer)?;
    let rows = rows.rows::<(String, String, String)>().map_err(CqlError::answer)?;
    let column = |row: Result<(String, String, String), _>| {
        let (name, kind, place) = row.map_err(CqlError::answer)?;
        Ok(format!("{name} {kind} {place}"))
    };
    rows.map(column).collect()
}
