//! Where permissions and routes come from, and when they were read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tributary_aggregation::local_time::Stockholm;
use tributary_aggregation::response_list::ContentType;
use tributary_aggregation::soap::CONTENT_TYPE;
use tributary_aggregation::tak::{LARGEST, Tak, TakAnswer, TakQuestion, read_answers};
use tributary_connectors::soap::{SoapClient, SoapRequest};
use tributary_runtime::write_atomically;

use crate::events;
use crate::outside::Unbounded;
use crate::settings::TakPlace;

/// How long the catalogue may take for both answers, which have all of its entries. A request may take longer, so its
/// caller learns why nothing was loaded.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was read last.
#[derive(Clone, Debug)]
pub(crate) struct LoadedTak {
    pub(crate) tak: Arc<Tak>,
    /// When.
    pub(crate) at: Timestamp,
}

/// The catalogue, as far as it was read.
pub(crate) struct TakSource {
    place: TakPlace,
    client: SoapClient,
    loaded: Mutex<Option<LoadedTak>>,
}

impl TakSource {
    /// Nothing is read yet.
    pub(crate) fn new(place: TakPlace, client: SoapClient) -> Self {
        Self { place, client, loaded: Mutex::default() }
    }

    /// Whether permissions and routes are checked at all.
    pub(crate) fn is_off(&self) -> bool {
        self.place == TakPlace::Off
    }

    /// What was read last.
    pub(crate) fn loaded(&self) -> Option<LoadedTak> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the catalogue. `None` if there is none to read. At the start, the copy of one that is away is enough.
    ///
    /// # Errors
    /// Why it cannot be read. What was read before stays.
    pub(crate) async fn load(&self) -> Result<Option<Arc<Tak>>, String> {
        let tak = match &self.place {
            TakPlace::Off => return Ok(None),
            TakPlace::File(path) => read_file(path.clone()).await?,
            TakPlace::Url(url, None) => self.ask(url).await?,
            TakPlace::Url(url, Some(copy)) => self.ask_or_copy(url, copy).await?,
        };
        let tak = Arc::new(tak);
        let loaded = LoadedTak { tak: Arc::clone(&tak), at: Timestamp::now() };
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
        Ok(Some(tak))
    }

    async fn ask_or_copy(&self, url: &str, copy: &Path) -> Result<Tak, String> {
        match self.ask(url).await {
            Ok(tak) => {
                if let Err(reason) = write_copy(copy.to_owned(), tak.to_file()).await {
                    events::tak_copy_not_written(&reason);
                }
                Ok(tak)
            }
            Err(reason) if self.loaded().is_none() => {
                let tak = read_file(copy.to_owned()).await.map_err(|copy| format!("{reason}; {copy}"))?;
                events::tak_copy_used(&reason);
                Ok(tak)
            }
            Err(reason) => Err(reason),
        }
    }

    async fn ask(&self, url: &str) -> Result<Tak, String> {
        let asked = async {
            let routes = self.answer(url, TakQuestion::Routes).await?;
            Ok::<_, String>((routes, self.answer(url, TakQuestion::Permissions).await?))
        };
        let late = |_| format!("TAK did not answer within {} s", PATIENCE.as_secs());
        let (routes, permissions) = tokio::time::timeout(PATIENCE, asked).await.map_err(late)??;
        let read = tokio::task::spawn_blocking(move || {
            let stockholm = Stockholm::load().map_err(|error| error.to_string())?;
            read_answers(routes, permissions, &stockholm, Timestamp::now()).map_err(|error| error.to_string())
        });
        let fetched = read.await.unwrap_or_else(|_| Err("the reading of the answers of TAK has failed".to_owned()))?;
        if fetched.left_out > 0 {
            events::tak_entries_left_out(fetched.left_out);
        }
        Ok(fetched.tak)
    }

    async fn answer(&self, url: &str, question: TakQuestion) -> Result<TakAnswer, String> {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers =
            [header("content-type", CONTENT_TYPE), header("soapaction", "\"\""), header("accept-encoding", "gzip")];
        let request = SoapRequest { url, headers: &headers, body: vec![question.write().into()], limit: LARGEST };
        let answer = self.client.call(request, &mut Unbounded).await.map_err(|error| format!("TAK: {error}"))?;
        let charset = answer.content_type.as_deref().and_then(|text| ContentType::read(text).charset);
        Ok(TakAnswer { status: answer.status, charset, body: answer.body })
    }
}

async fn write_copy(path: PathBuf, content: String) -> Result<(), String> {
    let failed = format!("{}: the writing has failed", path.display());
    let written = tokio::task::spawn_blocking(move || {
        write_atomically(&path, content.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
    });
    written.await.unwrap_or(Err(failed))
}

async fn read_file(path: PathBuf) -> Result<Tak, String> {
    let read = tokio::task::spawn_blocking(move || read_tak(&path)).await;
    read.unwrap_or_else(|_| Err("the reading of the TAK file has failed".to_owned()))
}

/// Reads a TAK file.
///
/// # Errors
/// Why it cannot be read, with its name.
pub(crate) fn read_tak(path: &Path) -> Result<Tak, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the TAK file {}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > LARGEST as u64 {
        return Err(failed(&format!("it has {size} bytes, at most {LARGEST} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    Tak::read(&bytes).map_err(|error| failed(&error))
}
