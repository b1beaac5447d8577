//! Value maps: from the words of TIS to the codes of ESR. The maps themselves are in `config/value-maps.toml`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use tributary_flow::configuration::{ConfigurationError, Override, Source, read};

/// The result of looking a value up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped<'m> {
    /// The code to write.
    Mapped(&'m str),
    /// The value is blank.
    Blank,
    /// The map does not contain the value. It is written blank, with a warning.
    Unmapped,
}

impl<'m> Mapped<'m> {
    /// The code. Empty if the value is not mapped.
    pub fn code(self) -> &'m str {
        match self {
            Self::Mapped(code) => code,
            Self::Blank | Self::Unmapped => "",
        }
    }

    /// Whether the value is not blank and the map does not contain it, which causes a warning.
    pub fn is_unmapped(self) -> bool {
        self == Self::Unmapped
    }
}

/// A map from words of TIS to codes of ESR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueMap {
    entries: BTreeMap<String, String>,
    folded: FxHashMap<String, String>,
}

impl ValueMap {
    fn new(entries: BTreeMap<String, String>) -> Self {
        let folded = entries.iter().map(|(from, to)| (fold(from), to.clone())).collect();
        Self { entries, folded }
    }

    /// Whether it has no entries, so that every value is written blank.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Looks a value up. Case and outer blanks are ignored.
    pub fn get(&self, text: &str) -> Mapped<'_> {
        let text = text.trim();
        if text.is_empty() {
            return Mapped::Blank;
        }
        // The map contains most values as TIS writes them, so the exact form comes first.
        let code = self.entries.get(text).or_else(|| self.folded.get(&fold(text)));
        code.map_or(Mapped::Unmapped, |code| Mapped::Mapped(code))
    }
}

fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// All outbound value maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMaps {
    /// Title, such as `DR.`.
    pub title: ValueMap,
    /// Gender, `M` or `F`.
    pub gender: ValueMap,
    /// Ethnic origin, a letter of the NHS Data Dictionary.
    pub ethnic_origin: ValueMap,
    /// Sexual orientation.
    pub sexual_orientation: ValueMap,
    /// Religious belief.
    pub religious_belief: ValueMap,
    /// Disability.
    pub disability: ValueMap,
    /// Marital status, one letter.
    pub marital_status: ValueMap,
    /// Nationality, ISO 3166 alpha-2.
    pub nationality: ValueMap,
    country: ValueMap,
}

impl ValueMaps {
    /// The version of the map format that this program reads.
    pub const VERSION: u32 = 1;

    /// The built-in maps, with the single entries of `user` over them.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("value-maps.toml", include_str!("../../config/value-maps.toml"));
        let raw: RawMaps = read(&defaults, user, Override::SingleKeys)?;
        if *raw.version.get_ref() != Self::VERSION {
            let problem = format!("expected version {}, found {}", Self::VERSION, raw.version.get_ref());
            return Err(user.unwrap_or(&defaults).error_at(raw.version.span().start, problem));
        }
        Ok(Self {
            title: ValueMap::new(raw.map.title),
            gender: ValueMap::new(raw.map.gender),
            ethnic_origin: ValueMap::new(raw.map.ethnic_origin),
            sexual_orientation: ValueMap::new(raw.map.sexual_orientation),
            religious_belief: ValueMap::new(raw.map.religious_belief),
            disability: ValueMap::new(raw.map.disability),
            marital_status: ValueMap::new(raw.map.marital_status),
            nationality: ValueMap::new(raw.map.nationality),
            country: ValueMap::new(raw.map.country),
        })
    }

    /// The country of an address as ISO code. A blank country counts as `GB` (D22).
    pub fn country(&self, text: &str) -> Mapped<'_> {
        match self.country.get(text) {
            Mapped::Blank => Mapped::Mapped("GB"),
            other => other,
        }
    }

    /// The maps as a TOML file that [`Self::load`] can read.
    pub fn to_toml(&self) -> String {
        let map = ShownTables {
            title: &self.title.entries,
            gender: &self.gender.entries,
            ethnic_origin: &self.ethnic_origin.entries,
            sexual_orientation: &self.sexual_orientation.entries,
            religious_belief: &self.religious_belief.entries,
            disability: &self.disability.entries,
            marital_status: &self.marital_status.entries,
            nationality: &self.nationality.entries,
            country: &self.country.entries,
        };
        toml::to_string_pretty(&ShownMaps { version: Self::VERSION, map }).unwrap_or_default()
    }
}

type Entries = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMaps {
    version: Spanned<u32>,
    map: RawTables,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTables {
    title: Entries,
    gender: Entries,
    ethnic_origin: Entries,
    sexual_orientation: Entries,
    religious_belief: Entries,
    disability: Entries,
    marital_status: Entries,
    nationality: Entries,
    country: Entries,
}

#[derive(Serialize)]
struct ShownMaps<'m> {
    version: u32,
    map: ShownTables<'m>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShownTables<'m> {
    title: &'m Entries,
    gender: &'m Entries,
    ethnic_origin: &'m Entries,
    sexual_orientation: &'m Entries,
    religious_belief: &'m Entries,
    disability: &'m Entries,
    marital_status: &'m Entries,
    nationality: &'m Entries,
    country: &'m Entries,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> ValueMaps {
        ValueMaps::load(None).unwrap()
    }

    #[test]
    fn a_value_is_found_without_regard_to_case_and_outer_blanks() {
        let maps = maps();
        assert_eq!(maps.title.get("Dr"), Mapped::Mapped("DR."));
        assert_eq!(maps.title.get("  pROFESSOR "), Mapped::Mapped("PROF"));
        assert_eq!(maps.gender.get("Female"), Mapped::Mapped("F"));
        assert_eq!(maps.marital_status.get("Civil partnership"), Mapped::Mapped("C"));
        assert_eq!(maps.nationality.get("Sri Lankan"), Mapped::Mapped("LK"));
        assert_eq!(maps.religious_belief.get("islam"), Mapped::Mapped("Islam"));
    }

    #[test]
    fn an_unmapped_value_is_told_apart_from_a_blank_one() {
        let maps = maps();
        assert_eq!(maps.gender.get("I prefer not to specify"), Mapped::Unmapped);
        assert_eq!(maps.gender.get("  "), Mapped::Blank);
        assert_eq!(Mapped::Unmapped.code(), "");
    }

    #[test]
    fn ethnic_origin_has_the_letters_of_the_data_dictionary_in_three_spellings() {
        let maps = maps();
        for spelling in ["White - British", "A - White - British", "White British", "white british"] {
            assert_eq!(maps.ethnic_origin.get(spelling), Mapped::Mapped("A"), "{spelling}");
        }
        for (text, letter) in [("Chinese", "R"), ("Not stated", "Z"), ("Any other ethnic group", "S")] {
            assert_eq!(maps.ethnic_origin.get(text), Mapped::Mapped(letter));
        }
        let letters: std::collections::BTreeSet<_> = maps.ethnic_origin.entries.values().cloned().collect();
        assert_eq!(letters.into_iter().collect::<String>(), "ABCDEFGHJKLMNPRSZ");
    }

    #[test]
    fn d22_a_blank_country_counts_as_gb() {
        let maps = maps();
        assert_eq!(maps.country(""), Mapped::Mapped("GB"));
        assert_eq!(maps.country("United Kingdom"), Mapped::Mapped("GB"));
        assert_eq!(maps.country("qatar"), Mapped::Mapped("QA"));
        assert_eq!(maps.country("Atlantis"), Mapped::Unmapped);
    }

    #[test]
    fn a_user_adds_and_changes_single_entries() {
        let user = Source::new("maps.toml", "[map.title]\nDr = \"DOC\"\nBaron = \"BARON\"\n");
        let maps = ValueMaps::load(Some(&user)).unwrap();
        assert_eq!(maps.title.get("dr"), Mapped::Mapped("DOC"));
        assert_eq!(maps.title.get("Baron"), Mapped::Mapped("BARON"));
        assert_eq!(maps.title.get("Miss"), Mapped::Mapped("MISS"));
        let shown = Source::new("shown.toml", maps.to_toml());
        assert_eq!(ValueMaps::load(Some(&shown)), Ok(maps));
    }

    #[test]
    fn a_wrong_map_is_reported_with_file_line_and_expectation() {
        for (text, message) in [
            ("[map.title]\nDr = 1\n", "maps.toml:2: expected a text, found integer `1`"),
            ("version = 9\n", "maps.toml:1: expected version 1, found 9"),
        ] {
            let error = ValueMaps::load(Some(&Source::new("maps.toml", text))).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
