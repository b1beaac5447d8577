//! A broker that the demo plays: it can fail and come back, and it keeps what it has confirmed.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tributary_connectors::rabbitmq::{Broker, BrokerError, Connection, Message, Outlet, Pending};

/// The broker.
#[derive(Clone)]
pub(super) struct PlayedBroker {
    is_up: watch::Sender<bool>,
    confirmed: Arc<Mutex<Vec<(Instant, Message)>>>,
}

impl PlayedBroker {
    /// A broker that is up.
    pub(super) fn new() -> Self {
        Self { is_up: watch::Sender::new(true), confirmed: Arc::default() }
    }

    /// Ends all connections, and refuses new ones; or takes them again.
    pub(super) fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }

    /// The messages that it has confirmed, with the times.
    pub(super) fn confirmed(&self) -> Vec<(Instant, Message)> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(&self) -> Result<(), BrokerError> {
        if *self.is_up.borrow() { Ok(()) } else { Err(closed()) }
    }
}

fn closed() -> BrokerError {
    BrokerError::Closed { reason: "the demo has switched it off".to_owned() }
}

impl Broker for PlayedBroker {
    fn connect(&self) -> Pending<'_, Box<dyn Connection>> {
        Box::pin(async {
            self.check()?;
            Ok(Box::new(self.clone()) as Box<dyn Connection>)
        })
    }
}

impl Connection for PlayedBroker {
    fn open(&self, _queue: &str) -> Pending<'_, Box<dyn Outlet>> {
        Box::pin(async {
            self.check()?;
            Ok(Box::new(PlayedOutlet { broker: self.clone(), unconfirmed: VecDeque::new() }) as Box<dyn Outlet>)
        })
    }

    fn probe(&self, _queue: &str) -> Pending<'_, ()> {
        Box::pin(async { self.check() })
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = BrokerError> + Send + '_>> {
        let mut is_up = self.is_up.subscribe();
        Box::pin(async move {
            // The sender lives as long as the broker.
            let _ = is_up.wait_for(|is_up| !is_up).await;
            closed()
        })
    }
}

struct PlayedOutlet {
    broker: PlayedBroker,
    unconfirmed: VecDeque<Message>,
}

impl Outlet for PlayedOutlet {
    fn publish(&mut self, message: Message) -> Pending<'_, ()> {
        Box::pin(async {
            self.broker.check()?;
            self.unconfirmed.push_back(message);
            Ok(())
        })
    }

    fn confirmed(&mut self) -> Pending<'_, ()> {
        Box::pin(async {
            self.broker.check()?;
            match self.unconfirmed.pop_front() {
                Some(message) => {
                    let mut confirmed = self.broker.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
                    confirmed.push((Instant::now(), message));
                    Ok(())
                }
                None => std::future::pending().await,
            }
        })
    }
}
