//! What other programs and people rely on: commands and options, settings, metrics. Additions are free. What goes away or
//! is renamed keeps its old name for two releases.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Command;

use crate::cli;
use crate::configuration::Configuration;
use crate::flows::FLOWS;

const HINT: &str =
    "TRIBUTARY_GOLDEN=write writes pipeline/tributary/surface.txt; read the difference before you commit it";

/// One line for each command, option and positional argument, with the values that an option takes.
fn commands(command: &Command, path: &str, lines: &mut BTreeSet<String>) {
    lines.insert(format!("command {path}"));
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let name = match argument.get_long() {
            Some(long) => format!("--{long}"),
            None => argument.get_id().to_string().to_uppercase(),
        };
        lines.insert(format!("command {path} {name}"));
        for alias in argument.get_visible_aliases().unwrap_or_default() {
            lines.insert(format!("command {path} --{alias}"));
        }
        for value in argument.get_possible_values() {
            lines.insert(format!("command {path} {name} {}", value.get_name()));
        }
    }
    for inner in command.get_subcommands() {
        commands(inner, &format!("{path} {}", inner.get_name()), lines);
    }
}

fn settings(table: &toml::Table, path: &str, lines: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            toml::Value::Table(inner) => settings(inner, &path, lines),
            _ => drop(lines.insert(format!("setting {path}"))),
        }
    }
}

fn surface() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    commands(&cli::command(FLOWS), "tributary", &mut lines);
    let effective = Configuration::load(FLOWS, None).unwrap().to_toml().unwrap();
    settings(&effective.parse().unwrap(), "", &mut lines);
    lines.extend(tributary_runtime::metrics::ALL.iter().map(|metric| format!("metric {}", metric.name)));
    lines
}

#[test]
fn nothing_that_others_rely_on_goes_away() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("surface.txt");
    let now = surface();
    if std::env::var("TRIBUTARY_GOLDEN").is_ok_and(|value| value == "write") {
        let lines: Vec<&str> = now.iter().map(String::as_str).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let released = std::fs::read_to_string(&path).unwrap_or_default();
    let released: BTreeSet<String> = released.lines().map(str::to_owned).collect();
    let gone: Vec<&String> = released.difference(&now).collect();
    assert!(gone.is_empty(), "these went away: {gone:#?}");
    let added: Vec<&String> = now.difference(&released).collect();
    assert!(added.is_empty(), "these are new: {added:#?}\n{HINT}");
}
