//! Clients that are replaced when the cluster did not answer them.

use tributary_runtime::LogError;

type Create<C> = Box<dyn Fn() -> Result<C, LogError> + Send>;

/// Clients that ask the cluster something, and how to create new ones.
///
/// After [`LogError::Unavailable`] there are new clients: one that saw an empty list of brokers may never look for brokers
/// again (librdkafka issue 5301).
pub(super) struct Renewable<C> {
    clients: C,
    create: Create<C>,
}

impl<C> Renewable<C> {
    /// Creates the first clients.
    pub(super) fn new(create: impl Fn() -> Result<C, LogError> + Send + 'static) -> Result<Self, LogError> {
        Ok(Self { clients: create()?, create: Box::new(create) })
    }

    /// Asks a question. Whoever asks again does so with new clients if this one was not answered.
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
    fn clients_are_replaced_only_when_the_cluster_did_not_answer() {
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
