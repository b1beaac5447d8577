//! `tributary config`: shows or checks the configuration.

use tributary_flow::{Failure, print};

use crate::cli::ConfigCommand;
use crate::configuration::{Configuration, explained_defaults};
use crate::flows::Flows;

/// Executes the command.
pub(crate) fn execute(flows: Flows, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show(options) => match &options.config {
            None => print(&explained_defaults(flows)),
            file => print(&Configuration::load(flows, file.as_deref())?.to_toml()?),
        },
        ConfigCommand::Check(options) => {
            Configuration::load(flows, options.config.as_deref())?;
            let file = options.config.as_ref().map(|file| file.display().to_string());
            print(&format!("{}: all entries are right\n", file.as_deref().unwrap_or("built-in settings")))
        }
    }
}
