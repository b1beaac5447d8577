//! Complete snapshot folders: bad lines, compression, manifest.

use std::io::Write;

use sha2::{Digest, Sha256};

use super::*;

const POSTS: &str = concat!(
    r#"{"id":1,"nationalPostNumber":"EOE/RGT00/021/STR/001","status":"CURRENT"}"#,
    "\n",
    r#"{"id":2,"nationalPostNumber":"EOE/RGT00/021/STR/002","status":"INACTIVE"}"#,
    "\n",
);

fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn load_posts(folder: &Path) -> Result<(Vec<i64>, KindReport), SnapshotError> {
    let mut ids = Vec::new();
    let report = TisSnapshot::open(folder)?.posts(|post| {
        ids.push(post.id);
        Ok::<_, SnapshotError>(())
    })?;
    Ok((ids, report))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn sha256(content: &[u8]) -> String {
    crate::hex::hex(&Sha256::digest(content))
}

#[test]
fn d2_bad_lines_are_reported_the_rest_loads_and_nothing_is_deleted() {
    let content = format!("\u{feff}{POSTS}\r\nnot json\n{{\"id\":4,\"status\":\"CURRENT\"}}\n{{\"id\":5");
    let folder = folder_with(&[("posts.jsonl", content.as_bytes())]);
    let (ids, report) = load_posts(folder.path()).unwrap();
    assert_eq!(ids, [1, 2]);
    assert_eq!((report.loaded, report.bad, report.allows_deletions()), (2, 3, false));
    assert_eq!(report.bad_lines.iter().map(|bad| bad.line).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(report.bad_lines[1].to_string(), "posts.jsonl, line 5: nationalPostNumber is missing or blank");
}

#[test]
fn d2_a_complete_file_allows_deletions_and_an_absent_one_does_not() {
    let folder = folder_with(&[("posts.jsonl", POSTS.as_bytes())]);
    assert!(load_posts(folder.path()).unwrap().1.allows_deletions());
    let people = TisSnapshot::open(folder.path()).unwrap().people(|_| Ok::<_, SnapshotError>(())).unwrap();
    assert_eq!((people.is_present, people.allows_deletions()), (false, false));
}

#[test]
fn d112_a_file_without_any_object_allows_no_deletions() {
    for content in [b"".as_slice(), b"\n \r\n", "\u{feff}".as_bytes()] {
        let folder = folder_with(&[("posts.jsonl", content)]);
        let (_, report) = load_posts(folder.path()).unwrap();
        assert!(report.is_present && report.bad == 0 && !report.allows_deletions(), "{content:?}");
    }
    let folder = folder_with(&[("posts.jsonl.gz", &gzip(b""))]);
    assert!(!load_posts(folder.path()).unwrap().1.allows_deletions());
}

#[test]
fn d111_what_is_no_file_is_refused_by_name_and_nothing_waits_for_it() {
    type Make = fn(&Path);
    let makers: [(Make, &str); 3] = [
        (|path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()), "a named pipe"),
        (|path| fs::create_dir(path).unwrap(), "a folder"),
        (|path| std::os::unix::fs::symlink("gone", path).unwrap(), "a link to nothing"),
    ];
    for name in ["posts.jsonl", "people.jsonl.gz", "manifest.json"] {
        for (make, what) in makers {
            let folder = folder_with(&[("placements.jsonl", b"")]);
            make(&folder.path().join(name));
            let error = TisSnapshot::open(folder.path()).unwrap_err();
            assert!(error.may_pass(), "{error}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(what), "{text}");
        }
    }
}

#[test]
fn bad_lines_are_all_counted_but_not_all_listed() {
    let folder = folder_with(&[("posts.jsonl", "x\n".repeat(250).as_bytes())]);
    let (_, report) = load_posts(folder.path()).unwrap();
    assert_eq!((report.bad, report.bad_lines.len()), (250, LISTED_BAD_LINES));
}

#[test]
fn a_line_without_end_is_skipped_without_holding_it() {
    let mut content = vec![b'x'; MAX_LINE_BYTES * 2];
    content.push(b'\n');
    content.extend_from_slice(POSTS.as_bytes());
    let folder = folder_with(&[("posts.jsonl", &content)]);
    let (ids, report) = load_posts(folder.path()).unwrap();
    assert_eq!((ids.len(), report.bad, report.bad_lines[0].line), (2, 1, 1));
}

#[test]
fn compressed_files_are_read_also_in_several_members() {
    let mut content = gzip(POSTS.as_bytes());
    content.extend(gzip(POSTS.replace("\"id\":", "\"id\":1").as_bytes()));
    let folder = folder_with(&[("posts.jsonl.gz", &content)]);
    assert_eq!(load_posts(folder.path()).unwrap().0, [1, 2, 11, 12]);
}

#[test]
fn d2_a_cut_compressed_file_is_a_bad_line_and_deletes_nothing() {
    let mut many = Vec::new();
    for id in 0..20_000 {
        let number = id * 7919 % 104_729;
        writeln!(many, r#"{{"id":{id},"nationalPostNumber":"N{number}","status":"CURRENT"}}"#).unwrap();
    }
    let whole = gzip(&many);
    let folder = folder_with(&[("posts.jsonl.gz", &whole[..whole.len() / 2])]);
    let (ids, report) = load_posts(folder.path()).unwrap();
    assert!(!ids.is_empty() && ids.len() < 20_000);
    assert!(!report.allows_deletions());
    assert!(report.bad_lines[0].reason.contains("cannot be read further"), "{}", report.bad_lines[0]);
}

#[test]
fn a_plain_and_a_compressed_file_of_one_kind_are_refused() {
    let folder = folder_with(&[("posts.jsonl", POSTS.as_bytes()), ("posts.jsonl.gz", &gzip(POSTS.as_bytes()))]);
    assert!(matches!(TisSnapshot::open(folder.path()), Err(SnapshotError::Ambiguous { .. })));
}

#[test]
fn a_manifest_that_agrees_is_accepted() {
    let manifest =
        format!("{{\"files\":{{\"posts.jsonl\":{{\"count\":2,\"sha256\":\"{}\"}}}}}}", sha256(POSTS.as_bytes()));
    let folder = folder_with(&[("posts.jsonl", POSTS.as_bytes()), ("manifest.json", manifest.as_bytes())]);
    assert_eq!(load_posts(folder.path()).unwrap().0, [1, 2]);
}

#[test]
fn a_manifest_that_differs_means_incomplete() {
    let wrong_hash = format!("{{\"files\":{{\"posts.jsonl\":{{\"sha256\":\"{}\"}}}}}}", sha256(b"other"));
    let manifests = [
        wrong_hash.as_str(),
        r#"{"files":{"posts.jsonl":{"count":3}}}"#,
        r#"{"files":{"posts.jsonl":{},"people.jsonl":{}}}"#,
        r#"{"files":{}}"#,
    ];
    for manifest in manifests {
        let folder = folder_with(&[("posts.jsonl", POSTS.as_bytes()), ("manifest.json", manifest.as_bytes())]);
        let error = TisSnapshot::open(folder.path()).unwrap_err();
        assert!(matches!(error, SnapshotError::Incomplete { .. }), "{manifest}: {error}");
        assert!(!error.may_pass(), "only a change of the files helps");
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_said_to_be_so() {
    let folder = folder_with(&[("posts.jsonl", POSTS.as_bytes()), ("manifest.json", b"{\"files\"")]);
    let error = TisSnapshot::open(folder.path()).unwrap_err();
    assert!(matches!(error, SnapshotError::Manifest { .. }), "{error}");
}

#[test]
fn a_manifest_without_end_is_not_read_into_memory() {
    let folder = folder_with(&[("posts.jsonl", POSTS.as_bytes()), ("manifest.json", &vec![b' '; (1 << 20) + 1])]);
    let error = TisSnapshot::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}

#[test]
fn a_missing_folder_is_named() {
    let error = TisSnapshot::open(Path::new("no-such-folder")).unwrap_err();
    assert!(error.to_string().contains("no-such-folder"), "{error}");
}

#[test]
fn hashes_are_written_in_hexadecimal() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
