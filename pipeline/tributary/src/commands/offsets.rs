//! `tributary offsets reset`: shows where groups are in their inboxes, and decides where they continue.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tributary_connectors::kafka::{OffsetReset, PartitionReset, ResetInbox, ResetTo, StateOffset};
use tributary_flow::declaration::Declaration;
use tributary_flow::{Failure, Flow, json_text, log_failure, print, table};

use crate::cli::{LogKind, OffsetsCommand, OutputForm, ResetOptions};
use crate::configuration::Configuration;
use crate::flows::Flows;
use crate::process::flows_of_namespace;
use crate::settings::{self, Registry};

const HEADING: [&str; 8] =
    ["group", "topic", "partition", "committed", "log start", "log end", "state's offset", "would become"];

/// Executes the command.
pub(crate) fn execute(flows: Flows, command: &OffsetsCommand) -> Result<(), Failure> {
    let OffsetsCommand::Reset(options) = command;
    let configuration = Configuration::load(flows, options.config.as_deref())?;
    let kind = options.log.unwrap_or(match options.kafka.kafka {
        Some(_) => LogKind::Kafka,
        None => configuration.process.log.kind,
    });
    if kind == LogKind::Embedded {
        let text = "the embedded log keeps offsets and state in one transaction, so there is nothing to reset; for \
                    Kafka, add --log kafka --kafka HOST:PORT";
        return Err(Failure::refused(text));
    }
    let kafka = settings::kafka_settings(&options.kafka, &configuration.process.kafka, Registry::NotNeeded)?;
    let mut declarations: Vec<&'static Declaration> = flows.iter().map(Flow::declaration).collect();
    if options.flow.is_none() {
        declarations = flows_of_namespace(
            &kafka,
            &declarations,
            settings::partitions(configuration.process.log.partitions, true),
        )?;
    }
    let inboxes = inboxes(&declarations, options, &kafka.cluster.name(""))?;
    if matches!(options.to, ResetTo::Offset(_)) && (inboxes.len() > 1 || options.partition.is_none()) {
        let text = "an offset is that of one partition: name it with --topic and --partition (and --group, if several \
                    groups read the topic)";
        return Err(Failure::refused(text));
    }
    let plan = OffsetReset::plan(&kafka.cluster, &inboxes, options.partition, options.to).map_err(log_failure)?;
    let refused = plan.partitions().iter().any(|partition| partition.target.is_err());
    let applied = if options.yes && !refused { Some(plan.apply().map_err(log_failure)) } else { None };
    print(&match options.output {
        OutputForm::Text => text(&plan, outcome(options.yes, refused, applied.as_ref())),
        OutputForm::Json => document(&plan, matches!(applied, Some(Ok(()))))?,
    })?;
    if refused {
        return Err(Failure::refused("nothing was changed: see the reasons in the plan"));
    }
    applied.unwrap_or(Ok(()))
}

/// The inboxes that the options name.
fn inboxes(flows: &[&'static Declaration], options: &ResetOptions, prefix: &str) -> Result<Vec<ResetInbox>, Failure> {
    let topic = options.topic.as_deref().map(|name| name.strip_prefix(prefix).unwrap_or(name));
    let is_named = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| wanted == name);
    let (mut named, mut known) = (Vec::new(), Vec::new());
    for flow in flows {
        for group in flow.groups {
            for stage in group.stages {
                known.push(format!("--flow {} --group {} --topic {}", flow.name, group.name, stage.inbox.name));
                if is_named(options.flow.as_deref(), flow.name)
                    && is_named(options.group.as_deref(), group.name)
                    && is_named(topic, stage.inbox.name)
                {
                    named.push(ResetInbox { group: group.name, inbox: stage.inbox, changelog: stage.changelog });
                }
            }
        }
    }
    if named.is_empty() {
        return Err(Failure::refused(format!("no group has that inbox; there are:\n{}", known.join("\n"))));
    }
    Ok(named)
}

fn text(plan: &OffsetReset, outcome: &str) -> String {
    let rows: Vec<Vec<String>> = plan.partitions().iter().map(row).collect();
    let mut text = table::lines(&HEADING, &rows, 2).join("\n");
    text.push('\n');
    for partition in plan.partitions() {
        if let Err(reason) = &partition.target {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}-{}: {reason}", partition.of.inbox.name, partition.partition);
        }
    }
    for (group, members) in plan.members().iter().filter(|(_, members)| !members.is_empty()) {
        let _ = writeln!(text, "group {group} has members, so it cannot be changed now: {}", members.join(", "));
    }
    text.push_str(outcome);
    text
}

/// What became of the plan, as its last line.
fn outcome(is_confirmed: bool, is_refused: bool, applied: Option<&Result<(), Failure>>) -> &'static str {
    match applied {
        Some(Ok(())) => "applied\n",
        // The error that follows says what was changed.
        Some(Err(_)) => "not finished\n",
        None if is_refused || is_confirmed => "nothing was changed\n",
        None => "nothing was changed; add --yes to apply\n",
    }
}

fn row(partition: &PartitionReset) -> Vec<String> {
    let none = || "-".to_owned();
    let target = match &partition.target {
        Ok(target) => target.map_or_else(none, |target| target.to_string()),
        Err(_) => "refused".to_owned(),
    };
    vec![
        partition.of.group.to_owned(),
        partition.of.inbox.name.to_owned(),
        partition.partition.to_string(),
        partition.committed.map_or_else(none, |offset| offset.to_string()),
        partition.start.to_string(),
        partition.end.to_string(),
        match partition.state {
            StateOffset::Empty => none(),
            StateOffset::UpTo(offset) => offset.to_string(),
            StateOffset::Unknown => "unknown".to_owned(),
        },
        target,
    ]
}

fn document(plan: &OffsetReset, is_applied: bool) -> Result<String, Failure> {
    let partitions: Vec<Value> = plan.partitions().iter().map(partition_document).collect();
    let members: Vec<Value> =
        plan.members().iter().map(|(group, members)| json!({"group": group, "members": members})).collect();
    let document = json!({"applied": is_applied, "groups": members, "partitions": partitions});
    json_text(&document)
}

fn partition_document(partition: &PartitionReset) -> Value {
    let (state, state_is_known) = match partition.state {
        StateOffset::Empty => (None, true),
        StateOffset::UpTo(offset) => (Some(offset), true),
        StateOffset::Unknown => (None, false),
    };
    json!({
        "group": partition.of.group,
        "topic": partition.of.inbox.name,
        "partition": partition.partition,
        "committed": partition.committed,
        "start": partition.start,
        "end": partition.end,
        "state": state,
        "state_is_known": state_is_known,
        "target": partition.target.as_ref().ok().copied().flatten(),
        "refused": partition.target.as_ref().err(),
    })
}
