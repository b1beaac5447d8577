//! `tributary esr ...`: commands that ask a running service, and commands that act.

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use tributary_esr::views;
use tributary_flow::declaration::View;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, Site, json_text, print, table};

use crate::admin;

/// A command that lists a view.
struct Listing {
    view: &'static View,
    about: &'static str,
    /// Headings and entries of the columns; the first `left` are texts.
    columns: &'static [(&'static str, &'static str)],
    left: usize,
}

const LISTINGS: [Listing; 3] = [
    Listing {
        view: &views::FILES,
        about: "What became of each file",
        columns: &[
            ("file", "name"),
            ("office", "office"),
            ("type", "type"),
            ("status", "status"),
            ("at", "at"),
            ("rows", "rows"),
        ],
        left: 5,
    },
    Listing {
        view: &views::OFFICES,
        about: "Applicant records of each office, by state",
        columns: &[
            ("office", "office"),
            ("to export", "to_export"),
            ("pending", "pending"),
            ("exported", "exported"),
            ("invalid", "invalid_data"),
            ("deleted", "deleted_before_export"),
            ("missed", "missed_window"),
        ],
        left: 1,
    },
    Listing {
        view: &views::ALERTS,
        about: "What a person should see, the newest first",
        columns: &[("at", "at"), ("severity", "severity"), ("code", "code"), ("subject", "subject"), ("text", "text")],
        left: 5,
    },
];

/// The commands.
pub(crate) fn all() -> Vec<Command> {
    let limit = || {
        Arg::new("limit")
            .long("limit")
            .value_name("NUMBER")
            .value_parser(value_parser!(u32).range(1..))
            .help("At most this number of entries [default: all]")
    };
    let listings = LISTINGS.iter().map(|listing| Command::new(listing.view.name).about(listing.about).arg(limit()));
    listings.chain(admin::commands()).collect()
}

/// Does one of them.
///
/// # Errors
/// As [`ServiceClient::list`].
pub(crate) fn run(command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
    if let Some(done) = admin::run(command, options, site) {
        return done;
    }
    let Some(listing) = LISTINGS.iter().find(|listing| listing.view.name == command) else {
        return Err(Failure::refused(format!("the flow esr has no command {command}")));
    };
    let most = options.get_one::<u32>("limit").map_or(usize::MAX, |limit| *limit as usize);
    let answer = ServiceClient::of(site)?.list(&format!("/esr/{command}"), most)?;
    if site.as_json {
        let document = json!({ "as_of": answer.as_of, "items": answer.items });
        return print(&json_text(&document)?);
    }
    let heading: Vec<&str> = listing.columns.iter().map(|(heading, _)| *heading).collect();
    let rows: Vec<Vec<String>> = answer.items.iter().map(|item| row(listing, item)).collect();
    print(&(table::lines(&heading, &rows, listing.left).join("\n") + "\n"))?;
    if let Some(as_of) = answer.as_of {
        eprintln!("as of {as_of}");
    }
    Ok(())
}

fn row(listing: &Listing, item: &Value) -> Vec<String> {
    let cell = |entry: &str| match item.get(entry) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.as_u64().map_or_else(|| number.to_string(), table::number),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    listing.columns.iter().map(|(_, entry)| cell(entry)).collect()
}
