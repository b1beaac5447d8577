//! The days of a sample region as a reader of its files sees them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use jiff::civil::date;
use serde_json::Value;
use tempfile::TempDir;
use tributary_esr_sample::{SampleRegion, Scale, Written};

/// The three days of a region: the results, and the content of all files after each day.
struct Days {
    written: [Written; 3],
    files: [BTreeMap<String, String>; 3],
}

fn days(scale: Scale, seed: u64) -> Days {
    let folder = TempDir::new().unwrap();
    let (inbox, tis) = (folder.path().join("inbox"), folder.path().join("tis"));
    let mut region = SampleRegion::new(scale, seed, date(2026, 11, 21));
    let contents = || {
        let mut files = BTreeMap::new();
        read_folder(&inbox, &mut files);
        read_folder(&tis, &mut files);
        files
    };
    let first = (region.write_first_day(&inbox, &tis).unwrap(), contents());
    let second = (region.write_second_day(&inbox, &tis).unwrap(), contents());
    let peak = (region.write_peak_day(&inbox, &tis).unwrap(), contents());
    Days { written: [first.0, second.0, peak.0], files: [first.1, second.1, peak.1] }
}

fn read_folder(folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.insert(name, fs::read_to_string(path).unwrap());
    }
}

/// Splits a line at the commas outside quotes.
fn columns(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
    .collect()
}

fn objects(files: &BTreeMap<String, String>, name: &str) -> BTreeMap<u64, Value> {
    let parsed = files[name].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.map(|object| (object["id"].as_u64().unwrap(), object)).collect()
}

fn inbound(files: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    files.iter().filter(|(name, _)| name.starts_with("DE_"))
}

#[test]
fn same_seed_same_bytes() {
    for scale in [Scale::Office, Scale::Region] {
        let (one, same, other) = (days(scale, 7), days(scale, 7), days(scale, 8));
        assert!(one.files == same.files, "{scale:?}");
        assert!(one.written == same.written, "{scale:?}");
        for (ours, theirs) in one.files[2].values().zip(other.files[2].values()) {
            assert!(ours != theirs, "{scale:?}");
        }
    }
}

#[test]
fn office_and_region_have_their_counts() {
    for (scale, offices, positions, bucket) in [(Scale::Office, 1, 300, 0), (Scale::Region, 3, 6_000, 400)] {
        let days = days(scale, 1);
        let counts = days.written[0].counts;
        assert_eq!((counts.positions, counts.posts), (positions, positions));
        assert_eq!(counts.position_records, 2 * positions);
        let placements = objects(&days.files[0], "placements.jsonl");
        assert_eq!(placements.len(), counts.placements);
        let mut per_post = BTreeMap::<u64, usize>::new();
        for placement in placements.values() {
            *per_post.entry(placement["postId"].as_u64().unwrap()).or_default() += 1;
        }
        assert!(*per_post.values().max().unwrap() >= bucket);
        assert_eq!(days.written[0].files.len(), offices + 3);
        for written in &days.written {
            let present = |name: &String| days.files[2].contains_key(name);
            assert!(written.files.iter().all(present));
        }
    }
}

#[test]
fn national_has_its_counts_and_its_peak() {
    let folder = TempDir::new().unwrap();
    let mut region = SampleRegion::new(Scale::National, 1, date(2026, 11, 21));
    assert_eq!(region.offices().len(), 13);
    let written = [
        region.write_first_day(folder.path(), folder.path()).unwrap(),
        region.write_second_day(folder.path(), folder.path()).unwrap(),
        region.write_peak_day(folder.path(), folder.path()).unwrap(),
    ];
    let [first, second, peak] = written.map(|written| written.counts);
    assert_eq!((first.positions, first.posts, first.people), (150_000, 150_000, 55_000));
    assert_eq!(first.placements, 184_000);
    assert_eq!((second.position_records, second.tis_changes), (3_000, 2_000));
    assert!(first.coming_into_window < 500 && second.coming_into_window < 500);
    assert!((40_000..42_500).contains(&peak.coming_into_window), "{peak:?}");
}

#[test]
fn runs_are_at_half_past_two_in_london() {
    let [first, second, peak] = days(Scale::Office, 1).written.map(|written| written.now.to_string());
    assert_eq!(first, "2026-11-21T14:30:00Z");
    assert_eq!(second, "2026-11-22T14:30:00Z");
    assert!(peak > second);
    let folder = TempDir::new().unwrap();
    let mut summer = SampleRegion::new(Scale::Office, 1, date(2026, 6, 1));
    let written = summer.write_first_day(folder.path(), folder.path()).unwrap();
    assert_eq!(written.now.to_string(), "2026-06-01T13:30:00Z");
}

#[test]
fn headers_name_their_file_and_trailers_count_its_lines() {
    let days = days(Scale::Region, 3);
    let names: BTreeSet<&str> = inbound(&days.files[2]).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 9);
    assert!(names.contains("DE_EOE_RMF_20261121_00000001.DAT"));
    assert!(names.contains("DE_LDN_RMC_20261122_00000002.DAT"));
    for (name, text) in inbound(&days.files[2]) {
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with(&format!("HDR,\"{name}\",{}", &name[11..19])), "{}", lines[0]);
        assert_eq!(columns(lines[0]).len(), 7);
        assert_eq!(lines[lines.len() - 1], format!("TRL,{}", lines.len()));
        assert!(text.ends_with('\n') && !text.contains('\r'));
    }
}

#[test]
fn lines_have_their_columns_and_the_bad_ones_are_counted() {
    for scale in [Scale::Office, Scale::Region] {
        let days = days(scale, 5);
        let (mut records, mut wrong, mut types) = (0, 0, BTreeSet::new());
        for line in inbound(&days.files[2]).flat_map(|(_, text)| text.lines()) {
            let columns = columns(line);
            types.insert(columns[0]);
            let (expected, dpn) = match columns[0] {
                "POS" => (16, 9),
                "POR" => (13, 6),
                "PER" => (33, 0),
                "ADD" => (13, 0),
                "XYZ" => (0, 0),
                _ => continue,
            };
            let number = |column: &str| column.trim_matches('"').bytes().all(|byte| byte.is_ascii_digit());
            let good =
                columns.len() == expected && (dpn == 0 || columns[dpn].len() <= 32) && (dpn == 0 || number(columns[4]));
            if dpn > 0 && good {
                records += 1;
            }
            wrong += usize::from(!good);
        }
        let sum = |amount: fn(&Written) -> usize| days.written.iter().map(amount).sum::<usize>();
        assert_eq!(records, sum(|written| written.counts.position_records));
        assert_eq!(wrong, sum(|written| written.counts.bad_lines));
        assert!(["HDR", "ASG", "PER", "ADD", "PBD", "ABS", "TRL"].iter().all(|kind| types.contains(kind)));
        let d3 = days.files[0].values().any(|text| text.contains("\\\","));
        assert!(d3, "a backslash before a closing quote");
    }
}

#[test]
fn positions_and_posts_are_shared_as_in_real_data() {
    let days = days(Scale::Region, 2);
    let posts: BTreeSet<String> = objects(&days.files[0], "posts.jsonl")
        .values()
        .map(|post| post["nationalPostNumber"].as_str().unwrap().to_owned())
        .collect();
    assert!(posts.iter().all(|number| number.len() <= 30));
    let mut positions_of = BTreeMap::<&str, usize>::new();
    for line in inbound(&days.files[0]).flat_map(|(_, text)| text.lines()) {
        let columns = columns(line);
        if columns[0] == "POR" && columns.len() == 13 {
            *positions_of.entry(columns[6].trim_matches('"')).or_default() += 1;
        }
    }
    let matched: Vec<usize> =
        positions_of.iter().filter(|(number, _)| posts.contains(**number)).map(|(_, positions)| *positions).collect();
    assert!((5_350..=5_450).contains(&matched.iter().sum::<usize>()));
    let share = |wanted: fn(usize) -> bool| {
        1000 * matched.iter().filter(|&&positions| wanted(positions)).count() / matched.len()
    };
    assert!((120..180).contains(&share(|positions| positions == 2)));
    assert!((8..25).contains(&share(|positions| positions > 2)));
}

#[test]
fn snapshot_objects_refer_to_each_other() {
    for files in days(Scale::Office, 4).files {
        let posts = objects(&files, "posts.jsonl");
        let people = objects(&files, "people.jsonl");
        for placement in objects(&files, "placements.jsonl").values() {
            let post = &posts[&placement["postId"].as_u64().unwrap()];
            assert_eq!(post["nationalPostNumber"], placement["nationalPostNumber"]);
            let person = &people[&placement["traineeId"].as_u64().unwrap()];
            assert_eq!(person["contactDetails"]["surname"], placement["traineeLastName"]);
            assert!(placement["dateFrom"].as_str() <= placement["dateTo"].as_str().or(Some("9")));
        }
    }
}

#[test]
fn second_day_has_every_kind_of_change() {
    for seed in 0..10 {
        let days = days(Scale::Office, seed);
        let before = objects(&days.files[0], "placements.jsonl");
        let after = objects(&days.files[1], "placements.jsonl");
        let changed = |field: &str| {
            let differs = |id: &u64, old: &Value| after.get(id).is_some_and(|new| new[field] != old[field]);
            before.iter().filter(|(id, old)| differs(id, old)).count()
        };
        let fields = ["dateFrom", "dateTo", "wholeTimeEquivalent", "lifecycleState", "nationalPostNumber"];
        for field in fields {
            assert!(changed(field) > 0, "{field} with seed {seed}");
        }
        assert!(before.keys().any(|id| !after.contains_key(id)), "deleted with seed {seed}");
        assert!(after.keys().any(|id| !before.contains_key(id)), "added with seed {seed}");
        let complete = |files| {
            let people = objects(files, "people.jsonl");
            people.values().filter(|person| !person["personalDetails"]["dateOfBirth"].is_null()).count()
        };
        assert!(complete(&days.files[1]) > complete(&days.files[0]));
        let rmc = &days.files[1]["DE_EOE_RMC_20261122_00000002.DAT"];
        assert!(rmc.contains(",,\"C\",") && rmc.contains(",,\"D\","));
    }
}
