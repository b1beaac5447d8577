//! The rows that the exchange writes, with a field for each column, and their templates.

use jiff::civil::DateTime;

use super::FileName;
use super::layout::{Layouts, RecordType};
use super::write::{Encoding, LineEnd, LineTemplate, Value, WriteWarning, WrittenLine};

/// A row with a field for each column that the exchange fills, so that no value can get into a column of another name.
/// The names are looked up in the layout once, when the templates are made. A column without a field is written blank.
macro_rules! row {
    ($(#[$doc:meta])* $name:ident { $($column:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name<'a> {
            $(
                #[doc = concat!("Column `", stringify!($column), "`.")]
                pub $column: Value<'a>,
            )+
        }

        impl<'a> $name<'a> {
            /// The names of the columns, in the order of the layout.
            pub const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];

            fn values(&self) -> [Value<'a>; [$(stringify!($column)),+].len()] {
                [$(self.$column),+]
            }
        }
    };
}

row! {
    /// The columns of APP that the exchange fills (5.4).
    ApplicantRow {
        dpn,
        position_id,
        position_number,
        effective_date,
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
        address_1,
        address_2,
        address_3,
        town,
        postcode,
        country,
        ethnic_origin,
        nationality,
        national_insurance_number,
        religious_belief,
        sexual_orientation,
        disability,
        professional_body_1,
        registration_number_1,
        registration_expiry_1,
        professional_body_2,
        registration_number_2,
        registration_expiry_2,
    }
}

row! {
    /// The columns of NOT that the exchange fills (6.5, D52).
    NotificationRow {
        notification_type,
        dpn,
        managing_office,
        current_last_name,
        current_first_name,
        current_gmc_number,
        current_projected_end_date,
        current_next_site,
        current_working_hours,
        next_last_name,
        next_first_name,
        next_gmc_number,
        next_current_site,
        next_projected_start_date,
        next_email,
        next_grade,
        withdrawn_last_name,
        withdrawn_first_name,
        withdrawn_gmc_number,
        withdrawal_reason,
        change_of_hire_date,
        change_of_end_date,
        next_working_hours,
        vacant_at_next_rotation,
    }
}

row! {
    /// The columns of RTC (D53).
    ConfirmationRow {
        row_kind,
        confirmed_type,
        line_number,
        record_id,
        dpn,
        status,
        severity,
        text,
        received,
        accepted,
    }
}

row! {
    /// The columns of HDR that the exchange fills (2.4, D51).
    HeaderRow { file_name, created, office, previous_run, this_run }
}

row! {
    /// The columns of TRL.
    TrailerRow { count }
}

/// Templates for all rows that the exchange writes, made once from the layouts.
#[derive(Clone, Debug)]
pub struct Templates {
    applicant: LineTemplate,
    notification: LineTemplate,
    confirmation: LineTemplate,
    header: LineTemplate,
    trailer: LineTemplate,
    encoding: Encoding,
    /// How lines end.
    pub line_end: LineEnd,
}

impl Templates {
    /// Makes the templates for these layouts.
    pub fn new(layouts: &Layouts, encoding: Encoding, line_end: LineEnd) -> Self {
        let template = |record_type, columns| LineTemplate::new(layouts.record(record_type), columns);
        Self {
            applicant: template(RecordType::App, ApplicantRow::COLUMNS),
            notification: template(RecordType::Not, NotificationRow::COLUMNS),
            confirmation: template(RecordType::Rtc, ConfirmationRow::COLUMNS),
            header: template(RecordType::Hdr, HeaderRow::COLUMNS),
            trailer: template(RecordType::Trl, TrailerRow::COLUMNS),
            encoding,
            line_end,
        }
    }

    /// An APP row.
    pub fn applicant(&self, row: &ApplicantRow<'_>) -> WrittenLine {
        self.line(&self.applicant, &row.values(), 512)
    }

    /// The first mandatory column of an APP row whose value would not be written unchanged.
    pub fn incomplete_applicant(&self, row: &ApplicantRow<'_>) -> Option<WriteWarning> {
        self.applicant.incomplete(self.encoding, &row.values())
    }

    /// A NOT row.
    pub fn notification(&self, row: &NotificationRow<'_>) -> WrittenLine {
        self.line(&self.notification, &row.values(), 512)
    }

    /// An RTC row.
    pub fn confirmation(&self, row: &ConfirmationRow<'_>) -> WrittenLine {
        self.line(&self.confirmation, &row.values(), 128)
    }

    /// The header of a file (2.4, D51). `this_run` is the London time of the run.
    pub fn header(&self, name: &FileName, previous_run: Option<DateTime>, this_run: DateTime) -> WrittenLine {
        let file_name = name.to_string();
        let row = HeaderRow {
            file_name: Value::Text(&file_name),
            created: Value::Timestamp(this_run),
            office: Value::Text(name.office.as_str()),
            previous_run: Value::from(previous_run),
            this_run: Value::Timestamp(this_run),
        };
        self.line(&self.header, &row.values(), 128)
    }

    /// The trailer of a file with this number of rows between header and trailer.
    pub fn trailer(&self, rows: u64) -> WrittenLine {
        let count = (rows + 2).to_string();
        self.line(&self.trailer, &TrailerRow { count: Value::Text(&count) }.values(), 16)
    }

    fn line(&self, template: &LineTemplate, values: &[Value<'_>], usual_bytes: usize) -> WrittenLine {
        let mut text = String::with_capacity(usual_bytes);
        let warnings = template.write(self.encoding, values, &mut text);
        WrittenLine { text, warnings }
    }
}
