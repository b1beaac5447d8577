//! `tributary demo aggregation`: an index, permissions, source systems of every kind, and a question.

mod played_producers;

use std::any::Any;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary_aggregation::cache_flow::Asked;
use tributary_aggregation::caller::{CORRELATION, ORIGINAL_CONSUMER, SENDER};
use tributary_aggregation::in_words::{AnswerInWords, read_answer};
use tributary_flow::configuration::ConfigurationFile;
use tributary_flow::{ConfiguredFlow, Failure, Host, demo, table};
use tributary_runtime::Shutdown;
use tributary_schemas::records::aggregation::{Engagement, EngagementTransaction, Interaction};
use tributary_schemas::types::aggregation::PatientId;

use crate::Configured;
use crate::outside::{self, Outside};
use crate::platform::{Platform, Shared};
use crate::settings::EdgeSettings;
use crate::tak_source::TakSource;
use played_producers::{ADDRESSES, PlayedProducers};

const CONFIGURATION: &str = include_str!("demo/agp.toml");
const TAK: &str = include_str!("demo/tak.json");

/// The service that is asked.
const SERVICE: &str = "GetAggregatedSubjectOfCareSchedule.v1";

/// An invented patient.
const PATIENT: &str = "199001012385";

/// The consumer that asks.
const CONSUMER: &str = "SE-DEMO-CONSUMER";

/// The largest answer, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// How long one step may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the demo and prints the answers.
///
/// # Errors
/// The [`Failure`] of a step.
pub(crate) fn run(dir: Option<&Path>, host: &dyn Host, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let folder = demo::folder("aggregation", dir)?;
    let file = write_configuration(&folder)?;
    let file = ConfigurationFile::read(Some(&file)).map_err(Failure::refused)?;
    let settings = Arc::new(EdgeSettings::load(&file).map_err(Failure::refused)?);
    let producers = Arc::new(PlayedProducers::default());
    let outside = Outside { producers: Arc::clone(&producers) as _, index: None };
    let client = outside::client(&settings).map_err(Failure::refused)?;
    let tak = Arc::new(TakSource::new(settings.tak.clone(), client));
    let configured: Arc<dyn ConfiguredFlow> = Arc::new(Configured { settings, outside, tak });
    host.run(&configured, &folder.join("state"), &mut |flow| {
        let any: &dyn Any = flow;
        let running: &Platform =
            any.downcast_ref().ok_or_else(|| Failure::refused("the host runs another flow than the demo's"))?;
        let over = Shutdown::new();
        std::thread::scope(|scope| {
            scope.spawn(|| demo::rounds(running, &over));
            let shared = Arc::clone(running.shared());
            let play = Play { shared, tokio: running.tokio(), producers: &producers, out: &mut *out };
            let outcome = play.acts();
            over.trigger();
            outcome
        })
    })?;
    what_next(&folder, out);
    Ok(())
}

fn write_configuration(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("agp.toml");
    for (path, text) in [(path.clone(), CONFIGURATION), (folder.join("tak.json"), TAK)] {
        std::fs::write(&path, text)
            .map_err(|error| Failure::refused(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(path)
}

/// A running platform.
struct Play<'a> {
    shared: Arc<Shared>,
    tokio: &'a tokio::runtime::Handle,
    producers: &'a PlayedProducers,
    out: &'a mut (dyn Write + Send),
}

impl Play<'_> {
    fn acts(mut self) -> Result<(), Failure> {
        self.say("Six source systems have bookings of an invented patient, as the index says:\n");
        for (address, what) in ADDRESSES {
            self.say(&format!("   {address:<16} {what}"));
        }
        let known = ADDRESSES.iter().map(|(address, _)| engagement(address, "20261120143000"));
        self.update(known.collect::<Result<_, _>>()?)?;
        self.say(&format!("\n1. {CONSUMER} asks {SERVICE}.\n"));
        self.ask("demo-1")?;
        self.say("\n2. It asks again. What is kept is served; what has failed is not tried again for a moment.\n");
        self.ask("demo-2")?;
        self.say("\n3. SE-DEMO-FAST tells the index of a new booking. Only there the next question calls.\n");
        self.update(vec![engagement("SE-DEMO-FAST", "20261127101500")?])?;
        self.ask("demo-3")?;
        Ok(())
    }

    /// Sends an update to the index, and waits until it shows it.
    fn update(&mut self, transactions: Vec<EngagementTransaction>) -> Result<(), Failure> {
        let own = self.shared.own.as_ref().ok_or_else(|| Failure::refused("the demo has no index"))?;
        let (context, expected) = (own.context.clone(), transactions.clone());
        let publish =
            self.shared.intake.publish(move |output| context.submit(output, Interaction::Update, transactions));
        self.tokio.block_on(publish).map_err(|problem| Failure::unfinished(problem.detail().to_owned()))?;
        let end = Instant::now() + PATIENCE;
        loop {
            // What the view shows marks the cache in the same look, shortly after.
            let shown = self.shared.engagements_of(&patient()?, None);
            let is_shown = |one: &EngagementTransaction| {
                let wanted = &one.engagement;
                shown
                    .iter()
                    .any(|shown| shown.key() == wanted.key() && shown.most_recent_content == wanted.most_recent_content)
            };
            if expected.iter().all(is_shown) {
                break;
            }
            if Instant::now() > end {
                return Err(Failure::unfinished("the index does not show the update"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let caught_up = self.tokio.block_on(self.shared.following.catch_up());
        caught_up.map_err(|problem| Failure::unfinished(problem.detail().to_owned()))
    }

    fn ask(&mut self, correlation: &str) -> Result<(), Failure> {
        let offered = self.shared.settings.services.iter().find(|one| one.service.descriptor().name == SERVICE);
        let service = offered.map(|offered| Arc::clone(&offered.service));
        let service = service.ok_or_else(|| Failure::refused(format!("the demo has no {SERVICE}")))?;
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers =
            vec![header(SENDER, CONSUMER), header(ORIGINAL_CONSUMER, CONSUMER), header(CORRELATION, correlation)];
        let asked = Asked { headers, soap_action: None, charset: None, body: question().into_bytes() };
        let (before, began) = (self.producers.calls(), Instant::now());
        let reply = self.tokio.block_on(async { self.shared.flow.ask(&service, asked).await });
        let (took, calls) = (began.elapsed(), self.producers.calls() - before);
        let answer = read_answer(reply.body().as_bytes().to_vec(), MOST_BYTES).map_err(Failure::unfinished)?;
        self.show(&answer);
        self.say(&format!("   {calls} calls, {} ms", took.as_millis()));
        Ok(())
    }

    fn show(&mut self, answer: &AnswerInWords) {
        for row in &answer.rows {
            let leaves: Vec<String> = row.iter().map(|(path, text)| format!("{path} {text}")).collect();
            self.say(&format!("   row: {}", leaves.join(", ")));
        }
        let cell = |text: &Option<String>| text.clone().unwrap_or_default();
        let rows: Vec<Vec<String>> = answer
            .records
            .iter()
            .map(|one| vec![one.address.clone(), one.status.clone(), cell(&one.code), cell(&one.text)])
            .collect();
        for line in table::lines(&["source system", "status", "code", "text"], &rows, 4) {
            self.say(&format!("   {line}"));
        }
    }

    fn say(&mut self, line: &str) {
        // A reader that has closed the pipe does not want more output.
        let _ = writeln!(self.out, "{line}");
    }
}

fn patient() -> Result<PatientId, Failure> {
    PATIENT.parse().map_err(Failure::refused)
}

/// A booking of the patient.
fn engagement(address: &str, content: &str) -> Result<EngagementTransaction, Failure> {
    let engagement = Engagement {
        registered_resident_identification: patient()?,
        service_domain: "riv:crm:scheduling".to_owned(),
        categorization: "Booking".to_owned(),
        logical_address: address.parse().map_err(Failure::refused)?,
        business_object_instance_identifier: "NA".parse().map_err(Failure::refused)?,
        clinical_process_interest_id: "NA".parse().map_err(Failure::refused)?,
        most_recent_content: Some(content.parse().map_err(Failure::refused)?),
        source_system: address.parse().map_err(Failure::refused)?,
        creation_time: None,
        update_time: None,
        data_controller: "SE-DEMO-CONTROLLER".to_owned(),
        owner: "SE-DEMO-EI".to_owned(),
    };
    Ok(EngagementTransaction { delete_flag: false, engagement })
}

fn question() -> String {
    format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
         <s:GetSubjectOfCareSchedule xmlns:s=\"urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1\">\
         <s:healthcare_facility>SE-DEMO</s:healthcare_facility><s:subject_of_care>{PATIENT}</s:subject_of_care>\
         </s:GetSubjectOfCareSchedule></soap:Body></soap:Envelope>"
    )
}

fn what_next(folder: &Path, out: &mut dyn Write) {
    let (file, state) = (folder.join("agp.toml"), folder.join("service"));
    let (file, state) = (file.display(), state.display());
    let _ = writeln!(
        out,
        "\nNext, with a service of your own (its source systems are those behind [aggregation.vp] url):\n\n\
         tributary run --flow aggregation --config {file} --state {state}\n\
         tributary aggregation services list --state {state}\n\
         tributary aggregation ask --service {SERVICE} --patient {PATIENT} --sender {CONSUMER} --state {state}\n\
         tributary aggregation why CORRELATION_ID --state {state}\n\
         http://127.0.0.1:8080/swagger in a browser"
    );
}
