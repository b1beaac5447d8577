//! The register.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::answer::{Answer, Answers};
use crate::call::Call;
use crate::server::{RegisterError, Server, Tls};

/// A running register. It ends when it is dropped.
pub struct Register {
    address: SocketAddr,
    tls: Option<Tls>,
    state: Arc<State>,
    server: Mutex<Option<Server>>,
}

/// What it knows and has seen.
#[derive(Default)]
pub(crate) struct State {
    answers: Mutex<HashMap<String, Answers>>,
    otherwise: Mutex<Option<Answers>>,
    delay: Mutex<Duration>,
    calls: Mutex<Vec<Call>>,
    refused: Mutex<Vec<String>>,
}

impl State {
    /// Notes a call and decides about its answer.
    pub(crate) fn answer(&self, call: Call) -> (Duration, Answer) {
        let own = locked(&self.answers).get_mut(call.number()).and_then(Answers::next);
        let answer = own.or_else(|| locked(&self.otherwise).as_mut().and_then(Answers::next)).unwrap_or(Answer::Found);
        locked(&self.calls).push(call);
        (*locked(&self.delay), answer)
    }

    pub(crate) fn refuse(&self, reason: String) {
        locked(&self.refused).push(reason);
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Register {
    /// Starts a register on a free port of the loopback address, over HTTP or with TLS.
    ///
    /// # Errors
    /// [`RegisterError`] when it cannot listen, or the certificates cannot be used.
    pub async fn start(tls: Option<Tls>) -> Result<Self, RegisterError> {
        let state = Arc::new(State::default());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(any, tls.as_ref(), Arc::clone(&state)).await?;
        let address = server.address();
        Ok(Self { address, tls, state, server: Mutex::new(Some(server)) })
    }

    /// Where it is called.
    pub fn url(&self) -> String {
        let (scheme, host) = if self.tls.is_some() { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}/", self.address.port())
    }

    /// Says how it answers about a number.
    pub fn set(&self, number: &str, answers: impl Into<Answers>) {
        locked(&self.state.answers).insert(number.to_owned(), answers.into());
    }

    /// Says how it answers about all other numbers. Before that it finds an invented person for each.
    pub fn otherwise(&self, answers: impl Into<Answers>) {
        *locked(&self.state.otherwise) = Some(answers.into());
    }

    /// Says how long each answer takes.
    pub fn delay(&self, delay: Duration) {
        *locked(&self.state.delay) = delay;
    }

    /// The calls that could be read, in their order.
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.state.calls).clone()
    }

    /// How many calls about a number could be read.
    pub fn calls_of(&self, number: &str) -> usize {
        locked(&self.state.calls).iter().filter(|call| call.number() == number).count()
    }

    /// Why other requests were refused.
    pub fn refused(&self) -> Vec<String> {
        locked(&self.state.refused).clone()
    }

    /// Goes away: connections are closed, and new ones refused.
    pub fn down(&self) {
        drop(locked(&self.server).take());
    }

    /// Comes back on the same port.
    ///
    /// # Errors
    /// As [`Register::start`].
    pub async fn up(&self) -> Result<(), RegisterError> {
        self.down();
        let server = Server::start(self.address, self.tls.as_ref(), Arc::clone(&self.state)).await?;
        *locked(&self.server) = Some(server);
        Ok(())
    }

    /// Comes back with other certificates.
    ///
    /// # Errors
    /// As [`Register::start`].
    pub async fn change_tls(&mut self, tls: Tls) -> Result<(), RegisterError> {
        self.tls = Some(tls);
        self.up().await
    }
}
