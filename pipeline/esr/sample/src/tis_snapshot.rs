//! The TIS snapshot: `posts.jsonl`, `placements.jsonl` and `people.jsonl`. Each line is one object with the field names
//! of TIS's public transfer objects.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::esr_files::temporary;
use crate::model::{OPEN_END, Person, Placement, Post, PostNumber, PostStatus, Site, date_at};
use crate::names::{
    ETHNIC_ORIGINS, GENDERS, GRADES, OFFICES, ORIENTATIONS, PLACEMENT_TYPES, RELIGIONS, SUFFIXES, TITLES,
};
use crate::person::Particulars;
use crate::region::Region;

/// An id in TIS is the index in the region plus this number.
const POST_ID: u32 = 100_001;
const PERSON_ID: u32 = 200_001;

impl Serialize for PostNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostLine {
    id: u32,
    national_post_number: PostNumber,
    status: &'static str,
    owner: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    suffix: &'static str,
    programme_post_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacementLine<'a> {
    id: u32,
    trainee_id: u32,
    trainee_first_name: &'a str,
    trainee_last_name: &'a str,
    trainee_gmc_number: Option<&'a str>,
    national_post_number: PostNumber,
    post_id: u32,
    date_from: Date,
    date_to: Option<Date>,
    whole_time_equivalent: f64,
    site_id: u16,
    site_code: Option<String>,
    site_name: Option<String>,
    grade_id: u8,
    grade_abbreviation: &'static str,
    grade_name: &'static str,
    placement_type: &'static str,
    owner: &'static str,
    status: &'static str,
    lifecycle_state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    esr_events: Vec<EsrEventLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EsrEventLine {
    exported_at: String,
    filename: String,
    placement_id: u32,
    position_number: u32,
    position_id: u32,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonLine<'a> {
    id: u32,
    status: &'static str,
    contact_details: ContactDetails<'a>,
    personal_details: PersonalDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    gmc_details: Option<GmcDetails<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gdc_details: Option<GdcDetails<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContactDetails<'a> {
    id: u32,
    surname: &'a str,
    legal_surname: Option<&'a str>,
    forenames: &'static str,
    legal_forenames: Option<&'static str>,
    known_as: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    maiden_name: Option<String>,
    title: &'static str,
    telephone_number: Option<&'static str>,
    mobile_number: &'a str,
    email: &'a str,
    address1: String,
    address2: &'static str,
    address3: Option<&'static str>,
    post_code: &'a str,
    country: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonalDetails {
    id: u32,
    date_of_birth: Option<Date>,
    gender: &'static str,
    nationality: &'static str,
    religious_belief: &'static str,
    sexual_orientation: &'static str,
    ethnic_origin: &'static str,
    disability: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GmcDetails<'a> {
    id: u32,
    gmc_number: &'a str,
    gmc_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gmc_end_date: Option<Date>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GdcDetails<'a> {
    id: u32,
    gdc_number: &'a str,
    gdc_status: &'static str,
}

impl Region {
    /// Writes the snapshot as of `today` and returns the names of its files.
    pub(crate) fn write_snapshot(&self, folder: &Path, today: i32) -> io::Result<Vec<String>> {
        let posts = (0u32..).zip(&self.posts).map(|(index, post)| post_line(index, post));
        write_lines(folder, "posts.jsonl", posts)?;
        let live = self.placements.iter().filter(|placement| !placement.deleted);
        write_each(folder, "placements.jsonl", live, |out, placement| self.placement_line(out, placement, today))?;
        let people = (0u32..).zip(&self.people);
        write_each(folder, "people.jsonl", people, |out, (index, person)| person_line(out, index, person))?;
        Ok(["posts.jsonl", "placements.jsonl", "people.jsonl"].map(str::to_owned).to_vec())
    }

    fn placement_line(&self, out: &mut Output, placement: &Placement, today: i32) -> io::Result<()> {
        let trainee = Particulars::of(placement.trainee, &self.people[placement.trainee as usize]);
        let post = &self.posts[placement.post as usize];
        let site = Site(post.number.site);
        let grade = GRADES[usize::from(post.number.grade)];
        let shown = |text: String| (!placement.no_site).then_some(text);
        let line = PlacementLine {
            id: placement.id,
            trainee_id: PERSON_ID + placement.trainee,
            trainee_first_name: trainee.first_name,
            trainee_last_name: &trainee.surname,
            trainee_gmc_number: trainee.gmc_number.as_deref(),
            national_post_number: post.number,
            post_id: POST_ID + placement.post,
            date_from: date_at(self.first_day, placement.from),
            date_to: (placement.to != OPEN_END).then(|| date_at(self.first_day, placement.to)),
            whole_time_equivalent: f64::from(placement.tenths) / 10.0,
            site_id: 1_000 + post.number.site,
            site_code: shown(site.to_string()),
            site_name: shown(format!("{} General Hospital", site.place())),
            grade_id: 10 + post.number.grade,
            grade_abbreviation: grade.0,
            grade_name: grade.1,
            placement_type: PLACEMENT_TYPES[usize::from(placement.kind)],
            owner: OFFICES[site.office()].owner,
            status: match (placement.to < today, placement.from > today) {
                (true, _) => "PAST",
                (_, true) => "FUTURE",
                _ => "CURRENT",
            },
            lifecycle_state: if placement.draft { "DRAFT" } else { "APPROVED" },
            esr_events: self.export_events(placement),
        };
        write_line(out, &line)
    }

    /// The earlier exports that TIS remembers (D14): one event for each live position.
    fn export_events(&self, placement: &Placement) -> Vec<EsrEventLine> {
        if !placement.exported_before {
            return Vec::new();
        }
        let office = OFFICES[self.office_of(placement)].code;
        let day = date_at(self.first_day, -10);
        self.positions
            .iter()
            .filter(|position| position.post == placement.post && position.live())
            .map(|position| EsrEventLine {
                exported_at: format!("{day}T14:00:00Z"),
                filename: format!("DE_{office}_APP_{}_00000001.DAT", day.strftime("%Y%m%d")),
                placement_id: placement.id,
                position_number: position.number,
                position_id: position.id,
                status: "EXPORTED",
            })
            .collect()
    }
}

fn post_line(index: u32, post: &Post) -> PostLine {
    PostLine {
        id: POST_ID + index,
        national_post_number: post.number,
        status: match post.status {
            PostStatus::Current => "CURRENT",
            PostStatus::Inactive => "INACTIVE",
            PostStatus::Delete => "DELETE",
        },
        owner: OFFICES[post.office()].owner,
        suffix: match SUFFIXES[usize::from(post.number.suffix)] {
            "A" => "ACADEMIC",
            "M" => "MILITARY",
            "S" => "SUPERNUMERARY",
            _ => "",
        },
        programme_post_type: "TRAINING",
    }
}

fn person_line(out: &mut Output, index: u32, person: &Person) -> io::Result<()> {
    let texts = Particulars::of(index, person);
    let id = PERSON_ID + index;
    let mut rng = texts.rng.clone();
    let line = PersonLine {
        id,
        status: "CURRENT",
        contact_details: ContactDetails {
            id,
            surname: &texts.surname,
            legal_surname: texts.legal_surname.as_deref(),
            forenames: texts.first_name,
            legal_forenames: texts.legal_first_name,
            known_as: texts.first_name,
            maiden_name: rng.chance(50).then(|| format!("Old{}", texts.surname.to_lowercase())),
            title: rng.pick(&TITLES),
            telephone_number: rng.chance(300).then_some("01632960000"),
            mobile_number: &texts.mobile,
            email: &texts.email,
            address1: format!("{} Sample Street", 1 + rng.below(99)),
            address2: "Sampleton",
            address3: rng.chance(300).then_some("Mockshire"),
            post_code: &texts.postcode,
            country: rng.pick(&[None, None, Some("United Kingdom"), Some("GB"), Some("GB")]),
        },
        personal_details: PersonalDetails {
            id,
            date_of_birth: (!person.no_birth_date).then_some(texts.birth_date),
            gender: rng.pick(&GENDERS),
            nationality: "British",
            religious_belief: rng.pick(&RELIGIONS),
            sexual_orientation: rng.pick(&ORIENTATIONS),
            ethnic_origin: rng.pick(&ETHNIC_ORIGINS),
            disability: "NO",
        },
        gmc_details: texts.gmc_number.as_deref().map(|gmc_number| GmcDetails {
            id,
            gmc_number,
            gmc_status: "Registered with Licence",
            gmc_end_date: None,
        }),
        gdc_details: texts.gdc_number.as_deref().map(|gdc_number| GdcDetails {
            id,
            gdc_number,
            gdc_status: "Registered",
        }),
    };
    write_line(out, &line)
}

type Output = BufWriter<File>;

fn write_line(out: &mut Output, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Writes a file line by line. The complete file replaces the previous one.
fn write_each<T>(
    folder: &Path,
    name: &str,
    objects: impl Iterator<Item = T>,
    write: impl Fn(&mut Output, T) -> io::Result<()>,
) -> io::Result<()> {
    let part = temporary(folder, name);
    let mut out = BufWriter::with_capacity(1 << 18, File::create(&part)?);
    for object in objects {
        write(&mut out, object)?;
    }
    out.flush()?;
    fs::rename(part, folder.join(name))
}

fn write_lines<T: Serialize>(folder: &Path, name: &str, lines: impl Iterator<Item = T>) -> io::Result<()> {
    write_each(folder, name, lines, |out, line| write_line(out, &line))
}
