//! The records that we write, by the names of their columns, and their templates.

use jiff::civil::DateTime;

use super::layout::{Layouts, RecordType};
use super::name::FileName;
use super::write::{Encoding, LineEnd, LineTemplate, Value};

/// The columns of APP in the order in which [`Templates::applicant`] takes their values (columns 02 to 46 of 5.4).
pub const APPLICANT_COLUMNS: [&str; 45] = [
    "vacancy_id",
    "vacancy_reference",
    "dpn",
    "position_id",
    "position_number",
    "effective_date",
    "projected_hire_date",
    "projected_end_date",
    "title",
    "last_name",
    "first_name",
    "middle_names",
    "previous_last_name",
    "date_of_birth",
    "gender",
    "marital_status",
    "email",
    "home_telephone",
    "mobile_telephone",
    "address_1",
    "address_2",
    "address_3",
    "town",
    "county",
    "postcode",
    "country",
    "ethnic_origin",
    "nationality",
    "country_of_birth",
    "national_insurance_number",
    "national_training_number",
    "religious_belief",
    "sexual_orientation",
    "disability",
    "professional_body_1",
    "registration_number_1",
    "registration_expiry_1",
    "professional_body_2",
    "registration_number_2",
    "registration_expiry_2",
    "contact_last_name",
    "contact_first_name",
    "contact_title",
    "contact_gender",
    "contact_home_telephone",
];

/// The columns of NOT in the order in which [`Templates::notification`] takes their values (D52, columns 02 to 36).
pub const NOTIFICATION_COLUMNS: [&str; 35] = [
    "notification_type",
    "deanery_body",
    "dpn",
    "managing_office",
    "occupation_code",
    "host_lead_status",
    "new_training_position_location",
    "current_last_name",
    "current_first_name",
    "current_gmc_number",
    "current_projected_end_date",
    "current_next_site",
    "current_working_hours",
    "next_last_name",
    "next_first_name",
    "next_gmc_number",
    "next_current_site",
    "next_projected_start_date",
    "next_email",
    "next_grade",
    "withdrawn_last_name",
    "withdrawn_first_name",
    "withdrawn_gmc_number",
    "withdrawal_reason",
    "replacement_last_name",
    "replacement_first_name",
    "replacement_gmc_number",
    "replacement_current_site",
    "replacement_hire_date",
    "change_of_hire_date",
    "change_of_end_date",
    "post_speciality",
    "next_working_hours",
    "vacant_at_next_rotation",
    "rotation_post_delete_indicator",
];

/// The columns of RTC in the order in which [`Templates::confirmation`] takes their values (D53, columns 02 to 11).
pub const CONFIRMATION_COLUMNS: [&str; 10] = [
    "row_kind",
    "confirmed_type",
    "line_number",
    "record_id",
    "dpn",
    "status",
    "severity",
    "text",
    "received",
    "accepted",
];

const HEADER_COLUMNS: [&str; 5] = ["file_name", "created", "office", "previous_run", "this_run"];
const TRAILER_COLUMNS: [&str; 1] = ["count"];

/// Templates for all records that we write, made once from the layouts.
#[derive(Clone, Debug)]
pub struct Templates {
    /// Takes values in the order of [`APPLICANT_COLUMNS`].
    pub applicant: LineTemplate,
    /// Takes values in the order of [`NOTIFICATION_COLUMNS`].
    pub notification: LineTemplate,
    /// Takes values in the order of [`CONFIRMATION_COLUMNS`].
    pub confirmation: LineTemplate,
    header: LineTemplate,
    trailer: LineTemplate,
    /// How text outside ASCII is written.
    pub encoding: Encoding,
    /// How lines end.
    pub line_end: LineEnd,
}

impl Templates {
    /// Templates by these layouts.
    pub fn new(layouts: &Layouts, encoding: Encoding, line_end: LineEnd) -> Self {
        Self {
            applicant: LineTemplate::new(layouts.record(RecordType::App), &APPLICANT_COLUMNS),
            notification: LineTemplate::new(layouts.record(RecordType::Not), &NOTIFICATION_COLUMNS),
            confirmation: LineTemplate::new(layouts.record(RecordType::Rtc), &CONFIRMATION_COLUMNS),
            header: LineTemplate::new(layouts.record(RecordType::Hdr), &HEADER_COLUMNS),
            trailer: LineTemplate::new(layouts.record(RecordType::Trl), &TRAILER_COLUMNS),
            encoding,
            line_end,
        }
    }

    /// The header of a file, without line end (2.4, D51). `this_run` is the London time of the run.
    pub fn header(&self, name: &FileName, previous_run: Option<DateTime>, this_run: DateTime) -> String {
        let mut out = String::new();
        let file_name = name.to_string();
        let values = [
            Value::Text(&file_name),
            Value::Timestamp(this_run),
            Value::Text(name.office.as_str()),
            Value::from(previous_run),
            Value::Timestamp(this_run),
        ];
        self.header.write(self.encoding, &values, &mut out);
        out
    }

    /// The trailer of a file with that many records besides header and trailer, without line end.
    pub fn trailer(&self, rows: u64) -> String {
        let mut out = String::new();
        let count = (rows + 2).to_string();
        self.trailer.write(self.encoding, &[Value::Text(&count)], &mut out);
        out
    }
}
