//! Connecting before the first question.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;

/// For how long a new client waits to be connected before it goes on.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A topic that every cluster with transactions has.
const TRANSACTION_STATE: &str = "__transaction_state";

/// Waits until a client is connected with a broker that it knows by its id.
///
/// A client that is asked for a coordinator, or for the leader of a partition, while it is connected with no broker looks
/// again every half second. The first answer replaces the connection to the address in the configuration by one to the
/// broker that is there, the second needs that one. What goes wrong here goes wrong again in the call that follows, which
/// tells it.
pub(super) fn connect<C: ClientContext>(client: &Client<C>) {
    for _ in 0..2 {
        let _ = client.fetch_metadata(Some(TRANSACTION_STATE), CONNECT_TIMEOUT);
    }
}
