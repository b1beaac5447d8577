//! What the broker of external clients takes from the same client that the flow uses, and nothing else to do.

use std::time::Instant;

use clap::Args;
use tokio::task::JoinSet;
use tributary_connectors::rabbitmq::{Access, Broker as _, Message, Outlet, RabbitMq};

use crate::Outcome;

/// Messages in flight to one queue, as in the flow.
const WINDOW: u64 = 128;

/// Publishes messages to queues, each confirmed.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The broker, with its virtual host.
    #[arg(long, env = "TRIBUTARY_RABBITMQ")]
    url: String,
    /// The user; the password is that of the services of the tests.
    #[arg(long, default_value = "tributary")]
    user: String,
    /// Queues.
    #[arg(long, default_value_t = 20)]
    queues: u64,
    /// Messages to each queue.
    #[arg(long)]
    messages: u64,
    /// Bytes of a message.
    #[arg(long)]
    bytes: usize,
}

impl Publish {
    pub(crate) fn run(&self) -> Outcome {
        tokio::runtime::Runtime::new()?.block_on(self.measure())
    }

    async fn measure(&self) -> Outcome {
        let access = Access {
            address: self.url.parse()?,
            user: self.user.clone(),
            password: format!("{}-password", self.user),
            ca: None,
            connection_name: "load".to_owned(),
        };
        let connection = RabbitMq::new(access)?.connect().await?;
        let mut outlets = Vec::new();
        for queue in 0..self.queues {
            outlets.push(connection.open(&format!("load_{queue}")).await?);
        }
        let began = Instant::now();
        let mut all = JoinSet::new();
        for outlet in outlets {
            all.spawn(fill(outlet, self.messages, self.bytes));
        }
        while let Some(one) = all.join_next().await {
            one?.map_err(|error| error.to_string())?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let per_second = (self.queues * self.messages) as f64 / seconds;
        println!("seconds={seconds:.2} messages_per_s={per_second:.0}");
        Ok(())
    }
}

async fn fill(
    mut outlet: Box<dyn Outlet>,
    messages: u64,
    bytes: usize,
) -> Result<(), tributary_connectors::rabbitmq::BrokerError> {
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < messages {
        while sent < messages && sent - confirmed < WINDOW {
            let body = vec![b'7'; bytes];
            let id = format!("0ca5e000-0000-4000-8000-{sent:012}");
            outlet.publish(Message { id, content_type: "application/vnd.masstransit+json", body }).await?;
            sent += 1;
        }
        outlet.confirmed().await?;
        confirmed += 1;
    }
    Ok(())
}
