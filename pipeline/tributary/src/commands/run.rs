//! `tributary run`: the service, or one batch.

use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use jiff::{SignedDuration, Timestamp};
use tributary_flow::statistics::Statistics;
use tributary_flow::{BatchRequest, ClockGuard, ClockLimits, Failure, Host, progress};

use crate::cli::{OutputForm, RunOptions};
use crate::configuration::Configuration;
use crate::flows::Flows;
use crate::http::{self, DEFAULT_LISTEN, Server};
use crate::process::{FlowToRun, ProcessHost, Service, Status, Surroundings};
use crate::runtime::Runtime;
use crate::settings::Settings;

/// Runs the named flows.
pub(crate) fn execute(flows: Flows, options: &RunOptions, matches: &ArgMatches) -> Result<(), Failure> {
    let configuration = Configuration::load(flows, options.config.as_deref())?;
    let mut settings = Settings::new(&configuration.process, &options.log, options.state.clone())?;
    settings.config.clone_from(&options.config);
    let flows = flows_to_run(flows, options, matches, &configuration)?;
    let runtime = Runtime::start()?;
    let surroundings =
        Surroundings { settings, shutdown: runtime.shutdown(), tokio: runtime.handle(), authenticator: None };
    let outcome = if options.once {
        batch(options, surroundings, &flows)
    } else {
        service(options, &configuration, surroundings, flows)
    };
    runtime.end();
    outcome
}

fn flows_to_run(
    known: Flows,
    options: &RunOptions,
    matches: &ArgMatches,
    configuration: &Configuration,
) -> Result<Vec<FlowToRun>, Failure> {
    let mut flows: Vec<FlowToRun> = Vec::new();
    for flow in options.flow.iter().filter_map(|name| known.named(name)) {
        if flows.iter().any(|other| other.declaration.name == flow.declaration().name) {
            continue;
        }
        let configured = flow.configure(&configuration.file, matches)?;
        flows.push(FlowToRun { declaration: flow.declaration(), configured });
    }
    Ok(flows)
}

fn batch(options: &RunOptions, surroundings: Surroundings, flows: &[FlowToRun]) -> Result<(), Failure> {
    let [flow] = flows else {
        return Err(Failure::refused("a batch runs one flow: name it with --flow"));
    };
    let now = as_of(options, Timestamp::now())?;
    let statistics = Statistics::begin();
    let request = BatchRequest {
        now,
        as_json: options.output == OutputForm::Json,
        progress: &|step, text| {
            statistics.step(step);
            progress::show(text);
        },
        print: &tributary_flow::print,
    };
    let state = surroundings.settings.state.clone();
    let host = ProcessHost { surroundings, declaration: flow.declaration, statistics: &statistics };
    progress::show("starting");
    host.run(&flow.configured, &state, &mut |running| running.batch(&request))?;
    if options.statistics {
        eprint!("{}", statistics.text());
    }
    Ok(())
}

/// A `--now` that is later than the machine's clock by more than this is a typing error, unless it is confirmed.
const FARTHEST_NOW: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The time as of which a batch runs (D98).
///
/// # Errors
/// [`Failure::Refused`] for a time that is too far ahead.
fn as_of(options: &RunOptions, clock: Timestamp) -> Result<Timestamp, Failure> {
    let Some(now) = options.now else { return Ok(clock) };
    if options.confirmed.confirm_now || now.duration_since(clock) <= FARTHEST_NOW {
        return Ok(now);
    }
    Err(Failure::refused(format!(
        "--now {now} is more than 400 days after the machine's clock ({clock}), and no earlier run would be possible \
         after it: correct it, or add --confirm-now"
    )))
}

fn service(
    options: &RunOptions,
    configuration: &Configuration,
    mut surroundings: Surroundings,
    flows: Vec<FlowToRun>,
) -> Result<(), Failure> {
    let process = &configuration.process;
    let steady = Duration::from_secs(process.service.clock_steady_seconds.max(1));
    let status = Status::starting(ClockGuard::new(ClockLimits { steady, ..ClockLimits::default() }));
    let serves_requests = flows.iter().any(|flow| flow.declaration.serves_requests);
    let default = serves_requests.then(|| DEFAULT_LISTEN.to_owned());
    let listen = options.http.clone().or_else(|| process.http.listen.clone()).or(default);
    let server = match listen {
        Some(listen) => {
            let status = Arc::clone(&status) as _;
            let server = Server::bind(&listen, &process.http, &process.auth, status, &surroundings.tokio);
            let server = server.map_err(Failure::refused)?;
            http::announce_listening(&server.url());
            Some(server)
        }
        None => None,
    };
    surroundings.settings.serves_views = server.is_some();
    surroundings.authenticator = server.as_ref().map(|server| server.message_authenticator(&surroundings.tokio));
    Service::new(surroundings, flows, status, server, options.confirmed.confirm_clock).run()
}
