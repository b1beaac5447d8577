//! Two days with a small fixed input: what the golden files and the fixtures of released state come from.

use tributary_esr_oracle::{Batch, Snapshot};

const RMF: &str = "DE_EOE_RMF_20261120_00000001.DAT";
const RMC: &str = "DE_EOE_RMC_20261121_00000002.DAT";

/// A full file with two good positions, one that is noted and one that is rejected.
const POSITIONS: &str = r#"HDR,"DE_EOE_RMF_20261120_00000001.DAT",20261120 030000,"EOE",,20261120 030000,"01"
POS,7000001,,"C","30000001","Medical and Dental","Specialty Registrar","300","General Medicine","EOE/RGT01/300/STR/001","EOE","RGT","NHS","MS02","ST3",""
POS,7000002,,"C","30000002","Medical and Dental","Specialty Registrar","300","General Medicine","eoe/rgt01/300/str/002 ","LDN","RGT","NHS","MS02","ST3",""
POS,7000003,,"X","30000003","Medical and Dental","Specialty Registrar","300","General Medicine","EOE/RGT01/300/STR/001","EOE","RGT","NHS","MS02","ST3",""
POR,7000001,,"C","30000001","Specialty Registrar","EOE/RGT01/300/STR/001","EOE","Host Employer","RGT","0234","Invented Trust","Ward, North"
TRL,6
"#;

/// A position that is deleted, one that loses its DPN.
const CHANGES: &str = r#"HDR,"DE_EOE_RMC_20261121_00000002.DAT",20261121 030000,"EOE",20261120 030000,20261121 030000,"01"
POS,7000002,,"","30000002","Medical and Dental","Specialty Registrar","300","General Medicine","","EOE","RGT","NHS","MS02","ST3",""
TRL,3
"#;

const POSTS: &str = r#"{"id":1,"nationalPostNumber":"EOE/RGT01/300/STR/001","status":"CURRENT"}
{"id":2,"nationalPostNumber":"EOE/RGT01/300/STR/002","status":"CURRENT"}
"#;

const PEOPLE: &str = r#"{"id":11,"contactDetails":{"surname":"Sample","legalSurname":"O\"Sample","forenames":"Zoë","title":"Dr","email":"zoe@example.org","address1":"1 Invented Street, Flat 2","address4":"Sampleton","postCode":"sw1a1aa","telephoneNumber":"01632 960001"},"personalDetails":{"dateOfBirth":"1990-04-01","gender":"Female","nationality":"British","maritalStatus":"Single"},"gmcDetails":{"gmcNumber":"7000011","gmcEndDate":"2027-08-01"}}
{"id":12,"contactDetails":{"surname":"Beispiel","forenames":"Bo","email":"bo@example.org","postCode":"Doha, Qatar","country":"Qatar"},"personalDetails":{"dateOfBirth":"1988-02-29"},"gdcDetails":{"gdcNumber":"G12"}}
"#;

fn placements(leaver_ends: &str, next_starts: &str) -> String {
    format!(
        r#"{{"id":101,"traineeId":12,"nationalPostNumber":"EOE/RGT01/300/STR/001","postId":1,"dateFrom":"2026-05-01","dateTo":"{leaver_ends}","siteCode":"RGT01","siteName":"Invented Hospital","gradeAbbreviation":"ST3","placementType":"In post","lifecycleState":"APPROVED","wholeTimeEquivalent":0.8}}
{{"id":102,"traineeId":11,"nationalPostNumber":"EOE/RGT01/300/STR/001","postId":1,"dateFrom":"{next_starts}","dateTo":"2027-06-01","siteCode":"rgt01","siteName":"Invented Hospital","gradeAbbreviation":"ST4","placementType":"In Post","lifecycleState":"APPROVED","wholeTimeEquivalent":1}}
"#
    )
}

fn batch(now: &str, file: (&str, &str), placements: String) -> Batch {
    Batch {
        now: now.parse().unwrap(),
        files: vec![(file.0.to_owned(), file.1.as_bytes().to_owned())],
        snapshot: Snapshot {
            posts: Some(POSTS.to_owned()),
            placements: Some(placements),
            people: Some(PEOPLE.to_owned()),
        },
        decisions: Vec::new(),
        offices: Vec::new(),
    }
}

/// The two days, in order.
///
/// # Panics
/// Never: the times are written here.
pub fn batches() -> [Batch; 2] {
    [
        batch("2026-11-20T14:30:00Z", (RMF, POSITIONS), placements("2026-12-01", "2026-12-02")),
        batch("2026-11-21T14:30:00Z", (RMC, CHANGES), placements("2026-12-08", "2026-12-09")),
    ]
}
