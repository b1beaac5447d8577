//! The keys of the process: what they open, and whether they fit what is kept.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tributary_registry::number::Number;
use tributary_registry::row_key::RowKey;
use tributary_registry::sealing::{LookupKey, Part, SealError, Sealed, Sealer};
use tributary_schemas::Codec;
use tributary_schemas::records::registry::{CommandAction, JobCommand, JobRow};
use tributary_schemas::types::registry::{KindName, UserId};

use crate::lookups::Row;
use crate::rows::Rows;

/// The keys.
pub(crate) struct Vault {
    sealer: Arc<dyn Sealer>,
    lookup_key: LookupKey,
}

/// Why a row cannot be shown. No text has a part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("what the seal holds is not what was sealed")]
    Content,
    #[error("a time is beyond the calendar")]
    Time,
}

impl Vault {
    pub(crate) fn new(sealer: Arc<dyn Sealer>, lookup_key: LookupKey) -> Self {
        Self { sealer, lookup_key }
    }

    /// The key of the row of a number.
    pub(crate) fn key(&self, kind: &KindName, number: &Number) -> RowKey {
        self.lookup_key.row(kind, number)
    }

    /// A number, sealed.
    pub(crate) fn seal_number(&self, kind: &KindName, row: RowKey, number: &Number) -> Result<Vec<u8>, SealError> {
        self.sealer.seal(Sealed { kind, row, part: Part::Number }, number.expose().as_bytes())
    }

    fn number(&self, key: RowKey, row: &JobRow) -> Result<Number, OpenError> {
        let opened = self.sealer.open(Sealed { kind: &row.kind, row: key, part: Part::Number }, &row.number)?;
        Ok(Number::new(str::from_utf8(&opened).map_err(|_| OpenError::Content)?))
    }

    fn info(&self, key: RowKey, row: &JobRow) -> Result<Option<Value>, OpenError> {
        let Some(info) = &row.info else { return Ok(None) };
        let opened = self.sealer.open(Sealed { kind: &row.kind, row: key, part: Part::Info }, info)?;
        serde_json::from_slice(&opened).map(Some).map_err(|_| OpenError::Content)
    }

    /// A row in the clear.
    pub(crate) fn open(&self, key: RowKey, row: &JobRow) -> Result<Row, OpenError> {
        let time = |at: i64| Timestamp::from_millisecond(at).map_err(|_| OpenError::Time);
        Ok(Row {
            id: row.id,
            number: self.number(key, row)?,
            status: row.status,
            info: self.info(key, row)?,
            synced_at: row.synced_at.map(time).transpose()?,
            inserted_at: time(row.inserted_at)?,
            inserted_by: row.inserted_by,
            updated_at: time(row.updated_at)?,
            updated_by: row.updated_by,
        })
    }

    /// Checks that every number can be opened, and that its row has the key that a request for it would have. The
    /// error says what the operator can do.
    pub(crate) fn check(&self, codec: &Codec, rows: &Rows) -> Result<(), String> {
        for (key, row) in rows.all(codec) {
            let row = row.map_err(|error| format!("a row of registry.row cannot be read: {error}"))?;
            let number = self.number(key, &row).map_err(|error| unfit(&error))?;
            if let Some(info) = &row.info {
                let what = Sealed { kind: &row.kind, row: key, part: Part::Info };
                self.sealer.open(what, info).map_err(|error| unfit(&error.into()))?;
            }
            if self.key(&row.kind, &number) != key {
                return Err(
                    "registry.lookup_key is not the one that the rows were made with: give that one back".to_owned()
                );
            }
        }
        Ok(())
    }

    /// The command that seals a row with the first key. `None` if it is so already.
    pub(crate) fn rekey(
        &self,
        key: RowKey,
        row: &JobRow,
        by: UserId,
        now: i64,
    ) -> Result<Option<JobCommand>, SealError> {
        let is_current = |sealed: &Vec<u8>| self.sealer.is_current(sealed);
        if is_current(&row.number) && row.info.as_ref().is_none_or(is_current) {
            return Ok(None);
        }
        let resealed = |part: Part, sealed: &[u8]| {
            let what = Sealed { kind: &row.kind, row: key, part };
            self.sealer.seal(what, &self.sealer.open(what, sealed)?)
        };
        Ok(Some(JobCommand {
            action: CommandAction::Rekey,
            now,
            row_id: Some(row.id),
            version: Some(row.version),
            number: Some(resealed(Part::Number, &row.number)?),
            info: row.info.as_deref().map(|info| resealed(Part::Info, info)).transpose()?,
            ..JobCommand::of(row.kind.clone(), by)
        }))
    }
}

/// What is wrong with the keys, and what the operator can do.
fn unfit(error: &OpenError) -> String {
    let advice = "give the keys back that they were sealed with";
    format!("registry.encryption_keys do not fit the rows that are kept: {error}; {advice}")
}
