//! `tributary upgrade`: the level of the namespace, who runs it, and the step after which there is no way back.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;
use tributary_connectors::kafka::NamedMember;
use tributary_flow::declaration::Declaration;
use tributary_flow::{Failure, Flow, LEVELS, json_text, log_failure, print, table};
use tributary_runtime::Level;
use tributary_schemas::records::tributary::GroupMember;

use crate::cli::{OutputForm, UpgradeCommand, UpgradeOptions};
use crate::configuration::Configuration;
use crate::flows::Flows;
use crate::process::{Control, ControlTopic, OpenLog, RELEASE, flows_of_namespace};
use crate::settings::Settings;

/// Executes the command.
pub(crate) fn execute(flows: Flows, command: &UpgradeCommand) -> Result<(), Failure> {
    let (UpgradeCommand::Status(options) | UpgradeCommand::Finalize { options, .. }) = command;
    let configuration = Configuration::load(flows, options.config.as_deref())?;
    let settings = Settings::new(&configuration.process, &options.log, options.state.clone())?;
    let mut declarations: Vec<&'static Declaration> = flows.iter().map(Flow::declaration).collect();
    if let Some(kafka) = &settings.kafka {
        declarations = flows_of_namespace(kafka, &declarations, settings.partitions)?;
    }
    let log = OpenLog::open_beside(&settings, &declarations)?;
    let codec = log.codec_of_control(&settings, &declarations)?;
    let flow_partitions = i32::from(settings.partitions);
    let topics: Vec<ControlTopic<'_>> =
        declarations.iter().map(|flow| ControlTopic { log: &log, codec: &codec, flow, flow_partitions }).collect();
    match command {
        UpgradeCommand::Status(_) => status(&topics, options),
        UpgradeCommand::Finalize { level, .. } => finalize(&topics, level.map_or(LEVELS.max, Level)),
    }?;
    log.sync().map_err(log_failure)
}

fn status(topics: &[ControlTopic<'_>], options: &UpgradeOptions) -> Result<(), Failure> {
    let status = Status::of(topics, LEVELS.max)?;
    print(&match options.output {
        OutputForm::Text => status.text(),
        OutputForm::Json => status.document()?,
    })
}

fn finalize(topics: &[ControlTopic<'_>], level: Level) -> Result<(), Failure> {
    if !LEVELS.contains(level) {
        let (min, max) = (LEVELS.min, LEVELS.max);
        return Err(Failure::refused(format!("this release ({RELEASE}) runs the levels {min} to {max}, not {level}")));
    }
    let (mut raised, mut has_started) = (false, false);
    for topic in topics {
        // A flow that has never run here gets the newest level when it does.
        let Some(now) = topic.read()?.level() else { continue };
        has_started = true;
        topic.finalize(level, |control| may_raise(control, &members(topic)?, level))?;
        raised |= now != level;
    }
    if !has_started {
        let names: Vec<&str> = topics.iter().map(|topic| topic.flow.control.name).collect();
        let names = names.join(", ");
        return Err(Failure::refused(format!(
            "no process has started in this namespace yet: there is no level in {names}"
        )));
    }
    let what = if raised { "is" } else { "was already" };
    print(&format!("the namespace {what} at level {level}\n"))
}

/// Refuses a level below that of the namespace, and one that a member cannot run. Returns the names of the members.
fn may_raise(control: &Control, members: &BTreeSet<NamedMember>, level: Level) -> Result<BTreeSet<String>, Failure> {
    if let Some(now) = control.level().filter(|now| *now > level) {
        return Err(Failure::refused(format!("the namespace is at level {now}, and a level never falls")));
    }
    let blocked = blocked_by(control, members, level);
    if blocked.is_empty() {
        return Ok(members.iter().filter_map(|member| member.instance.clone()).collect());
    }
    Err(Failure::refused(format!(
        "nothing was changed, the namespace cannot be raised to level {level}: {}",
        blocked.join("; ")
    )))
}

fn members(topic: &ControlTopic<'_>) -> Result<BTreeSet<NamedMember>, Failure> {
    topic.log.members(topic.flow).map_err(log_failure)
}

/// Why the namespace cannot be raised to `level`: one text for each member that cannot run it.
fn blocked_by(control: &Control, members: &BTreeSet<NamedMember>, level: Level) -> Vec<String> {
    let reason = |member: &NamedMember| {
        let known = member.instance.as_ref().and_then(|instance| control.members.get(instance));
        let Some(known) = known else {
            return Some(format!("{} is a member and has not said which levels it runs", member.name));
        };
        let (min, max) = (known.lowest_level, known.highest_level);
        let runs = (min..=max).contains(&(level.0 as i32));
        let (instance, release) = (&known.instance, &known.release);
        (!runs).then(|| format!("{instance} runs release {release} with the levels {min} to {max}"))
    };
    members.iter().filter_map(reason).collect()
}

/// What `upgrade status` shows, over all flows.
struct Status {
    /// The lowest level of the flows. `None` if no process has started yet.
    level: Option<Level>,
    /// The level that `upgrade finalize` raises the namespace to.
    available: Level,
    members: Vec<GroupMember>,
    blocked_by: Vec<String>,
}

impl Status {
    fn of(topics: &[ControlTopic<'_>], available: Level) -> Result<Self, Failure> {
        let mut status = Self { level: None, available, members: Vec::new(), blocked_by: Vec::new() };
        for topic in topics {
            let (control, members) = (topic.read()?, members(topic)?);
            let level = control.level();
            status.level = status.level.map_or(level, |lowest| Some(level.map_or(lowest, |level| level.min(lowest))));
            status.blocked_by.extend(blocked_by(&control, &members, available));
            let instances: BTreeSet<&String> = members.iter().filter_map(|member| member.instance.as_ref()).collect();
            status.members.extend(instances.into_iter().filter_map(|instance| control.members.get(instance).cloned()));
        }
        Ok(status)
    }

    fn text(&self) -> String {
        let mut text = match self.level {
            Some(level) => format!("level {level}, available {}\n", self.available),
            None => format!("no process has started yet, available {}\n", self.available),
        };
        if !self.members.is_empty() {
            let row = |member: &GroupMember| {
                let (min, max) = (member.lowest_level, member.highest_level);
                vec![member.instance.clone(), member.release.clone(), min.to_string(), max.to_string()]
            };
            let rows: Vec<Vec<String>> = self.members.iter().map(row).collect();
            text.push_str(&table::lines(&["instance", "version", "min", "max"], &rows, 2).join("\n"));
            text.push('\n');
        }
        for reason in &self.blocked_by {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "blocked: {reason}");
        }
        text
    }

    fn document(&self) -> Result<String, Failure> {
        let member = |member: &GroupMember| {
            json!({
                "instance": member.instance,
                "version": member.release,
                "min": member.lowest_level,
                "max": member.highest_level,
            })
        };
        let document = json!({
            "level": self.level.map(|level| level.0),
            "available": self.available.0,
            "members": self.members.iter().map(member).collect::<Vec<_>>(),
            "blocked_by": self.blocked_by,
        });
        json_text(&document)
    }
}

#[cfg(test)]
mod tests {
    use tributary_schemas::records::tributary::NamespaceLevel;

    use super::*;

    fn control(level: i32, members: &[(&str, i32, i32)]) -> Control {
        let member = |(instance, lowest_level, highest_level): &(&str, i32, i32)| {
            let (lowest_level, highest_level) = (*lowest_level, *highest_level);
            let instance = (*instance).to_owned();
            (instance.clone(), GroupMember { instance, release: "0.9.0".to_owned(), lowest_level, highest_level })
        };
        let level = NamespaceLevel { level, release: "0.9.0".to_owned() };
        Control { raised: Some(level), members: members.iter().map(member).collect() }
    }

    fn live(instances: &[Option<&str>]) -> BTreeSet<NamedMember> {
        let named = |instance: Option<&str>| NamedMember {
            instance: instance.map(str::to_owned),
            name: format!("{} at /127.0.0.1", instance.unwrap_or("kcat")),
        };
        instances.iter().copied().map(named).collect()
    }

    #[test]
    fn a_level_that_every_member_runs_may_be_raised() {
        let control = control(1, &[("a", 1, 2), ("b", 1, 3), ("gone", 1, 1)]);
        let members = may_raise(&control, &live(&[Some("a"), Some("b")]), Level(2)).unwrap();
        assert!(members.iter().eq(["a", "b"]), "{members:?}");
    }

    #[test]
    fn a_member_that_cannot_run_the_level_or_is_not_known_blocks_it() {
        let control = control(1, &[("a", 1, 2), ("old", 1, 1)]);
        let text = may_raise(&control, &live(&[Some("a"), Some("old"), None]), Level(2)).unwrap_err().to_string();
        assert!(text.contains("old runs release 0.9.0 with the levels 1 to 1"), "{text}");
        assert!(text.contains("kcat at /127.0.0.1 is a member and has not said"), "{text}");
        assert!(!text.contains("a runs release"), "{text}");
    }

    #[test]
    fn a_level_never_falls() {
        let error = may_raise(&control(3, &[]), &BTreeSet::new(), Level(2)).unwrap_err();
        assert_eq!(error.to_string(), "the namespace is at level 3, and a level never falls");
    }
}
