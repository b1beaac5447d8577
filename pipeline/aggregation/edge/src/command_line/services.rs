//! The services: those that a running service offers, and descriptors that are not in use yet.

use std::path::PathBuf;

use clap::{ArgMatches, Command};
use serde_json::{Value, json};
use tributary_aggregation::descriptor::Descriptor;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, table};

use super::{Answer, file, text_of};
use crate::settings::read_descriptor;

pub(super) fn command() -> Command {
    Command::new("services").about("The services and their descriptors").subcommands([
        Command::new("list").about("Show the services that a running service offers"),
        Command::new("check").about("Check the descriptor of a service").arg(file("file").required(true)),
    ])
}

pub(super) fn listed(service: &ServiceClient) -> Result<Answer, Failure> {
    let document = service.get("/api/aggregation/services", &[])?;
    let row = |one: &Value| ["name", "path", "contract"].map(|key| text_of(&one[key])).to_vec();
    let rows: Vec<Vec<String>> = document.as_array().into_iter().flatten().map(row).collect();
    let text = table::lines(&["name", "path", "contract"], &rows, 3).join("\n");
    Ok(Answer { document, text })
}

/// Checks a descriptor. A wrong one is refused with line and what was expected.
pub(super) fn checked(options: &ArgMatches) -> Result<Answer, Failure> {
    let path = options.get_one::<PathBuf>("file").ok_or_else(|| Failure::refused("no file is given: see --help"))?;
    let unreadable = |error| Failure::refused(format!("cannot read {}: {error}", path.display()));
    let source = read_descriptor(path).map_err(unreadable)?;
    let descriptor = Descriptor::read(&source).map_err(Failure::refused)?;
    let Descriptor { name, path, contract, .. } = &descriptor;
    let text = format!("{name} is right: it serves {contract} at {path}");
    Ok(Answer { document: json!({"name": name, "path": path, "contract": contract}), text })
}
