//! The settings of `[aggregation]`: those of the flow and of the index, the services, and those of the edge. All files
//! that they name are read before anything is opened.

mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use toml::Spanned;
use tributary_aggregation::cache::StoreKind;
use tributary_aggregation::cache::log::digits;
use tributary_aggregation::configuration::{DEFAULTS, TABLE};
use tributary_aggregation::delivery::NotificationSettings;
use tributary_aggregation::descriptor::Descriptors;
use tributary_aggregation::ei_settings::{EiSettings, Index};
use tributary_aggregation::flow::{FlowSettings, Service};
use tributary_flow::configuration::{self, ConfigurationError, ConfigurationFile, Source};
use url::Url;

use crate::schema_files::SchemaFiles;
use crate::tak_source;
use table::{Cache, Table, TakTable, TlsTable};

/// The most descriptors in a folder.
const MOST_DESCRIPTORS: usize = 1_000;

/// The largest descriptor, in bytes.
const LARGEST_DESCRIPTOR: u64 = 1 << 20;

/// The settings of the flow in one process.
#[derive(Debug)]
pub(crate) struct EdgeSettings {
    /// Those that decide what becomes of a question.
    pub(crate) flow: FlowSettings,
    /// Which index is asked.
    pub(crate) index: Index,
    /// The services, by name.
    pub(crate) services: Vec<OfferedService>,
    /// Where permissions and routes come from.
    pub(crate) tak: TakPlace,
    /// How others are called.
    pub(crate) calls: CallSettings,
    /// How subscribers are notified.
    pub(crate) notification: NotificationSettings,
    /// The key of the hashes of patients in the audit, if one is given.
    pub(crate) audit_key: Option<[u8; 32]>,
    /// The key that seals the cache in the log. `None` if answers are kept in memory only.
    pub(crate) cache_key: Option<CacheSecret>,
    /// The settings in effect as TOML, without secrets.
    pub(crate) effective: String,
}

/// The key that seals the cache in the log. Nothing shows it.
#[derive(Clone)]
pub(crate) struct CacheSecret(pub(crate) [u8; 32]);

impl std::fmt::Debug for CacheSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// A service, and the schemas that are shown with its WSDL.
#[derive(Clone, Debug)]
pub(crate) struct OfferedService {
    pub(crate) service: Arc<Service>,
    pub(crate) schemas: Arc<SchemaFiles>,
}

/// Where permissions and routes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TakPlace {
    /// Nowhere: they are not checked.
    Off,
    /// A file.
    File(PathBuf),
    /// A catalogue over SOAP, with a file that holds its last answer.
    Url(String, Option<PathBuf>),
}

impl TakPlace {
    /// Reads the file, if nothing else is asked: a process with a wrong one does not start.
    ///
    /// # Errors
    /// Why it cannot be read, with its name.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::File(path) => tak_source::read_tak(path).map(drop),
            Self::Off | Self::Url(..) => Ok(()),
        }
    }
}

/// How others are called.
#[derive(Clone, Debug)]
pub(crate) struct CallSettings {
    /// How long a connection may take.
    pub(crate) connect_timeout: Duration,
    /// TLS, where it is not that of the system.
    pub(crate) tls: TlsFiles,
}

/// Contents of files of TLS, in PEM.
#[derive(Clone, Default)]
pub(crate) struct TlsFiles {
    /// The authorities that are believed instead of those of the system.
    pub(crate) ca: Option<Vec<u8>>,
    /// Our certificate and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsFiles")
    }
}

#[derive(Serialize)]
struct Effective {
    aggregation: toml::Table,
}

/// The settings in effect as TOML, without secrets. The entries that must be given are not missed in a file that gives
/// none of them: it may be one for other flows, or what this function has written.
///
/// # Errors
/// As [`EdgeSettings::load`].
pub(crate) fn effective(file: &ConfigurationFile) -> Result<String, ConfigurationError> {
    let (user, defaults) = (file.source.as_ref(), Source::new("the built-in settings", DEFAULTS));
    let aggregation: toml::Table = configuration::read_table(TABLE, &defaults, user)?;
    let index = aggregation.get("ei").and_then(toml::Value::as_table);
    let names_index = index.is_some_and(|index| index.contains_key("hsa_id") || index.contains_key("url"));
    if names_index || aggregation.contains_key("tak") {
        return Ok(EdgeSettings::load(file)?.effective);
    }
    // Unknown keys and wrong values are refused all the same.
    let _: Table = configuration::read_table(TABLE, &defaults, user)?;
    FlowSettings::load(user)?;
    written(aggregation, user.unwrap_or(&defaults))
}

fn written(aggregation: toml::Table, source: &Source) -> Result<String, ConfigurationError> {
    let written = toml::to_string_pretty(&Effective { aggregation });
    written.map_err(|error| source.error_at(0, format!("[aggregation] cannot be shown: {error}")))
}

impl EdgeSettings {
    /// Reads and checks the table, and the files that it names.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub(crate) fn load(file: &ConfigurationFile) -> Result<Self, ConfigurationError> {
        let user = file.source.as_ref();
        let defaults = Source::new("the built-in settings", DEFAULTS);
        // Before all others: it is the only one that refuses unknown keys.
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        let aggregation: toml::Table = configuration::read_table(TABLE, &defaults, user)?;
        let reading = Reading { file, source: user.unwrap_or(&defaults) };
        let flow = FlowSettings::load(user)?;
        if let Some(url) = &table.vp.url {
            reading.check_url(url)?;
        }
        Ok(Self {
            index: EiSettings::load(user)?.index,
            services: reading.services(&table, &flow)?,
            flow,
            tak: reading.tak(table.tak)?,
            calls: CallSettings {
                connect_timeout: table.vp.connect_timeout_ms.0,
                tls: table.vp.tls.map(|tls| reading.tls(&tls)).transpose()?.unwrap_or_default(),
            },
            notification: NotificationSettings {
                redeliveries: table.notification.redeliveries.0,
                redelivery_delay: table.notification.redelivery_delay_ms.0,
                timeout: table.notification.timeout_ms.0,
            },
            audit_key: match table.audit_key {
                Some(key) => {
                    let read = key.get_ref().read(&file.folder);
                    let secret = read.map_err(|reason| reading.error(&key, format!("audit_key: {reason}")))?;
                    Some(Sha256::digest(secret.expose()).into())
                }
                None => None,
            },
            cache_key: reading.cache_key(&table.cache)?,
            effective: written(aggregation, reading.source)?,
        })
    }
}

/// What is needed to read what the table names.
struct Reading<'a> {
    file: &'a ConfigurationFile,
    /// Whose entries are to blame.
    source: &'a Source,
}

impl Reading<'_> {
    fn error<T>(&self, at: &Spanned<T>, problem: impl Into<String>) -> ConfigurationError {
        self.source.error_at(at.span().start, problem)
    }

    fn services(&self, table: &Table, flow: &FlowSettings) -> Result<Vec<OfferedService>, ConfigurationError> {
        let files = match &table.service_folder {
            Some(folder) => self.descriptor_files(folder)?,
            None => Vec::new(),
        };
        let mut descriptors = Descriptors::read(&files)?;
        if let Some(names) = &table.services {
            let first = names.first().map_or(0, |name| name.span().start);
            let names: Vec<String> = names.iter().map(|name| name.get_ref().clone()).collect();
            descriptors = descriptors.select(&names).map_err(|error| self.source.error_at(first, error.to_string()))?;
        }
        let offered = |descriptor: &tributary_aggregation::descriptor::Descriptor| {
            let schemas = match &descriptor.schemas {
                Some(folder) => {
                    SchemaFiles::read(&self.file.folder.join(folder), &descriptor.contract).map_err(|reason| {
                        self.source.error_at(0, format!("the schemas of {}: {reason}", descriptor.name))
                    })?
                }
                None => SchemaFiles::default(),
            };
            let service = Arc::new(Service::new(descriptor.clone(), &flow.timeouts)?);
            Ok(OfferedService { service, schemas: Arc::new(schemas) })
        };
        descriptors.iter().map(offered).collect()
    }

    /// The descriptors of a folder, by the names of their files.
    fn descriptor_files(&self, folder: &Spanned<PathBuf>) -> Result<Vec<Source>, ConfigurationError> {
        let path = self.file.folder.join(folder.get_ref());
        let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
            self.error(folder, format!("expected a folder of descriptors, cannot read {}: {error}", path.display()))
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(|error| unreadable(&path, &error))? {
            let entry = entry.map_err(|error| unreadable(&path, &error))?.path();
            if entry.extension().is_some_and(|extension| extension == "toml") {
                paths.push(entry);
            }
            if paths.len() > MOST_DESCRIPTORS {
                return Err(self.error(folder, format!("expected at most {MOST_DESCRIPTORS} descriptors")));
            }
        }
        paths.sort();
        paths.iter().map(|path| read_descriptor(path).map_err(|error| unreadable(path, &error))).collect()
    }

    fn tak(&self, table: Option<Spanned<TakTable>>) -> Result<TakPlace, ConfigurationError> {
        const EXPECTED: &str = "expected in [aggregation.tak] `file`, `url`, both, or `off = true`";
        let Some(table) = table else {
            return Err(self.source.error_at(0, format!("{EXPECTED}, found no such table")));
        };
        let start = table.span().start;
        let TakTable { file, url, off } = table.into_inner();
        let file = file.map(|file| self.file.folder.join(file));
        if let Some(url) = &url {
            self.check_url(url)?;
        }
        match (file, url, off) {
            (None, None, true) => Ok(TakPlace::Off),
            (Some(file), None, false) => Ok(TakPlace::File(file)),
            (file, Some(url), false) => Ok(TakPlace::Url(url.into_inner(), file)),
            (None, None, false) => Err(self.source.error_at(start, format!("{EXPECTED}, found none of them"))),
            (_, _, true) => Err(self.source.error_at(start, format!("{EXPECTED}, found `off` beside another"))),
        }
    }

    fn tls(&self, table: &Spanned<TlsTable>) -> Result<TlsFiles, ConfigurationError> {
        let TlsTable { ca, certificate, key } = table.get_ref();
        let read = |path: &PathBuf| {
            let path = self.file.folder.join(path);
            std::fs::read(&path).map_err(|error| self.error(table, format!("cannot read {}: {error}", path.display())))
        };
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            (None, None) => None,
            _ => return Err(self.error(table, "expected `certificate` and `key` together, found one of them")),
        };
        Ok(TlsFiles { ca: ca.as_ref().map(read).transpose()?, identity })
    }

    /// The key of the cache in the log, which must be there if answers are kept there.
    fn cache_key(&self, table: &Cache) -> Result<Option<CacheSecret>, ConfigurationError> {
        const EXPECTED: &str = "64 hexadecimal digits in the environment or in a file";
        let key = match &table.key {
            Some(key) => {
                let secret = key.get_ref().read(&self.file.folder);
                let secret = secret.map_err(|reason| self.error(key, format!("key: {reason}")))?;
                let wrong = || self.error(key, format!("key: expected {EXPECTED}, found something else there"));
                Some(CacheSecret(digits(secret.expose()).ok_or_else(wrong)?))
            }
            None => None,
        };
        match (table.store.get_ref(), &key) {
            (StoreKind::Memory, _) => Ok(None),
            (StoreKind::Log, Some(_)) => Ok(key),
            (StoreKind::Log, None) => {
                Err(self.error(&table.store, format!("expected `key` beside `store = \"log\"`: {EXPECTED}")))
            }
        }
    }

    fn check_url(&self, url: &Spanned<String>) -> Result<(), ConfigurationError> {
        let parsed = Url::parse(url.get_ref()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        match parsed {
            Some(parsed) if parsed.has_host() && parsed.username().is_empty() => Ok(()),
            _ => Err(self.error(url, "expected a URL such as \"https://vp.example/vp\", without a user")),
        }
    }
}

/// A descriptor in a file.
pub(crate) fn read_descriptor(path: &Path) -> std::io::Result<Source> {
    let size = std::fs::metadata(path)?.len();
    if size > LARGEST_DESCRIPTOR {
        return Err(std::io::Error::other(format!("it has {size} bytes, at most {LARGEST_DESCRIPTOR} are read")));
    }
    Ok(Source::new(path.display().to_string(), std::fs::read_to_string(path)?))
}
