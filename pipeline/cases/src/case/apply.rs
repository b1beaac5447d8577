//! Commands that change a living case, and the notification of each change.

use tributary_runtime::Output;
use tributary_schemas::records::cases::{
    CaseState, CaseStatus, Command, CommandStatus, Notification, NotificationDue, NotificationType, Queue,
};
use tributary_schemas::records::cases_state::{LivingCase, RememberedCommand};
use tributary_schemas::types::cases::{ClientName, MessageId};

use super::parked::given_of;
use super::{CaseStage, Given, REMEMBERED, Verdict};
use crate::configuration::UpdatedPolicy;
use crate::context::Context;
use crate::topics;

impl CaseStage {
    /// Makes the case, and then applies what was parked, in order of arrival.
    pub(super) fn create(&mut self, given: Given<'_>, output: &mut Output) {
        let command = given.command;
        let created = command.created.unwrap_or_default();
        let row = CaseState {
            created,
            updated: created,
            case_details_uri: command.case_details_uri.clone().unwrap_or_default(),
            consumers: command.consumers.clone(),
            ..CaseState::of(command.case_id, command.origin.clone())
        };
        let mut living = LivingCase { row, remembered: Vec::new() };
        self.applied(&mut living, given, NotificationType::Created, output);
        for parked in self.take_parked(command.case_id, &command.origin) {
            let given = given_of(&parked, given.now);
            output.set_headers(given.source.headers);
            if !living.remembered.iter().any(|known| known.command_id == parked.command.command_id) {
                self.change_case(&mut living, given, output);
            }
        }
        output.set_headers(given.source.headers);
        self.store(living, output);
    }

    /// A command for a living case of its origin that the case does not remember.
    pub(super) fn judge_living(&mut self, given: Given<'_>, mut living: LivingCase, output: &mut Output) {
        match given.command.queue {
            Queue::Create => {
                remember(&mut living, given.command, CommandStatus::Rejected);
                let text = format!("the case {} exists already", given.command.case_id);
                self.cases.put(living.row.id, living);
                self.reject(given, "AlreadyExists", &text, output);
            }
            Queue::Update | Queue::Close => {
                let before = living.row.version;
                self.change_case(&mut living, given, output);
                if living.row.version == before {
                    self.cases.put(living.row.id, living);
                } else {
                    self.store(living, output);
                }
            }
            Queue::Delete => self.delete(given, &living, output),
        }
    }

    /// Applies an update or close command.
    fn change_case(&mut self, living: &mut LivingCase, given: Given<'_>, output: &mut Output) {
        let command = given.command;
        if command.queue == Queue::Close && living.row.status == CaseStatus::Closed {
            remember(living, command, CommandStatus::Unchanged);
            self.conclude(given, Verdict::of(CommandStatus::Unchanged), output);
            return;
        }
        let row = &mut living.row;
        if let Some(updated) = command.updated {
            row.updated = match self.context.settings.updated {
                UpdatedPolicy::Max => row.updated.max(updated),
                UpdatedPolicy::Overwrite => updated,
            };
        }
        if command.queue == Queue::Close {
            row.status = CaseStatus::Closed;
            self.applied(living, given, NotificationType::Closed, output);
            return;
        }
        if let Some(uri) = &command.case_details_uri {
            row.case_details_uri.clone_from(uri);
        }
        if command.consumers.is_some() || command.any_consumer {
            row.consumers.clone_from(&command.consumers);
        }
        self.applied(living, given, NotificationType::Updated, output);
    }

    /// Remembers an applied command and sends its notification to those who see the case from now on.
    fn applied(&mut self, living: &mut LivingCase, given: Given<'_>, kind: NotificationType, output: &mut Output) {
        living.row.version += 1;
        remember(living, given.command, CommandStatus::Applied);
        let clients = self.granted.audience(&living.row);
        self.notify(&living.row, given.command, kind, &clients, output);
        self.conclude(given, Verdict::of(CommandStatus::Applied), output);
    }

    fn store(&mut self, living: LivingCase, output: &mut Output) {
        self.context.send(output, &topics::STATE, &living.row.id.to_string(), &living.row);
        self.cases.put(living.row.id, living);
    }

    fn delete(&mut self, given: Given<'_>, living: &LivingCase, output: &mut Output) {
        let clients = self.granted.audience(&living.row);
        self.cases.delete(living.row.id);
        output.tombstone(&topics::STATE, living.row.id.to_string().as_bytes());
        self.notify(&living.row, given.command, NotificationType::Deleted, &clients, output);
        self.bury(given, clients, output);
        self.conclude(given, Verdict::of(CommandStatus::Applied), output);
    }

    /// Sends one record to each partition that has clients to notify.
    fn notify(
        &self,
        row: &CaseState,
        command: &Command,
        kind: NotificationType,
        clients: &[ClientName],
        output: &mut Output,
    ) {
        let is_deleted = kind == NotificationType::Deleted;
        let id = MessageId::of(&command.origin, command.case_id, command.command_id);
        let notification = Notification {
            notification_type: kind,
            case_details_uri: (!is_deleted).then(|| row.case_details_uri.clone()),
            event_time: command.event_time.or(command.created).or(command.updated),
            ..Notification::of(id, row.id, row.origin_system.clone())
        };
        let count = output.partition_count(&topics::CLIENT);
        let mut by_partition = vec![Vec::new(); count.max(0) as usize];
        for client in clients {
            let partition = Context::partition_of_client(output, &topics::CLIENT, client);
            by_partition[partition as usize].push(client.clone());
        }
        for (partition, clients) in by_partition.into_iter().enumerate().filter(|(_, clients)| !clients.is_empty()) {
            let due = NotificationDue { clients, notification: notification.clone() };
            self.context.send_to(output, &topics::CLIENT, partition as i32, row.id.as_bytes(), &due);
        }
    }
}

/// Remembers the last commands, and always the first one: a repeat of the create command is no second create command.
fn remember(living: &mut LivingCase, command: &Command, status: CommandStatus) {
    if living.remembered.len() >= REMEMBERED {
        living.remembered.remove(1);
    }
    living.remembered.push(RememberedCommand { status, ..RememberedCommand::of(command.command_id) });
}
