//! `tributary demo cases`: two origin systems, three clients, and an outage of the external broker.

mod played_broker;

use std::any::Any;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tributary_cases::topics;
use tributary_connectors::rabbitmq::Broker;
use tributary_flow::configuration::Source;
use tributary_flow::http::Problem;
use tributary_flow::{ConfiguredFlow, Failure, Host, demo, framed};
use tributary_runtime::Shutdown;
use tributary_schemas::records::cases::{Queue, RegistryAction, RegistryRequest};
use tributary_schemas::types::cases::ClientName;
use uuid::Uuid;

use crate::rows::Rows;
use crate::service::{Distribution, Service};
use crate::settings::EdgeSettings;
use crate::waiting::Awaited;
use crate::{Configured, commands};
use played_broker::PlayedBroker;

const CONFIGURATION: &str = include_str!("demo/cases.toml");

/// Origin systems, clients and grants of the configuration.
const CHANGES: i64 = 9;

/// How long one step may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The case of the records system, and that of the school system.
const RECORDS_CASE: &str = "0a000000-0000-4000-8000-000000000001";
const SCHOOL_CASE: &str = "0b000000-0000-4000-8000-000000000002";

/// The clients, with the way in which each is notified.
const CLIENTS: [(&str, &str); 3] = [("journal-1", "api"), ("archive-1", "api"), ("partner-1", "rabbitmq")];

/// Runs the demo and prints who was notified of what, and when.
///
/// # Errors
/// The [`Failure`] of a step.
pub(crate) fn run(dir: Option<&Path>, host: &dyn Host, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let folder = demo::folder("cases", dir)?;
    let broker = PlayedBroker::new();
    let source = Source::new("the configuration of the demo", CONFIGURATION);
    let settings = Arc::new(EdgeSettings::load(Some(&source)).map_err(Failure::refused)?);
    let played = Arc::new(broker.clone()) as Arc<dyn Broker>;
    let configured: Arc<dyn ConfiguredFlow> = Arc::new(Configured { settings, broker: Some(played), tables: None });
    host.run(&configured, &folder.join("state"), &mut |flow| {
        let any: &dyn Any = flow;
        let running: &Distribution =
            any.downcast_ref().ok_or_else(|| Failure::refused("the host runs another flow than the demo's"))?;
        let over = Shutdown::new();
        std::thread::scope(|scope| {
            scope.spawn(|| demo::rounds(running, &over));
            let play = Play {
                flow: running,
                service: running.service(),
                tokio: running.tokio(),
                broker: &broker,
                out: &mut *out,
                shown: Vec::new(),
            };
            let outcome = play.acts();
            over.trigger();
            outcome
        })
    })?;
    what_next(&folder, out)
}

/// A running flow, and what was shown of it.
struct Play<'a> {
    flow: &'a Distribution,
    service: &'a Service,
    tokio: &'a tokio::runtime::Handle,
    broker: &'a PlayedBroker,
    out: &'a mut (dyn Write + Send),
    /// Client and position of each notification that was shown.
    shown: Vec<(ClientName, i64)>,
}

impl Play<'_> {
    fn acts(mut self) -> Result<(), Failure> {
        self.introduce()?;
        self.say("\n1. Each origin system creates a case. Who may see it is notified.");
        self.act("esdh-a", Queue::Create, RECORDS_CASE, &[])?;
        self.act("school-b", Queue::Create, SCHOOL_CASE, &[])?;
        self.say("\n2. The external broker fails. The records system goes on; one client waits, the others do not.");
        self.broker.set_up(false);
        self.act("esdh-a", Queue::Update, RECORDS_CASE, &["partner-1"])?;
        self.act("esdh-a", Queue::Close, RECORDS_CASE, &["partner-1"])?;
        self.say("\n3. The broker is back. What waited is delivered in order.");
        self.broker.set_up(true);
        let begun = Instant::now();
        self.show(begun, &[])?;
        self.say("\n4. The operator revokes what journal-1 sees of school-b. Then the school system closes its case.");
        self.revoke("journal-1", "school-b")?;
        self.act("school-b", Queue::Close, SCHOOL_CASE, &[])?;
        self.say("\n5. The records system deletes its case. A late update of it changes nothing, and notifies nobody.");
        self.act("esdh-a", Queue::Delete, RECORDS_CASE, &[])?;
        self.act("esdh-a", Queue::Update, RECORDS_CASE, &[])?;
        self.end();
        Ok(())
    }

    fn say(&mut self, line: &str) {
        // A reader that has closed the pipe does not want more output.
        let _ = writeln!(self.out, "{line}");
    }

    fn introduce(&mut self) -> Result<(), Failure> {
        self.say(
            "Case distribution: origin systems own cases, clients are notified of each change that they may see.\n",
        );
        self.say("  origin systems   esdh-a (records), school-b (school)");
        self.say("  clients          journal-1   api        sees esdh-a and school-b");
        self.say("                   archive-1   api        sees school-b");
        self.say("                   partner-1   rabbitmq   sees esdh-a; the demo plays this broker");
        // A change of the registry wakes everybody who waits.
        let anything = Awaited::Answer(String::new());
        self.wait(anything, "the registry is not filled", |rows| (rows.version.in_force >= CHANGES).then_some(()))?;
        // The version may be read before the rows of other partitions.
        self.catch_up()
    }

    fn catch_up(&self) -> Result<(), Failure> {
        self.tokio.block_on(self.service.following.catch_up()).map_err(|problem| failed(&problem))
    }

    fn wait<T>(&self, awaited: Awaited, what: &str, find: impl Fn(&Rows) -> Option<T>) -> Result<T, Failure> {
        let found = self.tokio.block_on(self.service.following.wait_for(awaited, PATIENCE, find));
        found.ok_or_else(|| Failure::unfinished(format!("{what} after {} seconds", PATIENCE.as_secs())))
    }

    /// Sends a command as an origin system does, and shows its outcome and who was notified. `late` are clients that
    /// cannot be notified yet.
    fn act(&mut self, origin: &str, queue: Queue, case: &str, late: &[&str]) -> Result<(), Failure> {
        let begun = Instant::now();
        let known = self.service.following.rows().origins.get(origin).cloned();
        let known = known.ok_or_else(|| Failure::unfinished(format!("{origin} is not registered")))?;
        let command =
            commands::checked(queue, &known, body(origin, queue, case)).map_err(|problem| failed(&problem))?;
        let sent = command.clone();
        self.tokio
            .block_on(self.service.intake.publish(move |context, output| context.submit(output, &sent)))
            .map_err(|problem| failed(&problem))?;
        let key = (command.origin.clone(), command.command_id);
        let awaited = Awaited::Outcome(key.0.clone(), key.1);
        let status =
            self.wait(awaited, "no outcome", |rows| rows.outcomes.get(&key).map(|outcome| outcome.status.symbol()))?;
        // The outcome may be there before the notifications are in the queues of all clients.
        self.flow.settle()?;
        self.catch_up()?;
        self.say(&format!("   {origin:<10} {:<11} {}   {status}", queue.command(), short(case)));
        self.show(begun, late)
    }

    fn revoke(&mut self, client: &str, origin: &str) -> Result<(), Failure> {
        let id = Uuid::new_v4().to_string();
        let request = RegistryRequest {
            action: RegistryAction::GrantRevoke,
            by: "demo".to_owned(),
            request: Some(id.clone()),
            client: Some(client.parse().map_err(Failure::refused)?),
            origin: Some(origin.parse().map_err(Failure::refused)?),
            ..RegistryRequest::default()
        };
        self.tokio
            .block_on(self.service.intake.publish(move |context, output| {
                framed::send(&context.codec, output, &topics::REGISTRY, b"request", &request);
            }))
            .map_err(|problem| failed(&problem))?;
        self.wait(Awaited::Answer(id.clone()), "the revocation is not in force", |rows| rows.answer(&id).map(|_| ()))
    }

    /// Shows each new notification with the time since `begun` at which its client had it.
    fn show(&mut self, begun: Instant, late: &[&str]) -> Result<(), Failure> {
        for (name, channel) in CLIENTS {
            let client: ClientName = name.parse().map_err(Failure::refused)?;
            let mut waiting = 0;
            for (position, message, kind, case) in self.new_of(&client) {
                if late.contains(&name) {
                    waiting += 1;
                    continue;
                }
                let at = if channel == "api" { Instant::now() } else { self.delivered(&message)? };
                let after = at.saturating_duration_since(begun).as_millis();
                self.say(&format!("     {name:<10} {channel:<9} {kind:<8} {}   after {after} ms", short(&case)));
                self.shown.push((client.clone(), position));
            }
            if waiting > 0 {
                self.say(&format!("     {name:<10} {channel:<9} {waiting} waiting"));
            }
        }
        Ok(())
    }

    /// Position, message id, type and case of the notifications of a client that were not shown.
    fn new_of(&self, client: &ClientName) -> Vec<(i64, String, &'static str, String)> {
        let rows = self.service.following.rows();
        let is_new = |position: i64| !self.shown.iter().any(|shown| *shown == (client.clone(), position));
        let kept = rows.entries.from(client, 0).filter_map(Result::ok);
        let new = kept.filter(|entry| is_new(entry.position)).map(|entry| {
            let told = &entry.notification;
            (entry.position, told.message_id.to_string(), told.notification_type.symbol(), told.id.to_string())
        });
        new.collect()
    }

    /// When the broker has confirmed a message.
    fn delivered(&self, message: &str) -> Result<Instant, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let confirmed = self.broker.confirmed();
            if let Some((at, _)) = confirmed.iter().find(|(_, confirmed)| confirmed.id == message) {
                return Ok(*at);
            }
            if Instant::now() > deadline {
                return Err(Failure::unfinished(format!("the message {message} is not delivered")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self) {
        let lines: Vec<String> = {
            let rows = self.service.following.rows();
            let line = |(name, _): &(&str, &str)| {
                let client: ClientName = name.parse().ok()?;
                let seen = rows.cases.whole().into_iter().flat_map(|cases| cases.by_id.values());
                let seen = seen.filter(|case| tributary_cases::permission::sees(&*rows, case, &client));
                let seen: Vec<String> =
                    seen.map(|case| format!("{} {:?}", short(&case.id.to_string()), case.status)).collect();
                let seen = if seen.is_empty() { "no case".to_owned() } else { seen.join(", ") };
                Some(format!("   {name:<10} {seen}"))
            };
            CLIENTS.iter().filter_map(line).collect()
        };
        self.say("\nWhat each client sees now:");
        for line in lines {
            self.say(&line);
        }
    }
}

fn failed(problem: &Problem) -> Failure {
    Failure::unfinished(format!("a request of the demo has failed: {}", problem.code()))
}

/// A command as its origin system writes it.
fn body(origin: &str, queue: Queue, case: &str) -> Value {
    let now = Timestamp::now().to_string();
    match queue {
        Queue::Create => {
            json!({"caseId": case, "created": now, "caseDetailsUri": format!("https://{origin}.example/cases/{case}")})
        }
        Queue::Update => json!({"caseId": case, "updated": now}),
        Queue::Close | Queue::Delete => json!({"caseId": case, "eventTime": now}),
    }
}

/// The end of a case id, which tells the cases of the demo apart.
fn short(case: &str) -> String {
    format!("case ..{}", case.get(case.len().saturating_sub(2)..).unwrap_or(case))
}

/// Writes a configuration to go on with, and says how.
fn what_next(folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let file = folder.join("dis.toml");
    let text = include_str!("demo/next.toml");
    std::fs::write(&file, text)
        .map_err(|error| Failure::refused(format!("{} cannot be written: {error}", file.display())))?;
    let (file, state) = (file.display(), folder.join("service"));
    let state = state.display();
    // A reader that has closed the pipe does not want more output.
    let _ = writeln!(
        out,
        "\nNext, with a service of your own (no broker, no tokens: the header Tributary-Client names the caller):\n\n\
         tributary run --flow cases --config {file} --state {state}\n\
         curl -H 'Tributary-Client: esdh-a' -H 'Content-Type: application/json' -H 'Prefer: wait=5' \\\n    \
         -d '{{\"caseId\":\"{RECORDS_CASE}\",\"created\":\"2026-11-20T10:00:00Z\",\"caseDetailsUri\":\"https://esdh-a.example/1\"}}' \\\n    \
         http://127.0.0.1:8080/api/Commands/CreateCase\n\
         curl -H 'Tributary-Client: journal-1' 'http://127.0.0.1:8080/api/Notifications?wait=5'\n\
         tributary cases grants list --state {state}\n\
         http://127.0.0.1:8080/swagger in a browser"
    );
    Ok(())
}
