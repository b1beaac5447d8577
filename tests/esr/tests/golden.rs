//! Each outgoing file type byte for byte: what the flow writes for a small fixed input, against `tests/esr/golden`.
//!
//! `TRIBUTARY_GOLDEN=write` replaces the files. Read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use tributary_esr_oracle::{Batch, Snapshot};
use tributary_esr_tests::simulated_exchange::SimulatedExchange;
use tributary_tests::simulated_process::Trouble;

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
    }
}

#[test]
fn rtc_app_and_dnc_files_are_written_byte_for_byte() {
    let mut flow = SimulatedExchange::new(0, &["EOE"], Trouble::default());
    flow.run(&batch("2026-11-20T14:30:00Z", (RMF, POSITIONS), placements("2026-12-01", "2026-12-02")));
    flow.run(&batch("2026-11-21T14:30:00Z", (RMC, CHANGES), placements("2026-12-08", "2026-12-09")));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = flow.files();
    let kinds = ["_RTC_", "_APP_", "_DNC_"];
    assert!(
        kinds.iter().all(|kind| files.keys().filter(|name| name.contains(kind)).count() == 2),
        "{:?}",
        files.keys()
    );
    for (name, content) in files {
        let path = folder.join(&name);
        if std::env::var("TRIBUTARY_GOLDEN").is_ok_and(|value| value == "write") {
            std::fs::write(&path, &content).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(golden, content, "{name}");
    }
}
