//! What can go wrong with a broker, in words.

use std::error::Error;

/// Why a broker was not reached, or did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Nobody answers at the address.
    #[error("{address} is not reached: {source}")]
    Unreachable {
        /// The address.
        address: String,
        /// What the network says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The TLS handshake has failed.
    #[error("{address} is not trusted: {source}; the certificate must be signed by the authority in `ca`")]
    Untrusted {
        /// The address.
        address: String,
        /// What TLS says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The broker does not accept user and password.
    #[error("{address} refuses the user {user}: the password is wrong, or there is no such user")]
    LoginRefused {
        /// The address.
        address: String,
        /// The user.
        user: String,
    },
    /// The virtual host does not exist, or the user has no access.
    #[error("{address}: there is no such virtual host, or the user {user} has no access to it")]
    VirtualHostRefused {
        /// The address.
        address: String,
        /// The user.
        user: String,
    },
    /// No answer in time.
    #[error("{what} did not answer within {seconds} s")]
    TimedOut {
        /// What was asked.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// The connection has ended.
    #[error("the connection to the broker has ended: {reason}")]
    Closed {
        /// Why, as far as it is known.
        reason: String,
    },
    /// The broker refuses an operation on a queue.
    #[error("the broker refuses the queue {queue}: {reason}")]
    QueueRefused {
        /// The queue.
        queue: String,
        /// What the broker says.
        reason: String,
    },
    /// A message was not taken.
    #[error("the queue {queue} does not take messages: it is full, or the broker cannot store them")]
    Rejected {
        /// The queue.
        queue: String,
    },
    /// A message went to no queue.
    #[error("the queue {queue} is missing, or is not bound to its exchange")]
    Returned {
        /// The queue.
        queue: String,
    },
}

impl BrokerError {
    /// Whether the whole connection has ended, not only the way into one queue.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}
