//! The service: runs the rounds of the flows and reports, until it should end.
//!
//! Several processes of one namespace share the work on Kafka. The process that owns partition 0 of a flow's leader
//! topic runs the rounds of that flow. When that partition moves, the rounds move with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tributary_connectors::trouble::Troubles;
use tributary_flow::{ClockReading, Failure, Process, Round};

use super::address::NotedAddress;
use super::starting::start_patiently;
use super::{FlowToRun, Started, Status, Surroundings};
use crate::events;
use crate::http::{Server, WorkerCollector, announce_ready};

/// How long open requests may take after the shutdown has begun.
const DRAIN: Duration = Duration::from_secs(5);

/// The service of one process.
pub(crate) struct Service {
    surroundings: Surroundings,
    flows: Vec<FlowToRun>,
    status: Arc<Status>,
    /// The HTTP port, if there is one.
    server: Option<Server>,
    url: Option<String>,
    /// Whether the first clock is believed, whatever the log says.
    confirms_clock: bool,
    clock_in_doubt: Option<IntGauge>,
}

/// What one flow's rounds remember.
struct Rounds {
    /// Whether this process runs them.
    are_here: bool,
    /// Whether the clock was compared with the last time in the log.
    is_clock_compared: bool,
    clock_sent: Option<Instant>,
    /// Failures that last, by the part of the round.
    troubles: Troubles,
}

impl Service {
    pub(crate) fn new(
        surroundings: Surroundings,
        flows: Vec<FlowToRun>,
        status: Arc<Status>,
        server: Option<Server>,
        confirms_clock: bool,
    ) -> Self {
        let url = server.as_ref().map(Server::url);
        Self { surroundings, flows, status, server, url, confirms_clock, clock_in_doubt: None }
    }

    /// Runs until the shutdown is triggered.
    ///
    /// # Errors
    /// [`Failure`] when it cannot start, or when a worker has ended with an error.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let served = self.server.take().map(|server| {
            let (ends, site) = (when_triggered(&self.surroundings), server.site());
            (site, self.surroundings.tokio.spawn(server.serve(ends, DRAIN)))
        });
        let status = Arc::clone(&self.status);
        let started = start_patiently(&self.surroundings, &self.flows, None, &|reason| status.wait_for(reason))?;
        let Some(started) = started else { return Ok(()) };
        if let Some((site, _)) = &served {
            mount(site, &started)?;
            self.clock_in_doubt = Some(clock_gauge(site)?);
        }
        // The state folder belongs to this process now.
        let state = &self.surroundings.settings.state;
        let noted = self.url.as_ref().and_then(|url| NotedAddress::write(state, url));
        self.status.opened(started.iter().map(|flow| Arc::clone(&flow.process)).collect());
        let outcome = self.rounds(&started);
        let was_asked_to_end = self.surroundings.shutdown.is_triggered();
        // This closes the port, also after an error.
        self.surroundings.shutdown.trigger();
        drop(noted);
        events::ending();
        let stopped = started.into_iter().map(Started::stop).fold(Ok(()), Result::and);
        if let Some((_, serving)) = served {
            // The server ends within the time for open requests.
            let _ = self.surroundings.tokio.block_on(serving);
        }
        if was_asked_to_end { stopped } else { outcome.and(stopped) }
    }

    fn rounds(&self, flows: &[Started]) -> Result<(), Failure> {
        let shutdown = &self.surroundings.shutdown;
        for flow in flows.iter().filter(|flow| !flow.process.is_shared()) {
            flow.process.wait_until_ready()?;
            flow.flow.ready()?;
        }
        let mut rounds: Vec<Rounds> = flows.iter().map(|_| Rounds::new()).collect();
        let mut announced = false;
        let mut in_doubt = false;
        while !shutdown.is_triggered() {
            let clock = self.status.read_clock();
            self.show_clock(&clock, &mut in_doubt);
            for (flow, rounds) in flows.iter().zip(&mut rounds) {
                flow.process.check()?;
                self.round(flow, rounds, &clock)?;
            }
            // Every flow is checked, also after one that is not ready, because the HTTP port shows the state of each.
            let waiting = flows.iter().filter(|flow| flow.process.check_readiness().is_err()).count();
            if waiting == 0 && !announced {
                announced = true;
                self.announce();
            }
            shutdown.wait(self.surroundings.settings.pause);
        }
        Ok(())
    }

    fn announce(&self) {
        if let Some(url) = &self.url {
            announce_ready(url);
        } else {
            events::ready();
        }
    }

    /// Shows whether the clock is in doubt.
    fn show_clock(&self, clock: &ClockReading, in_doubt: &mut bool) {
        if let Some(gauge) = &self.clock_in_doubt {
            gauge.set(i64::from(clock.doubt.is_some()));
        }
        match (&clock.doubt, &clock.believed) {
            (Some(doubt), _) if !*in_doubt => events::clock_in_doubt(&doubt.reason),
            (None, Some(why)) if *in_doubt => events::clock_believed(why),
            _ => {}
        }
        *in_doubt = clock.doubt.is_some();
    }

    fn round(&self, flow: &Started, rounds: &mut Rounds, clock: &ClockReading) -> Result<(), Failure> {
        match self.take_rounds(flow, rounds, clock) {
            Ok(None) => {}
            Ok(Some(round)) => rounds.note("round", flow, flow.flow.round(&round))?,
            Err(failure) => return rounds.note("round", flow, Err(failure)),
        }
        rounds.note("report", flow, flow.flow.report(clock))
    }

    /// Whether this process runs the rounds now. A process that takes over first makes sure that the previous one can
    /// publish no more. Input that the previous process published and that is not processed yet is published again,
    /// which changes nothing.
    fn take_rounds(&self, flow: &Started, rounds: &mut Rounds, clock: &ClockReading) -> Result<Option<Round>, Failure> {
        let process = &flow.process;
        let leads = process.leads()?;
        if !leads {
            if !rounds.is_clock_compared {
                self.compare_clock(flow, rounds)?;
            }
            if rounds.are_here {
                process.leave_rounds();
                events::rounds_are_elsewhere(process.declaration().name);
            }
            rounds.are_here = false;
            return Ok(None);
        }
        if !process.has_rounds() {
            process.take_over_rounds()?;
        }
        let is_first = !rounds.are_here;
        let mut clock = clock.clone();
        if is_first {
            self.compare_clock(flow, rounds)?;
            clock = self.status.read_clock();
        }
        rounds.are_here = true;
        if is_first {
            rounds.clock_sent = None;
        }
        let is_clock_due = rounds.clock_sent.is_none_or(|sent| sent.elapsed() >= self.surroundings.settings.clock);
        if is_clock_due {
            rounds.clock_sent = Some(Instant::now());
        }
        Ok(Some(Round { clock, is_first, is_clock_due }))
    }

    /// Compares the clock with the last time in the log: at the start of each process, and when it begins to run the
    /// rounds.
    fn compare_clock(&self, flow: &Started, rounds: &mut Rounds) -> Result<(), Failure> {
        if !self.confirms_clock
            && let Some(last) = flow.flow.last_sign_of_life()?
        {
            self.status.begin_clock(last);
        }
        rounds.is_clock_compared = true;
        Ok(())
    }
}

impl Rounds {
    fn new() -> Self {
        Self { are_here: false, is_clock_compared: false, clock_sent: None, troubles: Troubles::new() }
    }

    /// Reports a failure that a retry may fix, once. The service continues and retries in the next round.
    fn note(&mut self, part: &str, flow: &Started, result: Result<(), Failure>) -> Result<(), Failure> {
        let name = flow.process.declaration().name;
        let report = match result {
            Err(Failure::Unfinished(_)) if flow.process.shutdown().is_triggered() => return Ok(()),
            Err(Failure::Unfinished(reason)) => {
                flow.process.check()?;
                self.troubles.note(part, reason.to_string(), Instant::now())
            }
            Err(refused) => return Err(refused),
            Ok(()) => self.troubles.end(part, Instant::now()),
        };
        if let Some(report) = report {
            events::round_trouble(name, &report);
        }
        Ok(())
    }
}

/// Serves the paths of the flows, and their counters.
fn mount(site: &crate::http::Site, flows: &[Started]) -> Result<(), Failure> {
    for flow in flows {
        let declaration = flow.process.declaration();
        for (group, metrics) in declaration.groups.iter().zip(flow.process.metrics()) {
            let collector = WorkerCollector::new(declaration.name, group.name, metrics).map_err(Failure::refused)?;
            site.registry().register(Box::new(collector)).map_err(Failure::refused)?;
        }
        for collector in flow.flow.collectors().map_err(Failure::refused)? {
            site.registry().register(collector).map_err(Failure::refused)?;
        }
    }
    site.mount(flows.iter().flat_map(|flow| flow.flow.mounts()).collect()).map_err(Failure::refused)
}

/// The gauge that says whether the clock is in doubt.
fn clock_gauge(site: &crate::http::Site) -> Result<IntGauge, Failure> {
    let help = "1 while the clock of the machine is in doubt, so that nothing that is due takes place.";
    let gauge = IntGauge::new("clock_in_doubt", help).map_err(Failure::refused)?;
    site.registry().register(Box::new(gauge.clone())).map_err(Failure::refused)?;
    Ok(gauge)
}

/// Completes when the shutdown is triggered.
fn when_triggered(surroundings: &Surroundings) -> impl Future<Output = ()> + Send + use<> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    surroundings.shutdown.on_trigger(move || {
        // The server may have ended earlier.
        let _ = sender.send(());
    });
    async move {
        let _ = receiver.await;
    }
}
