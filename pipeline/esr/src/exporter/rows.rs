//! Rows of APP and NOT files, column by column (5.4, D52).

use tributary_schemas::Date;
use tributary_schemas::records::esr::{Applicant, Notification};

use crate::format::{ApplicantRow, NotificationRow, Templates, Value, WriteWarning, WrittenLine};

/// An APP row.
pub(super) fn applicant(templates: &Templates, applicant: &Applicant, effective_date: Date) -> WrittenLine {
    templates.applicant(&columns(applicant, effective_date))
}

/// The first mandatory column of the APP row whose value would not be written unchanged.
pub(super) fn incomplete(templates: &Templates, applicant: &Applicant, effective_date: Date) -> Option<WriteWarning> {
    templates.incomplete_applicant(&columns(applicant, effective_date))
}

fn columns(applicant: &Applicant, effective_date: Date) -> ApplicantRow<'_> {
    let [first, second] = professional_bodies(applicant);
    ApplicantRow {
        dpn: Value::Text(applicant.dpn.as_str()),
        position_id: Value::Number(applicant.position_id.0),
        position_number: Value::Text(&applicant.position_number),
        effective_date: date(Some(effective_date)),
        projected_hire_date: date(Some(applicant.projected_hire_date)),
        projected_end_date: date(applicant.projected_end_date),
        title: Value::Text(&applicant.title),
        last_name: Value::Text(&applicant.last_name),
        first_name: Value::Text(&applicant.first_name),
        previous_last_name: Value::Text(&applicant.previous_last_name),
        date_of_birth: date(applicant.date_of_birth),
        gender: Value::Text(&applicant.gender),
        marital_status: Value::Text(&applicant.marital_status),
        email: Value::Text(&applicant.email),
        home_telephone: Value::Text(&applicant.home_telephone),
        mobile_telephone: Value::Text(&applicant.mobile_telephone),
        address_1: Value::Text(&applicant.address1),
        address_2: Value::Text(&applicant.address2),
        address_3: Value::Text(&applicant.address3),
        town: Value::Text(&applicant.town),
        postcode: Value::Text(&applicant.postcode),
        country: Value::Text(&applicant.country),
        ethnic_origin: Value::Text(&applicant.ethnic_origin),
        nationality: Value::Text(&applicant.nationality),
        national_insurance_number: Value::Text(&applicant.national_insurance_number),
        religious_belief: Value::Text(&applicant.religious_belief),
        sexual_orientation: Value::Text(&applicant.sexual_orientation),
        disability: Value::Text(&applicant.disability),
        professional_body_1: Value::Text(first.name),
        registration_number_1: Value::Text(first.number),
        registration_expiry_1: date(first.expiry),
        professional_body_2: Value::Text(second.name),
        registration_number_2: Value::Text(second.number),
        registration_expiry_2: date(second.expiry),
    }
}

#[derive(Clone, Copy, Default)]
struct Registration<'a> {
    name: &'static str,
    number: &'a str,
    expiry: Option<Date>,
}

/// GMC, then GDC, in the first free slots (D23).
fn professional_bodies(applicant: &Applicant) -> [Registration<'_>; 2] {
    let gmc =
        Registration { name: "General Medical Council", number: &applicant.gmc_number, expiry: applicant.gmc_expiry };
    let gdc =
        Registration { name: "General Dental Council", number: &applicant.gdc_number, expiry: applicant.gdc_expiry };
    let mut held = [gmc, gdc].into_iter().filter(|body| !body.number.is_empty());
    [held.next().unwrap_or_default(), held.next().unwrap_or_default()]
}

/// A NOT row.
pub(super) fn notification(templates: &Templates, row: &Notification) -> WrittenLine {
    templates.notification(&NotificationRow {
        notification_type: Value::Number(i32::from(row.notification_type).into()),
        dpn: Value::Text(row.dpn.as_str()),
        managing_office: Value::Text(row.office.as_str()),
        current_last_name: Value::Text(&row.current_trainee_last_name),
        current_first_name: Value::Text(&row.current_trainee_first_name),
        current_gmc_number: Value::Text(&row.current_trainee_gmc_number),
        current_projected_end_date: date(row.current_trainee_projected_end_date),
        current_next_site: Value::Text(&row.current_trainee_vpd_for_next_placement),
        current_working_hours: Value::Text(&row.current_trainee_working_hours_indicator),
        next_last_name: Value::Text(&row.next_trainee_last_name),
        next_first_name: Value::Text(&row.next_trainee_first_name),
        next_gmc_number: Value::Text(&row.next_trainee_gmc_number),
        next_current_site: Value::Text(&row.next_trainee_current_placement_vpd),
        next_projected_start_date: date(row.next_trainee_projected_start_date),
        next_email: Value::Text(&row.next_trainee_email_address),
        next_grade: Value::Text(&row.next_trainee_grade),
        withdrawn_last_name: Value::Text(&row.withdrawn_trainee_last_name),
        withdrawn_first_name: Value::Text(&row.withdrawn_trainee_first_name),
        withdrawn_gmc_number: Value::Text(&row.withdrawn_trainee_gmc_number),
        withdrawal_reason: Value::Text(&row.withdrawal_reason),
        change_of_hire_date: date(row.change_of_projected_hire_date),
        change_of_end_date: date(row.change_of_projected_end_date),
        next_working_hours: Value::Text(&row.working_hour_indicator),
        vacant_at_next_rotation: Value::Text(if row.post_vacant_at_next_rotation { "Y" } else { "N" }),
    })
}

fn date(date: Option<Date>) -> Value<'static> {
    date.map_or(Value::Empty, |date| Value::Date(date.to_civil()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_schemas::types::esr::Office;

    use super::*;
    use crate::configuration::EsrSettings;
    use crate::format::value::parse_date;

    fn templates() -> Templates {
        EsrSettings::load(None, &|_| Err("no files here".to_owned())).unwrap().templates()
    }

    fn office() -> Office {
        "EOE".parse().unwrap()
    }

    fn column(line: &WrittenLine, number: usize) -> Option<Date> {
        parse_date(line.text.split(',').nth(number - 1).unwrap()).map(Date::from_civil)
    }

    /// Any date, often one at an end of the range.
    fn any_date() -> impl Strategy<Value = Date> {
        let ends = [Date::FIRST.0, Date::FIRST.0 + 1, Date::LAST.0 - 1, Date::LAST.0, 0, -1];
        prop_oneof![proptest::sample::select(ends.to_vec()), Date::FIRST.0..=Date::LAST.0].prop_map(Date)
    }

    proptest! {
        #[test]
        fn f07_d115_every_date_is_written_as_it_came_in_every_column(dates in prop::array::uniform6(any_date())) {
            let templates = templates();
            let [effective, hire, end, born, gmc, gdc] = dates;
            let row = Applicant {
                projected_hire_date: hire,
                projected_end_date: Some(end),
                date_of_birth: Some(born),
                gmc_number: "7000001".to_owned(),
                gmc_expiry: Some(gmc),
                gdc_number: "D1".to_owned(),
                gdc_expiry: Some(gdc),
                ..Applicant::of(office())
            };
            let line = applicant(&templates, &row, effective);
            prop_assert_eq!([7, 8, 9, 15, 38, 41].map(|number| column(&line, number)), dates.map(Some));
            let row = Notification {
                current_trainee_projected_end_date: Some(hire),
                next_trainee_projected_start_date: Some(end),
                change_of_projected_hire_date: Some(born),
                change_of_projected_end_date: Some(gmc),
                ..Notification::of(office())
            };
            let line = notification(&templates, &row);
            prop_assert_eq!([12, 19, 31, 32].map(|number| column(&line, number)), [hire, end, born, gmc].map(Some));
        }
    }
}
