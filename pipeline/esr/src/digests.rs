//! Digests that outlive a transaction. Each is over named columns, so a field that a record gains changes none of them
//! until it has a value. Another list of columns, or another form of one, needs another version, and is a change of
//! rule: it holds from a new level on.

use tributary_schemas::records::esr::{Applicant, Notification};
use tributary_schemas::records::tis::{Person, Placement, PlacementEsrEvent};
use tributary_schemas::types::tributary::{Columns, Digest};

const VERSION: u8 = 1;

/// Distinguishes the versions of an applicant record: all columns except the effective date (D20).
pub(crate) fn applicant_digest(applicant: &Applicant) -> Digest {
    let Applicant {
        placement_id,
        position_id,
        trainee_id,
        office,
        dpn,
        position_number,
        projected_hire_date,
        projected_end_date,
        title,
        last_name,
        first_name,
        previous_last_name,
        date_of_birth,
        gender,
        marital_status,
        email,
        home_telephone,
        mobile_telephone,
        address1,
        address2,
        address3,
        town,
        postcode,
        country,
        ethnic_origin,
        nationality,
        national_insurance_number,
        religious_belief,
        sexual_orientation,
        disability,
        gmc_number,
        gmc_expiry,
        gdc_number,
        gdc_expiry,
        sent_before: _,
        warnings: _,
    } = applicant;
    Columns::new(VERSION)
        .number("placementId", placement_id.0)
        .number("positionId", position_id.0)
        .number("traineeId", trainee_id.0)
        .text("office", office.as_str())
        .text("deaneryNumber", dpn.as_str())
        .text("positionNumber", position_number)
        .number("projectedHireDate", i64::from(projected_hire_date.0))
        .optional_number("projectedEndDate", projected_end_date.map(|date| i64::from(date.0)))
        .text("title", title)
        .text("lastName", last_name)
        .text("firstName", first_name)
        .text("previousLastName", previous_last_name)
        .optional_number("dateOfBirth", date_of_birth.map(|date| i64::from(date.0)))
        .text("gender", gender)
        .text("maritalStatus", marital_status)
        .text("email", email)
        .text("homeTelephone", home_telephone)
        .text("mobileTelephone", mobile_telephone)
        .text("address1", address1)
        .text("address2", address2)
        .text("address3", address3)
        .text("town", town)
        .text("postcode", postcode)
        .text("country", country)
        .text("ethnicOrigin", ethnic_origin)
        .text("nationality", nationality)
        .text("nationalInsuranceNumber", national_insurance_number)
        .text("religiousBelief", religious_belief)
        .text("sexualOrientation", sexual_orientation)
        .text("disability", disability)
        .text("gmcNumber", gmc_number)
        .optional_number("gmcExpiry", gmc_expiry.map(|date| i64::from(date.0)))
        .text("gdcNumber", gdc_number)
        .optional_number("gdcExpiry", gdc_expiry.map(|date| i64::from(date.0)))
        .digest()
}

/// Of all columns that are in the file. By it, D30 recognises a row that was sent before.
pub(crate) fn notification_digest(row: &Notification) -> Digest {
    let Notification {
        run: _,
        notification_type,
        office,
        dpn,
        placement_id: _,
        current_trainee_last_name,
        current_trainee_first_name,
        current_trainee_gmc_number,
        current_trainee_projected_end_date,
        current_trainee_vpd_for_next_placement,
        current_trainee_working_hours_indicator,
        next_trainee_last_name,
        next_trainee_first_name,
        next_trainee_gmc_number,
        next_trainee_current_placement_vpd,
        next_trainee_projected_start_date,
        next_trainee_email_address,
        next_trainee_grade,
        withdrawn_trainee_last_name,
        withdrawn_trainee_first_name,
        withdrawn_trainee_gmc_number,
        withdrawal_reason,
        change_of_projected_hire_date,
        change_of_projected_end_date,
        working_hour_indicator,
        post_vacant_at_next_rotation,
    } = row;
    Columns::new(VERSION)
        .number("notificationType", i64::from(i32::from(*notification_type)))
        .text("office", office.as_str())
        .text("deaneryNumber", dpn.as_str())
        .text("currentTraineeLastName", current_trainee_last_name)
        .text("currentTraineeFirstName", current_trainee_first_name)
        .text("currentTraineeGmcNumber", current_trainee_gmc_number)
        .optional_number(
            "currentTraineeProjectedEndDate",
            current_trainee_projected_end_date.map(|date| i64::from(date.0)),
        )
        .text("currentTraineeVpdForNextPlacement", current_trainee_vpd_for_next_placement)
        .text("currentTraineeWorkingHoursIndicator", current_trainee_working_hours_indicator)
        .text("nextTraineeLastName", next_trainee_last_name)
        .text("nextTraineeFirstName", next_trainee_first_name)
        .text("nextTraineeGmcNumber", next_trainee_gmc_number)
        .text("nextTraineeCurrentPlacementVpd", next_trainee_current_placement_vpd)
        .optional_number(
            "nextTraineeProjectedStartDate",
            next_trainee_projected_start_date.map(|date| i64::from(date.0)),
        )
        .text("nextTraineeEmailAddress", next_trainee_email_address)
        .text("nextTraineeGrade", next_trainee_grade)
        .text("withdrawnTraineeLastName", withdrawn_trainee_last_name)
        .text("withdrawnTraineeFirstName", withdrawn_trainee_first_name)
        .text("withdrawnTraineeGmcNumber", withdrawn_trainee_gmc_number)
        .text("withdrawalReason", withdrawal_reason)
        .optional_number("changeOfProjectedHireDate", change_of_projected_hire_date.map(|date| i64::from(date.0)))
        .optional_number("changeOfProjectedEndDate", change_of_projected_end_date.map(|date| i64::from(date.0)))
        .text("workingHourIndicator", working_hour_indicator)
        .mark("postVacantAtNextRotation", *post_vacant_at_next_rotation)
        .digest()
}

/// Distinguishes the versions of a placement of TIS.
pub(crate) fn placement_digest(placement: &Placement) -> Digest {
    let Placement {
        id,
        trainee_id,
        trainee_first_name,
        trainee_last_name,
        trainee_gmc_number,
        dpn,
        post_id,
        date_from,
        date_to,
        whole_time_equivalent,
        site_code,
        site_name,
        grade_abbreviation,
        placement_type,
        lifecycle_state,
        esr_events,
    } = placement;
    let columns = Columns::new(VERSION)
        .number("id", id.0)
        .number("traineeId", trainee_id.0)
        .optional("traineeFirstName", trainee_first_name.as_deref())
        .optional("traineeLastName", trainee_last_name.as_deref())
        .optional("traineeGmcNumber", trainee_gmc_number.as_deref())
        .text("nationalPostNumber", dpn.as_str())
        .optional_number("postId", post_id.map(|id| id.0))
        .number("dateFrom", i64::from(date_from.0))
        .optional_number("dateTo", date_to.map(|date| i64::from(date.0)))
        .optional_number("wholeTimeEquivalent", whole_time_equivalent.map(|value| value.to_bits() as i64))
        .optional("siteCode", site_code.as_deref())
        .optional("siteName", site_name.as_deref())
        .optional("gradeAbbreviation", grade_abbreviation.as_deref())
        .text("placementType", placement_type)
        .text("lifecycleState", lifecycle_state.symbol());
    let columns = esr_events.iter().fold(columns, |columns, event| {
        let PlacementEsrEvent { position_id, filename, status } = event;
        columns
            .number("esrEvents.positionId", position_id.0)
            .optional("esrEvents.filename", filename.as_deref())
            .optional("esrEvents.status", status.as_deref())
    });
    columns.digest()
}

/// Distinguishes the versions of a person of TIS.
pub(crate) fn person_digest(person: &Person) -> Digest {
    let Person {
        id,
        surname,
        legal_surname,
        forenames,
        legal_forenames,
        maiden_name,
        title,
        telephone_number,
        mobile_number,
        email,
        address1,
        address2,
        address3,
        address4,
        post_code,
        country,
        marital_status,
        date_of_birth,
        gender,
        nationality,
        sexual_orientation,
        religious_belief,
        ethnic_origin,
        disability,
        national_insurance_number,
        gmc_number,
        gmc_end_date,
        gdc_number,
        gdc_end_date,
    } = person;
    Columns::new(VERSION)
        .number("id", id.0)
        .optional("surname", surname.as_deref())
        .optional("legalSurname", legal_surname.as_deref())
        .optional("forenames", forenames.as_deref())
        .optional("legalForenames", legal_forenames.as_deref())
        .optional("maidenName", maiden_name.as_deref())
        .optional("title", title.as_deref())
        .optional("telephoneNumber", telephone_number.as_deref())
        .optional("mobileNumber", mobile_number.as_deref())
        .optional("email", email.as_deref())
        .optional("address1", address1.as_deref())
        .optional("address2", address2.as_deref())
        .optional("address3", address3.as_deref())
        .optional("address4", address4.as_deref())
        .optional("postCode", post_code.as_deref())
        .optional("country", country.as_deref())
        .optional("maritalStatus", marital_status.as_deref())
        .optional_number("dateOfBirth", date_of_birth.map(|date| i64::from(date.0)))
        .optional("gender", gender.as_deref())
        .optional("nationality", nationality.as_deref())
        .optional("sexualOrientation", sexual_orientation.as_deref())
        .optional("religiousBelief", religious_belief.as_deref())
        .optional("ethnicOrigin", ethnic_origin.as_deref())
        .optional("disability", disability.as_deref())
        .optional("nationalInsuranceNumber", national_insurance_number.as_deref())
        .optional("gmcNumber", gmc_number.as_deref())
        .optional_number("gmcEndDate", gmc_end_date.map(|date| i64::from(date.0)))
        .optional("gdcNumber", gdc_number.as_deref())
        .optional_number("gdcEndDate", gdc_end_date.map(|date| i64::from(date.0)))
        .digest()
}
