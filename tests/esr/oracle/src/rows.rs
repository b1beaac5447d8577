//! Lines of the files we write: quoting (2.2), header and trailer (2.4).

use jiff::civil::Date;

/// One column: bare (record type, number, date) or text in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Bare(String),
    Text(String),
}

pub(crate) fn bare(text: impl Into<String>) -> Cell {
    Cell::Bare(text.into())
}

pub(crate) fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// `YYYYMMDD`, or nothing.
pub(crate) fn date(date: Option<Date>) -> Cell {
    Cell::Bare(plain_date(date))
}

pub(crate) fn plain_date(date: Option<Date>) -> String {
    date.map(|date| date.strftime("%Y%m%d").to_string()).unwrap_or_default()
}

/// A line without its end.
pub(crate) fn line(cells: &[Cell]) -> String {
    let columns: Vec<String> = cells
        .iter()
        .map(|cell| match cell {
            Cell::Bare(text) => text.clone(),
            Cell::Text(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        })
        .collect();
    columns.join(",")
}

/// The whole file; the trailer counts every line.
pub(crate) fn frame(name: &str, office: &str, previous: &str, now: &str, rows: &[String]) -> String {
    let mut lines =
        vec![line(&[bare("HDR"), text(name), bare(now), text(office), bare(previous), bare(now), text("01")])];
    lines.extend(rows.iter().cloned());
    lines.push(format!("TRL,{}", rows.len() + 2));
    lines.join("\n") + "\n"
}
