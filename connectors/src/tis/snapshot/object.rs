//! One line of a snapshot as one object of TIS: the fields that the exchange uses, and what makes a line bad.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::{Map, Value};
use tributary_schemas::types::tis::Dpn;

use super::field::{Days, date, decimal, id, text, wrong};

/// A training post.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// TIS id.
    pub id: i64,
    /// The deanery post number.
    pub dpn: Dpn,
    /// Status.
    pub status: PostStatus,
    /// The local office that owns it.
    pub owner: Option<String>,
}

/// Status of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostStatus {
    /// In use.
    Current,
    /// Not in use now.
    Inactive,
    /// Marked as deleted.
    Delete,
}

/// A placement of a trainee in a post.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// TIS id.
    pub id: i64,
    /// TIS id of the person.
    pub trainee_id: i64,
    /// First name in the placement.
    pub trainee_first_name: Option<String>,
    /// Last name in the placement.
    pub trainee_last_name: Option<String>,
    /// GMC number in the placement.
    pub trainee_gmc_number: Option<String>,
    /// Number of the post. Without one it is empty: the placement then matches nothing.
    pub dpn: Dpn,
    /// TIS id of the post.
    pub post_id: Option<i64>,
    /// First day.
    pub date_from: Days,
    /// Last day. If it is missing, the placement covers every later day (D15).
    pub date_to: Option<Days>,
    /// Share of full time.
    pub whole_time_equivalent: Option<f64>,
    /// Code of the site.
    pub site_code: Option<String>,
    /// Known-as name of the site.
    pub site_name: Option<String>,
    /// Grade.
    pub grade_abbreviation: Option<String>,
    /// Placement type, as TIS writes it.
    pub placement_type: String,
    /// Draft or approved (A7).
    pub lifecycle_state: LifecycleState,
    /// The exports that TIS remembers (D14).
    pub esr_events: Vec<EsrEvent>,
}

/// Whether a placement is a draft or approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleState {
    /// Not yet approved.
    Draft,
    /// Approved.
    Approved,
}

/// What TIS remembers of an export of a placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EsrEvent {
    /// Position for which the placement was exported.
    pub position_id: i64,
    /// File in which it was exported.
    pub filename: Option<String>,
    /// `EXPORTED` or a later state.
    pub status: Option<String>,
}

/// A doctor in training. TIS nests the details as objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// TIS id.
    pub id: i64,
    /// Names, addresses and numbers.
    pub contact: ContactDetails,
    /// Birth, nationality and equality data.
    pub personal: PersonalDetails,
    /// Registration with the General Medical Council.
    pub gmc: GmcDetails,
    /// Registration with the General Dental Council.
    pub gdc: GdcDetails,
}

/// `contactDetails` of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContactDetails {
    /// Surname.
    #[serde(deserialize_with = "text")]
    pub surname: Option<String>,
    /// Legal surname, preferred.
    #[serde(deserialize_with = "text")]
    pub legal_surname: Option<String>,
    /// Forenames.
    #[serde(deserialize_with = "text")]
    pub forenames: Option<String>,
    /// Legal forenames, preferred.
    #[serde(deserialize_with = "text")]
    pub legal_forenames: Option<String>,
    /// Maiden name.
    #[serde(deserialize_with = "text")]
    pub maiden_name: Option<String>,
    /// Title.
    #[serde(deserialize_with = "text")]
    pub title: Option<String>,
    /// Home telephone.
    #[serde(deserialize_with = "text")]
    pub telephone_number: Option<String>,
    /// Mobile telephone.
    #[serde(deserialize_with = "text")]
    pub mobile_number: Option<String>,
    /// Private e-mail address.
    #[serde(deserialize_with = "text")]
    pub email: Option<String>,
    /// Address line 1.
    #[serde(deserialize_with = "text")]
    pub address1: Option<String>,
    /// Address line 2.
    #[serde(deserialize_with = "text")]
    pub address2: Option<String>,
    /// Address line 3.
    #[serde(deserialize_with = "text")]
    pub address3: Option<String>,
    /// Town.
    #[serde(deserialize_with = "text")]
    pub address4: Option<String>,
    /// Postcode.
    #[serde(deserialize_with = "text")]
    pub post_code: Option<String>,
    /// Country.
    #[serde(deserialize_with = "text")]
    pub country: Option<String>,
}

/// `personalDetails` of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersonalDetails {
    /// Marital status.
    #[serde(deserialize_with = "text")]
    pub marital_status: Option<String>,
    /// Date of birth.
    #[serde(deserialize_with = "date")]
    pub date_of_birth: Option<Days>,
    /// Gender.
    #[serde(deserialize_with = "text")]
    pub gender: Option<String>,
    /// Nationality.
    #[serde(deserialize_with = "text")]
    pub nationality: Option<String>,
    /// Sexual orientation.
    #[serde(deserialize_with = "text")]
    pub sexual_orientation: Option<String>,
    /// Religious belief.
    #[serde(deserialize_with = "text")]
    pub religious_belief: Option<String>,
    /// Ethnic origin.
    #[serde(deserialize_with = "text")]
    pub ethnic_origin: Option<String>,
    /// Disability, `YES` or `NO`.
    #[serde(deserialize_with = "text")]
    pub disability: Option<String>,
    /// National insurance number.
    #[serde(deserialize_with = "text")]
    pub national_insurance_number: Option<String>,
}

/// `gmcDetails` of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GmcDetails {
    /// GMC number; `UNKNOWN` means none.
    #[serde(deserialize_with = "text")]
    pub gmc_number: Option<String>,
    /// End of the registration.
    #[serde(deserialize_with = "date")]
    pub gmc_end_date: Option<Days>,
}

/// `gdcDetails` of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GdcDetails {
    /// GDC number; `UNKNOWN` means none.
    #[serde(deserialize_with = "text")]
    pub gdc_number: Option<String>,
    /// End of the registration.
    #[serde(deserialize_with = "date")]
    pub gdc_end_date: Option<Days>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LineFault {
    /// The faulty field, with dots between nested names. `None` if the whole line is faulty.
    pub(super) field: Option<String>,
    /// What is wrong.
    pub(super) reason: String,
}

/// An object that one line of a snapshot file holds.
pub(super) trait Object: Sized {
    /// Reads one line.
    fn from_line(line: &[u8]) -> Result<Self, LineFault>;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostLine {
    #[serde(default, deserialize_with = "id")]
    id: Option<i64>,
    #[serde(default, rename = "nationalPostNumber", deserialize_with = "text")]
    dpn: Option<String>,
    #[serde(default, deserialize_with = "post_status")]
    status: Option<PostStatus>,
    #[serde(default, deserialize_with = "text")]
    owner: Option<String>,
}

impl Object for Post {
    fn from_line(line: &[u8]) -> Result<Self, LineFault> {
        let line: PostLine = parse(line)?;
        Ok(Self {
            id: required("id", line.id)?,
            dpn: required("nationalPostNumber", line.dpn)?.into(),
            status: required("status", line.status)?,
            owner: line.owner,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlacementLine {
    #[serde(default, deserialize_with = "id")]
    id: Option<i64>,
    #[serde(default, deserialize_with = "id")]
    trainee_id: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    trainee_first_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    trainee_last_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    trainee_gmc_number: Option<String>,
    #[serde(default, rename = "nationalPostNumber", deserialize_with = "text")]
    dpn: Option<String>,
    #[serde(default, deserialize_with = "id")]
    post_id: Option<i64>,
    #[serde(default, deserialize_with = "date")]
    date_from: Option<Days>,
    #[serde(default, deserialize_with = "date")]
    date_to: Option<Days>,
    #[serde(default, deserialize_with = "decimal")]
    whole_time_equivalent: Option<f64>,
    #[serde(default, deserialize_with = "text")]
    site_code: Option<String>,
    #[serde(default, deserialize_with = "text")]
    site_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    grade_abbreviation: Option<String>,
    #[serde(default, deserialize_with = "text")]
    placement_type: Option<String>,
    #[serde(default, deserialize_with = "lifecycle_state")]
    lifecycle_state: Option<LifecycleState>,
    #[serde(default)]
    esr_events: Option<Vec<EsrEventLine>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EsrEventLine {
    #[serde(default, deserialize_with = "id")]
    position_id: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    filename: Option<String>,
    #[serde(default, deserialize_with = "text")]
    status: Option<String>,
}

impl Object for Placement {
    fn from_line(line: &[u8]) -> Result<Self, LineFault> {
        let line: PlacementLine = parse(line)?;
        Ok(Self {
            id: required("id", line.id)?,
            trainee_id: required("traineeId", line.trainee_id)?,
            trainee_first_name: line.trainee_first_name,
            trainee_last_name: line.trainee_last_name,
            trainee_gmc_number: line.trainee_gmc_number,
            dpn: line.dpn.unwrap_or_default().into(),
            post_id: line.post_id,
            date_from: required("dateFrom", line.date_from)?,
            date_to: line.date_to,
            whole_time_equivalent: line.whole_time_equivalent,
            site_code: line.site_code,
            site_name: line.site_name,
            grade_abbreviation: line.grade_abbreviation,
            placement_type: required("placementType", line.placement_type)?,
            lifecycle_state: required("lifecycleState", line.lifecycle_state)?,
            esr_events: line.esr_events.unwrap_or_default().into_iter().filter_map(esr_event).collect(),
        })
    }
}

/// An event without a position belongs to no position and is left out (D14).
fn esr_event(line: EsrEventLine) -> Option<EsrEvent> {
    Some(EsrEvent { position_id: line.position_id?, filename: line.filename, status: line.status })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersonLine {
    #[serde(default, deserialize_with = "id")]
    id: Option<i64>,
    #[serde(default)]
    contact_details: Option<ContactDetails>,
    #[serde(default)]
    personal_details: Option<PersonalDetails>,
    #[serde(default)]
    gmc_details: Option<GmcDetails>,
    #[serde(default)]
    gdc_details: Option<GdcDetails>,
}

impl Object for Person {
    fn from_line(line: &[u8]) -> Result<Self, LineFault> {
        let line: PersonLine = parse(line)?;
        Ok(Self {
            id: required("id", line.id)?,
            contact: line.contact_details.unwrap_or_default(),
            personal: line.personal_details.unwrap_or_default(),
            gmc: line.gmc_details.unwrap_or_default(),
            gdc: line.gdc_details.unwrap_or_default(),
        })
    }
}

fn post_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PostStatus>, D::Error> {
    const ALL: [(&str, PostStatus); 3] =
        [("CURRENT", PostStatus::Current), ("INACTIVE", PostStatus::Inactive), ("DELETE", PostStatus::Delete)];
    symbol(deserializer, &ALL, "CURRENT, INACTIVE or DELETE")
}

fn lifecycle_state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LifecycleState>, D::Error> {
    const ALL: [(&str, LifecycleState); 2] = [("DRAFT", LifecycleState::Draft), ("APPROVED", LifecycleState::Approved)];
    symbol(deserializer, &ALL, "DRAFT or APPROVED")
}

fn symbol<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    all: &[(&str, T)],
    expected: &str,
) -> Result<Option<T>, D::Error> {
    let Some(name) = text(deserializer)? else { return Ok(None) };
    let found = all.iter().find(|(symbol, _)| symbol.eq_ignore_ascii_case(name.trim()));
    found.map(|(_, value)| Some(*value)).ok_or_else(|| wrong(&name, expected))
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, LineFault> {
    value.ok_or_else(|| LineFault { field: Some(field.to_owned()), reason: "is missing or blank".to_owned() })
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineFault> {
    if line.first() == Some(&b'[') {
        // The parser would assign the values of an array to the fields in their order.
        return Err(LineFault { field: None, reason: "is not a JSON object".to_owned() });
    }
    serde_json::from_slice(line).map_err(|error| explain::<T>(line, &error))
}

/// Finds the faulty field. The parser reports a column but no field name, so each field of a bad line is parsed alone.
fn explain<T: DeserializeOwned>(line: &[u8], error: &serde_json::Error) -> LineFault {
    if std::str::from_utf8(line).is_err() {
        return LineFault { field: None, reason: "is not UTF-8".to_owned() };
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return LineFault { field: None, reason: format!("is not JSON: {error}") };
    };
    let Value::Object(fields) = value else {
        return LineFault { field: None, reason: "is not a JSON object".to_owned() };
    };
    culprit::<T>(&fields).unwrap_or_else(|| LineFault { field: None, reason: bare(error) })
}

fn culprit<T: DeserializeOwned>(fields: &Map<String, Value>) -> Option<LineFault> {
    for (name, value) in fields {
        let Err(error) = alone::<T>(name, value.clone()) else { continue };
        let nested = value.as_object().and_then(|inner| {
            inner.iter().find_map(|(inner_name, inner_value)| {
                let inner_alone = Map::from_iter([(inner_name.clone(), inner_value.clone())]);
                let error = alone::<T>(name, Value::Object(inner_alone)).err()?;
                Some(LineFault { field: Some(format!("{name}.{inner_name}")), reason: bare(&error) })
            })
        });
        return Some(nested.unwrap_or_else(|| LineFault { field: Some(name.clone()), reason: bare(&error) }));
    }
    None
}

fn alone<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(Map::from_iter([(name.to_owned(), value)])))
}

/// The parser's message without its position, which counts from the start of the line and does not help here.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

#[cfg(test)]
mod tests;
