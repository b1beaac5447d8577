//! `tributary config`: shows or checks the configuration.

use tributary_flow::{Failure, print};

use crate::cli::ConfigCommand;
use crate::configuration::{Configuration, explained_defaults};

/// Executes the command.
pub(crate) fn execute(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show(options) => match &options.config {
            None => print(&explained_defaults()),
            file => print(&Configuration::load(file.as_deref())?.to_toml()?),
        },
        ConfigCommand::Check(options) => {
            Configuration::load(options.config.as_deref())?;
            let file = options.config.as_ref().map(|file| file.display().to_string());
            print(&format!("{}: all entries are right\n", file.as_deref().unwrap_or("built-in settings")))
        }
    }
}
