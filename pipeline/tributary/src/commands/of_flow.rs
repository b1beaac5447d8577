//! `tributary <flow> ...` and `tributary clock ...`: commands for a running service, or for the log where none answers.

use jiff::Timestamp;
use serde_json::json;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, Flow, LogOfCommand, Site, json_text, log_failure, print};
use tributary_runtime::{Headers, Output};
use tributary_schemas::Codec;

use clap::ArgMatches;

use crate::cli::{FlowCommandOptions, OutputForm, ServerOptions};
use crate::configuration::Configuration;
use crate::flows::Flows;
use crate::process::{OpenLog, address_in};
use crate::runtime::Runtime;
use crate::settings::Settings;

/// The producer of records of commands.
const PRODUCER: &str = "commands";

/// Does a command of a flow.
pub(crate) fn execute(
    flows: Flows,
    flow: &'static dyn Flow,
    options: &FlowCommandOptions,
    matches: &ArgMatches,
) -> Result<(), Failure> {
    let Some((command, own)) = matches.subcommand() else {
        return Err(Failure::refused("no command is given"));
    };
    let runtime = Runtime::start()?;
    let log = Log { flows, flow, options };
    let site = Site { config: options.config.clone(), ..site(&options.server, &runtime, &log) };
    let answered = flow.run_command(command, own, &site);
    runtime.end();
    answered
}

/// Confirms the clock of a running service.
pub(crate) fn confirm_clock(options: &ServerOptions) -> Result<(), Failure> {
    let runtime = Runtime::start()?;
    let site = site(options, &runtime, &NoLog);
    let answer = ServiceClient::of(&site).and_then(|client| client.post("/api/admin/clock/confirm", &json!({})));
    let as_json = site.as_json;
    runtime.end();
    let answer = answer?;
    if as_json { print(&json_text(&answer)?) } else { print("the clock is confirmed\n") }
}

fn site<'a>(options: &ServerOptions, runtime: &Runtime, log: &'a dyn LogOfCommand) -> Site<'a> {
    Site {
        server: options.server.clone().or_else(|| address_in(&options.state)),
        token: options.token.clone(),
        config: None,
        as_json: options.output == OutputForm::Json,
        tokio: runtime.handle(),
        log,
    }
}

/// The log of the command line.
struct Log<'a> {
    flows: Flows,
    flow: &'static dyn Flow,
    options: &'a FlowCommandOptions,
}

impl LogOfCommand for Log<'_> {
    fn publish(&self, write: &dyn Fn(&Codec, &mut Output) -> Result<(), Failure>) -> Result<(), Failure> {
        let FlowCommandOptions { server, config, log } = self.options;
        let configuration = Configuration::load(self.flows, config.as_deref())?;
        let settings = Settings::new(&configuration.process, log, server.state.clone())?;
        let declarations = [self.flow.declaration()];
        let log = OpenLog::open_beside(&settings, &declarations)?;
        let codec = log.codec(&settings, &declarations)?;
        let mut output = Output::new(i32::from(settings.partitions));
        output.inherit(Timestamp::now().as_millisecond(), Headers::default());
        write(&codec, &mut output)?;
        let mut producer = log.producer(declarations[0].name, PRODUCER).map_err(log_failure)?;
        producer.publish(&output).map_err(Failure::unfinished)?;
        log.sync().map_err(Failure::unfinished)
    }
}

/// For commands that only a running service can do.
struct NoLog;

impl LogOfCommand for NoLog {
    fn publish(&self, _: &dyn Fn(&Codec, &mut Output) -> Result<(), Failure>) -> Result<(), Failure> {
        Err(Failure::refused("only a running service can do this"))
    }
}
