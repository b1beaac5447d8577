//! The places for open streams and waiting requests. Both may last, so their number is bounded: for each client, so
//! that no client takes the places of the others, and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tributary_flow::http::Problem;
use tributary_schemas::types::cases::ClientName;

/// Streams and waiting requests of one client.
const MOST_OF_CLIENT: usize = 64;

/// Streams and waiting requests of all clients.
const MOST: usize = 2_048;

/// When a client may ask again.
const RETRY: Duration = Duration::from_secs(5);

/// The places that are taken.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    by_client: HashMap<ClientName, usize>,
    all: usize,
}

impl Places {
    /// Takes a place.
    ///
    /// # Errors
    /// 429 when the client has too many, 503 when all are taken.
    pub(crate) fn take(self: &Arc<Self>, client: &ClientName) -> Result<Place, Problem> {
        let mut taken = self.taken();
        if taken.by_client.get(client).is_some_and(|own| *own >= MOST_OF_CLIENT) {
            let detail =
                format!("{client} has {MOST_OF_CLIENT} open streams and waiting requests, and may have no more");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "TooManyStreams", detail).retry_after(RETRY));
        }
        if taken.all >= MOST {
            let detail =
                format!("{MOST} streams and waiting requests are open: come back later, or ask without `wait`");
            return Err(Problem::unavailable("TooManyStreams", detail, RETRY));
        }
        taken.all += 1;
        *taken.by_client.entry(client.clone()).or_default() += 1;
        Ok(Place { places: Arc::clone(self), client: client.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place. The drop frees it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: ClientName,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> ClientName {
        format!("journal-{number}").parse().unwrap()
    }

    fn refused(places: &Arc<Places>, number: usize) -> Option<(u16, Option<u32>)> {
        let problem = places.take(&client(number)).err()?;
        Some((problem.status().as_u16(), problem.retry_after_seconds()))
    }

    #[test]
    fn a_client_takes_its_own_places_and_not_those_of_others() {
        let places = Arc::<Places>::default();
        let mut taken: Vec<Place> = (0..MOST_OF_CLIENT).map(|_| places.take(&client(1)).unwrap()).collect();
        assert_eq!(refused(&places, 1), Some((429, Some(5))));
        assert_eq!(refused(&places, 2), None);
        taken.pop();
        assert_eq!(refused(&places, 1), None);
    }

    #[test]
    fn all_places_together_are_bounded_and_come_back() {
        let places = Arc::<Places>::default();
        let taken: Vec<Place> = (0..MOST).map(|number| places.take(&client(number)).unwrap()).collect();
        assert_eq!(refused(&places, MOST), Some((503, Some(5))));
        drop(taken);
        assert_eq!(refused(&places, MOST), None);
        assert!(places.taken().by_client.is_empty());
    }
}
