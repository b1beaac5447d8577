//! `tributary run`: the service, or one batch.

use std::sync::Arc;

use clap::ArgMatches;
use jiff::Timestamp;
use tributary_flow::statistics::Statistics;
use tributary_flow::{BatchRequest, Failure, Host, progress};

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
    let surroundings = Surroundings { settings, shutdown: runtime.shutdown(), tokio: runtime.handle() };
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
    let statistics = Statistics::begin();
    let request = BatchRequest {
        now: options.now.unwrap_or_else(Timestamp::now),
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

fn service(
    options: &RunOptions,
    configuration: &Configuration,
    mut surroundings: Surroundings,
    flows: Vec<FlowToRun>,
) -> Result<(), Failure> {
    let status = Status::starting();
    let process = &configuration.process;
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
    Service::new(surroundings, flows, status, server).run()
}
