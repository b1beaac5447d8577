//! The `registry` stage: origin systems, clients and grants, with one version, and who has changed what.
//!
//! A change goes to each partition that needs it. It is in force when all of them have applied it.

mod changing;
mod targets;
#[cfg(test)]
mod tests;

use tributary_flow::framed::{self, unexpected};
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::cases::{
    AuditEntry, Client, Origin, RegistryAction, RegistryAnswer, RegistryApplied, RegistryFill, RegistryRequest,
    RegistryVersion,
};
use tributary_schemas::records::cases_state::{PendingChange, RegistryProgress};
use tributary_schemas::records::tributary::{Clock, Severity};
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

use crate::context::Context;
use crate::topics;

/// Changes that the audit names.
pub const MOST_AUDITED: i64 = 10_000;

/// The key of a grant: client, origin, and the case if it is not the whole origin.
pub(crate) type GrantKey = (ClientName, (OriginName, Option<CaseId>));

/// The processor of the only partition.
pub struct RegistryStage {
    context: Context,
    /// By name in lower case: names differ in more than their case.
    origins: Store<String, Origin>,
    clients: Store<String, Client>,
    grants: Store<GrantKey, ()>,
    audit: Store<i64, AuditEntry>,
    pending: Store<i64, PendingChange>,
    progress: Store<(), RegistryProgress>,
    /// Names of removed origin systems, by name in lower case. Their cases stay, and a case names its origin as it was
    /// written. So a name returns only as it was written first.
    former_origins: Store<(String, OriginName), ()>,
    /// The same for clients, whose positions are never given out twice.
    former_clients: Store<(String, ClientName), ()>,
}

impl RegistryStage {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            origins: Store::new(0, "origins"),
            clients: Store::new(1, "clients"),
            grants: Store::new(2, "grants"),
            audit: Store::new(3, "audit"),
            pending: Store::new(4, "pending"),
            progress: Store::new(5, "progress"),
            former_origins: Store::new(6, "former_origins"),
            former_clients: Store::new(7, "former_clients"),
        }
    }

    fn progress(&self) -> RegistryProgress {
        self.progress.get(&()).cloned().unwrap_or_default()
    }

    fn request(&mut self, record: &Record<'_>, request: &RegistryRequest, output: &mut Output) {
        let decided = self.change(record.timestamp, request, output);
        let Some(id) = &request.request else { return };
        let (existed, code) = match decided {
            Ok(existed) => (existed, None),
            Err(code) => (false, Some(code.to_owned())),
        };
        let answer = RegistryAnswer { request: id.clone(), version: self.progress().version, code, existed };
        self.context.send(output, &topics::REGISTRY_ANSWER, id, &answer);
    }

    /// Fills an empty registry. A restart must not undo what was changed since, so any other registry stays as it is.
    fn fill(&mut self, record: &Record<'_>, fill: RegistryFill, output: &mut Output) {
        if self.progress().version > 0 {
            return;
        }
        let request = |action| RegistryRequest { action, by: fill.by.clone(), ..RegistryRequest::default() };
        let origins = fill.origins.into_iter().map(|origin| RegistryRequest {
            origin: Some(origin.name),
            client_id: Some(origin.client_id),
            details: origin.details,
            ..request(RegistryAction::OriginPut)
        });
        let clients = fill.clients.into_iter().map(|client| RegistryRequest {
            client: Some(client.name),
            client_id: Some(client.client_id),
            channel: client.channel,
            format: client.format,
            ..request(RegistryAction::ClientPut)
        });
        let grants = fill.grants.into_iter().map(|grant| RegistryRequest {
            client: Some(grant.client),
            origin: Some(grant.origin),
            case_id: grant.case_id,
            ..request(RegistryAction::GrantAdd)
        });
        for request in origins.chain(clients).chain(grants) {
            if let Err(code) = self.change(record.timestamp, &request, output) {
                self.report_refused(&request, code, output);
            }
        }
    }

    /// The configuration was checked when it was read, so this is a bug, or the file is of a newer release.
    fn report_refused(&self, request: &RegistryRequest, code: &'static str, output: &mut Output) {
        let client = request.client.as_ref().map(ClientName::as_str);
        let origin = request.origin.as_ref().map(OriginName::as_str);
        let subject = [client, origin].into_iter().flatten().collect::<Vec<_>>().join(" on ");
        let action = request.action.symbol();
        let text = format!("the registry does not take {action} of {subject} from the configuration: {code}");
        let alert = framed::alert(Severity::Error, "registry-entry-refused", &subject, text);
        self.context.send(output, &topics::ALERT, &subject, &alert);
    }

    fn applied(&mut self, applied: &RegistryApplied, output: &mut Output) {
        let Some(pending) = self.pending.get(&applied.version) else { return };
        let remaining = pending.remaining - 1;
        if remaining > 0 {
            self.pending.put(applied.version, PendingChange { remaining });
            return;
        }
        self.pending.delete(applied.version);
        self.note_version(output);
    }

    /// Up to the version before the first change that some partition lacks, all is in force.
    fn note_version(&mut self, output: &mut Output) {
        let mut progress = self.progress();
        let first_pending = self.pending.iter().next().map(|(version, _)| *version);
        progress.in_force = first_pending.map_or(progress.version, |version| version - 1);
        self.put_progress(progress, output);
    }

    fn put_progress(&mut self, progress: RegistryProgress, output: &mut Output) {
        let RegistryProgress { version, in_force, ordering } = progress;
        self.context.send(output, &topics::REGISTRY_ROWS, "version", &RegistryVersion { version, in_force, ordering });
        self.progress.put((), progress);
    }

    /// The ordering decides partitions, so the first record of a log settles it.
    fn keep_ordering(&mut self, output: &mut Output) -> Result<(), ProcessError> {
        let progress = self.progress();
        let Some(kept) = progress.ordering else {
            let ordering = Some(self.context.settings.ordering.into());
            self.put_progress(RegistryProgress { ordering, ..progress }, output);
            return Ok(());
        };
        self.context.settings.ordering.check(kept).map_err(ProcessError::Stop)
    }
}

impl Processor for RegistryStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        self.keep_ordering(output)?;
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::CasesRegistryRequest => self.request(record, &framed.read()?, output),
            RecordType::CasesRegistryFill => self.fill(record, framed.read()?, output),
            RecordType::CasesRegistryApplied => self.applied(&framed.read()?, output),
            RecordType::TributaryClock => {
                let clock = framed.read::<Clock>()?;
                self.context.broadcast(output, &topics::CASE, "clock", &clock);
                self.context.broadcast(output, &topics::CLIENT, "clock", &clock);
            }
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![
            &mut self.origins,
            &mut self.clients,
            &mut self.grants,
            &mut self.audit,
            &mut self.pending,
            &mut self.progress,
            &mut self.former_origins,
            &mut self.former_clients,
        ]
    }
}
