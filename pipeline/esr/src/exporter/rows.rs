//! Rows of APP and NOT files, column by column (5.4, D52).

use tributary_schemas::Date;
use tributary_schemas::records::esr::{Applicant, Notification};

use crate::format::{Templates, Value};

/// An APP row. Values stand in the order of [`crate::format::rows::APPLICANT_COLUMNS`].
pub(super) fn applicant(templates: &Templates, applicant: &Applicant, effective_date: Date) -> String {
    let bodies = professional_bodies(applicant);
    let [first, second] = &bodies;
    let values = [
        Value::Empty,
        Value::Empty,
        Value::Text(&applicant.deanery_number),
        Value::Number(applicant.position_id.0),
        Value::Text(&applicant.position_number),
        date(Some(effective_date)),
        date(Some(applicant.projected_hire_date)),
        date(applicant.projected_end_date),
        Value::Text(&applicant.title),
        Value::Text(&applicant.last_name),
        Value::Text(&applicant.first_name),
        Value::Empty,
        Value::Text(&applicant.previous_last_name),
        date(applicant.date_of_birth),
        Value::Text(&applicant.gender),
        Value::Text(&applicant.marital_status),
        Value::Text(&applicant.email),
        Value::Text(&applicant.home_telephone),
        Value::Text(&applicant.mobile_telephone),
        Value::Text(&applicant.address1),
        Value::Text(&applicant.address2),
        Value::Text(&applicant.address3),
        Value::Text(&applicant.town),
        Value::Empty,
        Value::Text(&applicant.postcode),
        Value::Text(&applicant.country),
        Value::Text(&applicant.ethnic_origin),
        Value::Text(&applicant.nationality),
        Value::Empty,
        Value::Text(&applicant.national_insurance_number),
        Value::Empty,
        Value::Text(&applicant.religious_belief),
        Value::Text(&applicant.sexual_orientation),
        Value::Text(&applicant.disability),
        Value::Text(first.name),
        Value::Text(first.number),
        date(first.expiry),
        Value::Text(second.name),
        Value::Text(second.number),
        date(second.expiry),
        Value::Empty,
        Value::Empty,
        Value::Empty,
        Value::Empty,
        Value::Empty,
    ];
    let mut line = String::with_capacity(512);
    templates.applicant.write(templates.encoding, &values, &mut line);
    line
}

#[derive(Clone, Copy, Default)]
struct Registration<'a> {
    name: &'static str,
    number: &'a str,
    expiry: Option<Date>,
}

/// GMC then GDC, in the first free slots (D23).
fn professional_bodies(applicant: &Applicant) -> [Registration<'_>; 2] {
    let gmc =
        Registration { name: "General Medical Council", number: &applicant.gmc_number, expiry: applicant.gmc_expiry };
    let gdc =
        Registration { name: "General Dental Council", number: &applicant.gdc_number, expiry: applicant.gdc_expiry };
    let mut held = [gmc, gdc].into_iter().filter(|body| !body.number.is_empty());
    [held.next().unwrap_or_default(), held.next().unwrap_or_default()]
}

/// A NOT row. Values stand in the order of [`crate::format::rows::NOTIFICATION_COLUMNS`].
pub(super) fn notification(templates: &Templates, row: &Notification) -> String {
    let values = [
        Value::Number(i64::from(row.notification_type)),
        Value::Empty,
        Value::Text(&row.deanery_number),
        Value::Text(&row.office),
        Value::Empty,
        Value::Empty,
        Value::Empty,
        Value::Text(&row.current_trainee_last_name),
        Value::Text(&row.current_trainee_first_name),
        Value::Text(&row.current_trainee_gmc_number),
        date(row.current_trainee_projected_end_date),
        Value::Text(&row.current_trainee_vpd_for_next_placement),
        Value::Text(&row.current_trainee_working_hours_indicator),
        Value::Text(&row.next_trainee_last_name),
        Value::Text(&row.next_trainee_first_name),
        Value::Text(&row.next_trainee_gmc_number),
        Value::Text(&row.next_trainee_current_placement_vpd),
        date(row.next_trainee_projected_start_date),
        Value::Text(&row.next_trainee_email_address),
        Value::Text(&row.next_trainee_grade),
        Value::Text(&row.withdrawn_trainee_last_name),
        Value::Text(&row.withdrawn_trainee_first_name),
        Value::Text(&row.withdrawn_trainee_gmc_number),
        Value::Text(&row.withdrawal_reason),
        Value::Empty,
        Value::Empty,
        Value::Empty,
        Value::Empty,
        Value::Empty,
        date(row.change_of_projected_hire_date),
        date(row.change_of_projected_end_date),
        Value::Empty,
        Value::Text(&row.working_hour_indicator),
        Value::Text(if row.post_vacant_at_next_rotation { "Y" } else { "N" }),
        Value::Empty,
    ];
    let mut line = String::with_capacity(512);
    templates.notification.write(templates.encoding, &values, &mut line);
    line
}

fn date(date: Option<Date>) -> Value<'static> {
    date.map_or(Value::Empty, |date| Value::Date(date.to_civil()))
}
