//! `tributary demo registry`: a register that finds, finds nothing, fails, answers late, and goes away.

use std::any::Any;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::runtime::Handle;
use tributary_flow::configuration::ConfigurationFile;
use tributary_flow::http::{Caller, Roles};
use tributary_flow::{ConfiguredFlow, Failure, Host, demo};
use tributary_registry::configuration::Kind;
use tributary_registry::number::Number;
use tributary_registry_sample::{Answer, Register};
use tributary_runtime::Shutdown;
use tributary_schemas::records::registry::{CommandAction, JobCommand, JobRow, JobStatus};
use tributary_schemas::types::registry::UserId;
use uuid::Uuid;

use crate::Configured;
use crate::lookups::{Asker, LookupError, Lookups, Row};
use crate::platform::{Platform, Shared};
use crate::settings::EdgeSettings;

const CONFIGURATION: &str = include_str!("demo/registry.toml");

/// How long one act may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a row is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs the demo and prints what happens.
///
/// # Errors
/// The [`Failure`] of a step.
pub(crate) fn run(dir: Option<&Path>, host: &dyn Host, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let folder = demo::folder("registry", dir)?;
    // The register outlives the flow that calls it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Failure::unfinished)?;
    let register = runtime.block_on(Register::start(None)).map_err(Failure::unfinished)?;
    let file = write_configuration(&folder, &register.url())?;
    let file = ConfigurationFile::read(Some(&file)).map_err(Failure::refused)?;
    let settings = EdgeSettings::load(&file).map_err(Failure::refused)?;
    let configured: Arc<dyn ConfiguredFlow> = Arc::new(Configured { settings });
    host.run(&configured, &folder.join("state"), &mut |flow| {
        let any: &dyn Any = flow;
        let running: &Platform =
            any.downcast_ref().ok_or_else(|| Failure::refused("the host runs another flow than the demo's"))?;
        let over = Shutdown::new();
        std::thread::scope(|scope| {
            scope.spawn(|| demo::rounds(running, &over));
            let shared = Arc::clone(running.shared());
            let play = Play { shared, tokio: runtime.handle(), register: &register, out: &mut *out };
            let outcome = play.acts();
            over.trigger();
            outcome
        })
    })?;
    what_next(&folder, out);
    Ok(())
}

/// Writes the configuration, with keys of its own.
fn write_configuration(folder: &Path, url: &str) -> Result<PathBuf, Failure> {
    let key = || -> Result<String, Failure> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(Failure::unfinished)?;
        Ok(BASE64_STANDARD.encode(key))
    };
    let path = folder.join("registry.toml");
    let files = [
        (path.clone(), CONFIGURATION.replace("{url}", url)),
        (folder.join("keys.txt"), format!("demo {}\n", key()?)),
        (folder.join("lookup.key"), key()?),
    ];
    for (path, text) in files {
        std::fs::write(&path, text)
            .map_err(|error| Failure::refused(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(path)
}

struct Play<'a> {
    shared: Arc<Shared>,
    tokio: &'a Handle,
    register: &'a Register,
    out: &'a mut (dyn Write + Send),
}

impl Play<'_> {
    fn acts(mut self) -> Result<(), Failure> {
        self.say(
            "A person asks for numbers of the state's register. Numbers and names are invented, and shown masked.",
        );
        self.act("1. The register knows the number.", "19910824-00026", &[Answer::Found])?;
        self.act("2. The register knows another one, and finds nothing.", "19620201-00010", &[Answer::Empty])?;
        let refusal = Answer::Fault(500, "Client.InvalidQuery".to_owned(), None);
        self.act("3. The first number again: the call fails, and what was known stays.", "19910824-00026", &[refusal])?;
        let failing = [Answer::Status(503, None), Answer::Service("-2".to_owned()), Answer::Found];
        self.act("4. Two calls fail, and are made again after a wait.", "19751112-00021", &failing)?;
        self.join()?;
        self.late()?;
        self.outage()
    }

    /// Asks for a number, and shows its statuses as they change.
    fn act(&mut self, title: &str, number: &str, answers: &[Answer]) -> Result<(), Failure> {
        self.say(&format!("\n{title}\n"));
        let before = self.register.calls_of(number);
        if let Some(first) = answers.first() {
            self.register.set(number, first.clone());
        }
        let asked = self.sync(number)?;
        self.follow(number, &asked, answers)?;
        self.say(&format!("   calls: {}", self.register.calls_of(number) - before));
        Ok(())
    }

    /// Shows a row until its job has ended. After each call that has failed, the register has its next answer.
    fn follow(&mut self, number: &str, asked: &Row, answers: &[Answer]) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut shown = String::new();
        loop {
            let (row, kept) = self.look(number)?;
            if let Some(next) = answers.get(usize::try_from(kept.attempt).unwrap_or_default()) {
                self.register.set(number, next.clone());
            }
            let line = in_words(&row, &kept);
            if line != shown {
                self.say(&format!("   {:>5} ms  {}  {line}", begun.elapsed().as_millis(), row.number.masked()));
                shown = line;
            }
            if row.status != JobStatus::Pending && row.updated_at >= asked.updated_at {
                return Ok(());
            }
            patient(begun)?;
            std::thread::sleep(PAUSE);
        }
    }

    /// Several people ask for the same number at once.
    fn join(&mut self) -> Result<(), Failure> {
        let number = "20000229-00042";
        self.say("\n5. Three people ask for the same number at once: one job, one call.\n");
        self.register.set(number, Answer::Late(Duration::from_millis(300), Box::new(Answer::Found)));
        for person in ["Anna", "Borys", "Vira"] {
            let row = self.sync_by(person, number)?;
            self.say(&format!("   {person:<6} is answered: {}, row {}", self.status(&row), row.id));
        }
        let asked = self.look(number)?.0;
        self.follow(number, &asked, &[])?;
        self.say(&format!("   calls: {}", self.register.calls_of(number)));
        Ok(())
    }

    /// A job is cancelled, and its answer comes late.
    fn late(&mut self) -> Result<(), Failure> {
        let number = "19880808-00033";
        self.say(
            "\n6. An operator cancels a job while its call is under way. The answer comes late and changes nothing.\n",
        );
        self.register.set(number, Answer::Late(Duration::from_millis(400), Box::new(Answer::Found)));
        let asked = self.sync(number)?;
        let begun = Instant::now();
        while self.register.calls_of(number) == 0 {
            patient(begun)?;
            std::thread::sleep(PAUSE);
        }
        self.cancel(number, &asked)?;
        self.follow(number, &asked, &[])?;
        let late = || {
            let of_kind = |late: u64, more: &u64| late + more;
            self.shared.following().look(|views| views.late_answers.values().fold(0, of_kind))
        };
        while late() == 0 {
            patient(begun)?;
            std::thread::sleep(PAUSE);
        }
        let took = begun.elapsed().as_millis();
        self.say(&format!("   {took:>5} ms  the answer has come, and is counted as late"));
        let (row, kept) = self.look(number)?;
        self.say(&format!("             {}  {}", row.number.masked(), in_words(&row, &kept)));
        Ok(())
    }

    /// The register goes away, and comes back.
    fn outage(&mut self) -> Result<(), Failure> {
        let number = "19930303-00044";
        self.say("\n7. The register is down. The job waits for it, and goes on when it is back.\n");
        self.register.down();
        let asked = self.sync(number)?;
        let begun = Instant::now();
        while self.look(number)?.1.attempt < 2 {
            patient(begun)?;
            std::thread::sleep(PAUSE);
        }
        let (row, kept) = self.look(number)?;
        self.say(&format!(
            "   {:>5} ms  {}  {}",
            begun.elapsed().as_millis(),
            row.number.masked(),
            in_words(&row, &kept)
        ));
        self.tokio.block_on(self.register.up()).map_err(Failure::unfinished)?;
        self.say(&format!("   {:>5} ms  the register is back", begun.elapsed().as_millis()));
        self.follow(number, &asked, &[])
    }

    fn sync(&self, number: &str) -> Result<Row, Failure> {
        self.sync_by("Anna", number)
    }

    fn sync_by(&self, person: &str, number: &str) -> Result<Row, Failure> {
        let kind = self.kind()?;
        let caller = Caller::new(person, Roles::All);
        let user = UserId::from_bytes(*caller.user_id().as_bytes());
        let asker = Asker { user, client: "demo".to_owned(), request: Uuid::new_v4() };
        let number = Number::new(number);
        let asked = self.shared.service.sync(&asker, kind, &number, None);
        self.tokio.block_on(asked).map_err(|error: LookupError| Failure::unfinished(error))
    }

    fn cancel(&self, number: &str, row: &Row) -> Result<(), Failure> {
        let kind = self.kind()?;
        let key = self.shared.service.vault.key(&kind.name, &Number::new(number));
        let command = JobCommand {
            action: CommandAction::Cancel,
            now: jiff::Timestamp::now().as_millisecond(),
            row_id: Some(row.id),
            ..JobCommand::of(kind.name.clone(), row.updated_by)
        };
        let context = self.shared.service.context.clone();
        let sent = self.shared.service.intake.publish(move |output| context.command(output, key, &command));
        self.tokio.block_on(sent).map_err(|problem| Failure::unfinished(problem.detail().to_owned()))
    }

    /// The row of a number, in the clear and as it is kept.
    fn look(&self, number: &str) -> Result<(Row, JobRow), Failure> {
        let (kind, service) = (self.kind()?, &self.shared.service);
        let key = service.vault.key(&kind.name, &Number::new(number));
        let found = self.tokio.block_on(service.current(|_| Some(key))).map_err(Failure::unfinished)?;
        let (_, kept) = found.ok_or_else(|| Failure::unfinished("the row is gone"))?;
        Ok((service.vault.open(key, &kept).map_err(Failure::unfinished)?, kept))
    }

    fn kind(&self) -> Result<&Kind, Failure> {
        let kind = self.shared.settings().kinds.values().next();
        kind.ok_or_else(|| Failure::refused("the demo has no kind of jobs"))
    }

    fn status(&self, row: &Row) -> &str {
        self.shared.settings().statuses.name(row.status)
    }

    fn say(&mut self, line: &str) {
        // A reader that has closed the pipe does not want more output.
        let _ = writeln!(self.out, "{line}");
    }
}

/// Fails if it takes too long.
fn patient(begun: Instant) -> Result<(), Failure> {
    if begun.elapsed() < PATIENCE { Ok(()) } else { Err(Failure::unfinished("a job of the demo does not end")) }
}

/// A row in one line. Of what was found it shows only that there is something.
fn in_words(row: &Row, kept: &JobRow) -> String {
    let info = match (&row.info, row.synced_at) {
        (Some(_), _) => "data",
        (None, Some(_)) => "nothing found",
        (None, None) => "no data yet",
    };
    let error = kept.error.as_ref().map(|error| match error.error_class.symbol() {
        class if class == error.code.as_str() => format!(", {class}"),
        class => format!(", {class} {}", error.code),
    });
    let attempts = if kept.attempt == 0 { String::new() } else { format!(", call {}", kept.attempt) };
    format!("{:<9} {info}{attempts}{}", row.status.symbol(), error.unwrap_or_default())
}

fn what_next(folder: &Path, out: &mut dyn Write) {
    let (file, state) = (folder.join("registry.toml"), folder.join("state"));
    let (file, state) = (file.display(), state.display());
    let _ = writeln!(
        out,
        "\nNext, with a service of your own on this state (its register is the one behind [registry.trembita] url):\n\n\
         tributary run --flow registry --config {file} --state {state}\n\
         tributary registry jobs list --state {state}\n\
         tributary registry audit --state {state}\n\
         tributary registry schema --config {file}"
    );
}
