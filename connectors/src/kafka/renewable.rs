//! Clients that are replaced when the cluster does not answer.

use tributary_runtime::LogError;

type Create<C> = Box<dyn Fn() -> Result<C, LogError> + Send>;

/// Clients for questions to the cluster, and how to create new ones.
///
/// New clients replace them after [`LogError::Unavailable`], because a client that has seen an empty broker list may
/// never look for brokers again (librdkafka issue 5301).
pub(super) struct Renewable<C> {
    clients: C,
    create: Create<C>,
}

impl<C> Renewable<C> {
    /// Creates the first clients.
    pub(super) fn new(create: impl Fn() -> Result<C, LogError> + Send + 'static) -> Result<Self, LogError> {
        Ok(Self { clients: create()?, create: Box::new(create) })
    }

    /// Asks a question. If it is not answered, the next question goes to new clients.
    pub(super) fn ask<A>(&mut self, question: impl FnOnce(&C) -> Result<A, LogError>) -> Result<A, LogError> {
        let answer = question(&self.clients);
        if matches!(answer, Err(LogError::Unavailable(_))) {
            self.clients = (self.create)()?;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn clients_are_replaced_only_when_the_cluster_does_not_answer() {
        let created = AtomicU32::new(0);
        let mut clients = Renewable::new(move || Ok(created.fetch_add(1, Ordering::Relaxed))).unwrap();
        assert_eq!(clients.ask(|client| Ok(*client)), Ok(0));
        let truncated: Result<(), _> = clients.ask(|_| Err(LogError::truncated("gone")));
        assert!(truncated.is_err());
        assert_eq!(clients.ask(|client| Ok(*client)), Ok(0));
        let unanswered: Result<(), _> = clients.ask(|_| Err(LogError::unavailable("no answer")));
        assert!(unanswered.is_err());
        assert_eq!(clients.ask(|client| Ok(*client)), Ok(1));
    }
}
