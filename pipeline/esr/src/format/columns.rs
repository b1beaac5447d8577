//! The inbound layouts, in which each column that the parser needs is looked up once.

use super::layout::{Layouts, RecordLayout, RecordType};

/// The layouts of the records that ESR sends, ready for a [`LineParser`](super::inbound::LineParser).
#[derive(Clone, Debug)]
pub struct InboundLayouts {
    pub(crate) position: PositionColumns,
    pub(crate) reconciliation: PositionColumns,
    pub(crate) header: HeaderColumns,
    pub(crate) trailer_count: Option<usize>,
    pub(crate) line_limit: usize,
    layouts: Layouts,
}

/// Indexes of the columns of POS or POR. A column that the record type does not have is `None`.
#[derive(Clone, Debug)]
pub(crate) struct PositionColumns {
    pub(crate) record_type: RecordType,
    pub(crate) position_id: Option<usize>,
    pub(crate) position_id_max: usize,
    pub(crate) indicator: Option<usize>,
    pub(crate) position_number: Option<usize>,
    pub(crate) position_number_max: usize,
    pub(crate) staff_group: Option<usize>,
    pub(crate) position_title: Option<usize>,
    pub(crate) occupation_code: Option<usize>,
    pub(crate) area_of_work: Option<usize>,
    pub(crate) dpn: Option<usize>,
    pub(crate) dpn_max: usize,
    pub(crate) managing_office: Option<usize>,
    pub(crate) ods_code: Option<usize>,
    pub(crate) grade_trust: Option<usize>,
    pub(crate) grade_payscale: Option<usize>,
    pub(crate) grade_description: Option<usize>,
    pub(crate) workplace_organisation: Option<usize>,
    pub(crate) host_lead_indicator: Option<usize>,
    pub(crate) employing_vpd: Option<usize>,
    pub(crate) esr_organisation: Option<usize>,
    pub(crate) esr_location: Option<usize>,
}

/// Indexes of the columns of the header.
#[derive(Clone, Debug)]
pub(crate) struct HeaderColumns {
    pub(crate) file_name: Option<usize>,
    pub(crate) office: Option<usize>,
    pub(crate) created: Option<usize>,
}

impl InboundLayouts {
    /// Looks the columns up. The parser rejects lines of more than `line_limit` bytes (D4).
    pub fn new(layouts: &Layouts, line_limit: usize) -> Self {
        let header = layouts.record(RecordType::Hdr);
        Self {
            position: PositionColumns::of(layouts.record(RecordType::Pos)),
            reconciliation: PositionColumns::of(layouts.record(RecordType::Por)),
            header: HeaderColumns {
                file_name: header.index_of("file_name"),
                office: header.index_of("office"),
                created: header.index_of("created"),
            },
            trailer_count: layouts.record(RecordType::Trl).index_of("count"),
            line_limit,
            layouts: layouts.clone(),
        }
    }

    pub(crate) fn record(&self, record_type: RecordType) -> &RecordLayout {
        self.layouts.record(record_type)
    }
}

impl PositionColumns {
    fn of(layout: &RecordLayout) -> Self {
        let index = |name| layout.index_of(name);
        let max = |name| layout.index_of(name).map_or(usize::MAX, |index| layout.columns[index].max);
        Self {
            record_type: layout.record_type,
            position_id: index("position_id"),
            position_id_max: max("position_id"),
            indicator: index("indicator"),
            position_number: index("position_number"),
            position_number_max: max("position_number"),
            staff_group: index("staff_group"),
            position_title: index("position_title"),
            occupation_code: index("occupation_code"),
            area_of_work: index("area_of_work"),
            dpn: index("dpn"),
            dpn_max: max("dpn"),
            managing_office: index("managing_office"),
            ods_code: index("ods_code"),
            grade_trust: index("grade_trust"),
            grade_payscale: index("grade_payscale"),
            grade_description: index("grade_description"),
            workplace_organisation: index("workplace_organisation"),
            host_lead_indicator: index("host_lead_indicator"),
            employing_vpd: index("employing_vpd"),
            esr_organisation: index("esr_organisation"),
            esr_location: index("esr_location"),
        }
    }
}
