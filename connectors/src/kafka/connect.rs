//! Connecting before the first request.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;

/// How long a new client waits for its connection before it continues without one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A topic of every cluster that supports transactions.
const TRANSACTION_STATE: &str = "__transaction_state";

/// Waits until a client is connected to a broker whose id it knows.
///
/// A client without a connection looks for a coordinator, or for the leader of a partition, only every half second. The
/// first answer replaces the connection to the configured address by one to the broker behind it. The second request
/// needs that connection. Errors are ignored here: the next call fails in the same way and reports it.
pub(super) fn connect<C: ClientContext>(client: &Client<C>) {
    for _ in 0..2 {
        let _ = client.fetch_metadata(Some(TRANSACTION_STATE), CONNECT_TIMEOUT);
    }
}
