//! Objects of a snapshot as records of the `tis.*` topics.

use tributary_schemas::Date;
use tributary_schemas::records;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

use super::snapshot;

pub(super) fn post(post: snapshot::Post) -> records::tis::Post {
    records::tis::Post {
        id: PostId(post.id),
        dpn: post.dpn,
        status: match post.status {
            snapshot::PostStatus::Current => records::tis::PostStatus::Current,
            snapshot::PostStatus::Inactive => records::tis::PostStatus::Inactive,
            snapshot::PostStatus::Delete => records::tis::PostStatus::Delete,
        },
        owner: post.owner,
    }
}

pub(super) fn placement(placement: snapshot::Placement) -> records::tis::Placement {
    records::tis::Placement {
        id: PlacementId(placement.id),
        trainee_id: PersonId(placement.trainee_id),
        trainee_first_name: placement.trainee_first_name,
        trainee_last_name: placement.trainee_last_name,
        trainee_gmc_number: placement.trainee_gmc_number,
        dpn: placement.dpn,
        post_id: placement.post_id.map(PostId),
        date_from: Date(placement.date_from),
        date_to: placement.date_to.map(Date),
        whole_time_equivalent: placement.whole_time_equivalent,
        site_code: placement.site_code,
        site_name: placement.site_name,
        grade_abbreviation: placement.grade_abbreviation,
        placement_type: placement.placement_type,
        lifecycle_state: match placement.lifecycle_state {
            snapshot::LifecycleState::Draft => records::tis::LifecycleState::Draft,
            snapshot::LifecycleState::Approved => records::tis::LifecycleState::Approved,
        },
        esr_events: placement.esr_events.into_iter().map(esr_event).collect(),
    }
}

fn esr_event(event: snapshot::EsrEvent) -> records::tis::PlacementEsrEvent {
    records::tis::PlacementEsrEvent {
        position_id: PositionId(event.position_id),
        filename: event.filename,
        status: event.status,
    }
}

pub(super) fn person(person: snapshot::Person) -> records::tis::Person {
    let snapshot::Person { id, contact, personal, gmc, gdc } = person;
    records::tis::Person {
        id: PersonId(id),
        surname: contact.surname,
        legal_surname: contact.legal_surname,
        forenames: contact.forenames,
        legal_forenames: contact.legal_forenames,
        maiden_name: contact.maiden_name,
        title: contact.title,
        telephone_number: contact.telephone_number,
        mobile_number: contact.mobile_number,
        email: contact.email,
        address1: contact.address1,
        address2: contact.address2,
        address3: contact.address3,
        address4: contact.address4,
        post_code: contact.post_code,
        country: contact.country,
        marital_status: personal.marital_status,
        date_of_birth: personal.date_of_birth.map(Date),
        gender: personal.gender,
        nationality: personal.nationality,
        sexual_orientation: personal.sexual_orientation,
        religious_belief: personal.religious_belief,
        ethnic_origin: personal.ethnic_origin,
        disability: personal.disability,
        national_insurance_number: personal.national_insurance_number,
        gmc_number: gmc.gmc_number,
        gmc_end_date: gmc.gmc_end_date.map(Date),
        gdc_number: gdc.gdc_number,
        gdc_end_date: gdc.gdc_end_date.map(Date),
    }
}
