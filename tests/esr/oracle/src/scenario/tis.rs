//! What TIS holds: posts, placements and people, and how they change from run to run.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::Snapshot;
use crate::scenario::random::Random;

const KINDS: [&str; 8] = [
    "In post",
    "In Post",
    "In post",
    "In Post - Acting Up",
    "In post - Extension",
    "Parental Leave",
    "Phased Return",
    "OOPT",
];
const SITES: [(&str, &str); 5] = [
    ("RGT01", "Invented Hospital"),
    ("rgt01", "Invented Hospital"),
    ("R1F01", "Made-up Infirmary"),
    ("R1F02", ""),
    ("", "Nowhere Clinic"),
];

/// TIS objects by id, as JSON.
pub(crate) struct Tis {
    numbers: Vec<String>,
    posts: BTreeMap<u64, Value>,
    placements: BTreeMap<u64, Value>,
    people: BTreeMap<u64, Value>,
    /// Placements that were deleted, and may return.
    gone: Vec<Value>,
    next_id: u64,
    /// Whether registration numbers are corrected.
    pub(crate) corrects_numbers: bool,
}

impl Tis {
    pub(crate) fn new(random: &mut Random, numbers: &[String], today: Date) -> Tis {
        let mut tis = Tis {
            numbers: numbers.to_vec(),
            posts: BTreeMap::new(),
            placements: BTreeMap::new(),
            people: BTreeMap::new(),
            gone: Vec::new(),
            next_id: 100,
            corrects_numbers: false,
        };
        for number in numbers {
            if !random.one_in(4) {
                tis.add_post(random, number);
            }
            if random.one_in(12) {
                tis.add_post(random, number);
            }
        }
        for _ in 0..random.between(2, 12) {
            tis.add_person(random);
        }
        for _ in 0..random.between(5, 30) {
            tis.add_placement(random, today);
        }
        if random.one_in(8) {
            tis.add_crowd(random, today);
        }
        tis
    }

    fn id(&mut self, random: &mut Random) -> u64 {
        self.next_id += random.between(1, 3);
        self.next_id
    }

    fn add_post(&mut self, random: &mut Random, number: &str) {
        let id = self.id(random);
        let status = random.pick(&["CURRENT", "CURRENT", "CURRENT", "CURRENT", "INACTIVE", "DELETE"]);
        let number = if random.one_in(10) { number.to_ascii_lowercase() } else { number.to_owned() };
        self.posts
            .insert(id, json!({"id": id, "nationalPostNumber": number, "status": status, "owner": "Invented Office"}));
    }

    fn add_person(&mut self, random: &mut Random) -> u64 {
        let id = self.id(random);
        let gmc = match random.between(0, 9) {
            0 => json!("UNKNOWN"),
            1 => Value::Null,
            // Two people with one number.
            2 => json!("7000001"),
            _ => json!(format!("7{id:06}")),
        };
        let person = json!({
            "id": id,
            "contactDetails": {
                "surname": format!("Sample{id}"),
                "legalSurname": random.pick(&[Value::Null, json!(""), json!(format!("O\"Test{id}"))]),
                "forenames": random.pick(&["Ann", "Bo", "Zoë"]),
                "legalForenames": random.pick(&[Value::Null, json!("Legal Ann")]),
                "maidenName": random.pick(&["", "Formerly"]),
                "title": random.pick(&["Dr", "Miss", "Professor", "Baron"]),
                "email": format!("sample{id}@example.org"),
                "telephoneNumber": "01632 960001",
                "mobileNumber": "07700 900001",
                "address1": "1 Invented Street, Flat 2",
                "address4": "Sampleton",
                "postCode": random.pick(&["AB1 2CD", " sw1a1aa ", "Doha, Qatar", "AB1 2CD,", "", "GIR 0AA", "12345"]),
                "country": random.pick(&["", "United Kingdom", "Qatar", "Ireland", "Atlantis"]),
            },
            "personalDetails": {
                "dateOfBirth": if random.one_in(8) { Value::Null } else { json!("1990-04-01") },
                "gender": random.pick(&["Male", "Female", "I prefer not to specify"]),
                "maritalStatus": random.pick(&["Single", "Married", "Complicated"]),
                "nationality": random.pick(&["British", "Irish", "Martian"]),
                "ethnicOrigin": random.pick(&["White - British", "A - White - British", "White British", "Not stated", "Martian"]),
                "religiousBelief": random.pick(&["Atheism", "Hinduism", "Pastafarian"]),
                "sexualOrientation": random.pick(&["Heterosexual", "Bisexual", "Unlisted"]),
                "disability": random.pick(&["YES", "NO", "MAYBE"]),
                "nationalInsuranceNumber": "QQ123456C",
            },
            "gmcDetails": {"gmcNumber": gmc, "gmcEndDate": random.pick(&[Value::Null, json!("2030-01-31"), json!("9999-12-31")])},
            "gdcDetails": {"gdcNumber": random.pick(&[Value::Null, Value::Null, json!("D5001")]), "gdcEndDate": "2031-02-28"},
        });
        self.people.insert(id, person);
        id
    }

    fn add_placement(&mut self, random: &mut Random, today: Date) {
        let Some((post, number)) = self.any_post(random) else {
            return;
        };
        let Some(trainee) = any_key(random, &self.people) else {
            return;
        };
        let id = self.id(random);
        let mut placement = placement(random, id, trainee, post, &number);
        set_dates(random, &mut placement, today);
        self.placements.insert(id, placement);
    }

    /// Far more trainees than one file may carry of a number (A10).
    fn add_crowd(&mut self, random: &mut Random, today: Date) {
        let Some((post, number)) = self.any_post(random) else {
            return;
        };
        for _ in 0..random.between(44, 60) {
            let trainee = self.add_person(random);
            let id = self.id(random);
            let mut placement = placement(random, id, trainee, post, &number);
            let start = today.saturating_add((random.between(2, 30) as i64).days());
            placement["dateFrom"] = json!(start.to_string());
            placement["dateTo"] = json!(start.saturating_add(90.days()).to_string());
            self.placements.insert(id, placement);
        }
    }

    fn any_post(&self, random: &mut Random) -> Option<(u64, String)> {
        let id = any_key(random, &self.posts)?;
        let number = self.posts[&id]["nationalPostNumber"].as_str()?.to_owned();
        Some((id, number))
    }

    /// What happens in TIS between two runs.
    pub(crate) fn change(&mut self, random: &mut Random, positions: &[u64], today: Date) {
        let most = if random.one_in(3) { 3 } else { 25 };
        for _ in 0..random.between(0, most) {
            match random.between(0, 24) {
                0..=2 => self.change_post(random),
                3 | 20 | 21 => self.add_placement(random, today),
                4 => self.change_person(random),
                5 => self.bring_back(random),
                6 => self.add_event(random, positions),
                22 | 23 => self.merge_people(random),
                24 => self.enter_again(random, today),
                _ => self.change_placement(random, today),
            }
        }
    }

    fn change_post(&mut self, random: &mut Random) {
        let number = self.number_for_post(random);
        let Some(id) = any_key(random, &self.posts) else {
            return;
        };
        match random.between(0, 6) {
            0..=2 => self.add_post(random, &number),
            3 => {
                self.posts.remove(&id);
            }
            4 => self.renumber(random, id),
            _ => self.set_post(id, "status", random.pick(&["CURRENT", "INACTIVE", "DELETE"])),
        }
    }

    /// Mostly a number that no post carries yet.
    fn number_for_post(&self, random: &mut Random) -> String {
        let free = self.free_numbers();
        if free.is_empty() || random.one_in(4) { random.pick(&self.numbers) } else { random.pick(&free) }
    }

    fn free_numbers(&self) -> Vec<String> {
        let used: Vec<String> = self.posts.values().map(number_of).collect();
        self.numbers.iter().filter(|number| !used.contains(number)).cloned().collect()
    }

    fn set_post(&mut self, id: u64, field: &str, value: &str) {
        if let Some(post) = self.posts.get_mut(&id) {
            post[field] = json!(value);
        }
    }

    /// A post that shares no number takes one that no post has; its placements mostly follow.
    fn renumber(&mut self, random: &mut Random, id: u64) {
        let old = number_of(&self.posts[&id]);
        let free = self.free_numbers();
        if self.posts.values().filter(|post| number_of(post) == old).count() > 1 || free.is_empty() {
            return;
        }
        let new = random.pick(&free);
        self.set_post(id, "nationalPostNumber", &new);
        let follow = !random.one_in(6);
        for placement in self.placements.values_mut() {
            if follow && number_of(placement) == old {
                placement["nationalPostNumber"] = json!(new);
            }
        }
    }

    fn change_person(&mut self, random: &mut Random) {
        let Some(id) = any_key(random, &self.people) else {
            return;
        };
        if random.one_in(8) {
            self.people.remove(&id);
            return;
        }
        let Some(person) = self.people.get_mut(&id) else {
            return;
        };
        match random.between(0, if self.corrects_numbers { 4 } else { 3 }) {
            0 | 1 => person["personalDetails"]["dateOfBirth"] = json!("1991-05-02"),
            4 => {
                let numbers = [Value::Null, json!("UNKNOWN"), json!("7000001"), json!(format!("8{id:06}"))];
                person["gmcDetails"]["gmcNumber"] = random.pick(&numbers);
            }
            2 => person["contactDetails"]["surname"] = json!(format!("Renamed{id}")),
            _ => person["contactDetails"]["postCode"] = json!("EX1 1AA"),
        }
    }

    /// TIS finds that a doctor has two records: her placements move to the other one, which mostly has her number.
    fn merge_people(&mut self, random: &mut Random) {
        let Some(old) = any_key(random, &self.people) else {
            return;
        };
        let new = if random.one_in(2) { self.id(random) } else { any_key(random, &self.people).unwrap_or(old) };
        if new == old {
            return;
        }
        let mut merged = self.people[&old].clone();
        merged["id"] = json!(new);
        match random.between(0, 9) {
            0 => merged["gmcDetails"]["gmcNumber"] = Value::Null,
            1 => merged["gmcDetails"]["gmcNumber"] = json!(format!("6{new:06}")),
            2 => merged["contactDetails"]["surname"] = json!(format!("Merged{new}")),
            _ => {}
        }
        self.people.insert(new, merged);
        for placement in self.placements.values_mut().filter(|placement| placement["traineeId"] == json!(old)) {
            if !random.one_in(8) {
                placement["traineeId"] = json!(new);
            }
        }
        if random.one_in(2) {
            self.people.remove(&old);
        }
    }

    /// A placement is deleted and entered again, mostly as it was.
    fn enter_again(&mut self, random: &mut Random, today: Date) {
        let Some(old) = any_key(random, &self.placements) else {
            return;
        };
        let Some(mut placement) = self.placements.remove(&old) else {
            return;
        };
        self.gone.push(placement.clone());
        let new = self.id(random);
        placement["id"] = json!(new);
        placement["esrEvents"] = json!([]);
        match random.between(0, 7) {
            0 => set_dates(random, &mut placement, today),
            1 => placement["lifecycleState"] = json!("DRAFT"),
            2 => placement["traineeId"] = json!(any_key(random, &self.people)),
            _ => {}
        }
        if random.one_in(4) {
            let twin = self.id(random);
            let mut second = placement.clone();
            second["id"] = json!(twin);
            self.placements.insert(twin, second);
        }
        self.placements.insert(new, placement);
    }

    fn bring_back(&mut self, random: &mut Random) {
        if self.gone.is_empty() {
            return;
        }
        let placement = random.pick(&self.gone);
        let id = placement["id"].as_u64().unwrap_or_default();
        self.placements.entry(id).or_insert(placement);
    }

    fn add_event(&mut self, random: &mut Random, positions: &[u64]) {
        let Some(id) = any_key(random, &self.placements).filter(|_| !positions.is_empty()) else {
            return;
        };
        let event = json!({
            "exportedAt": "2026-01-05T14:00:00Z",
            "filename": "DE_EOE_APP_20260105_00000001.DAT",
            "placementId": id,
            "positionId": random.pick(positions),
            "positionNumber": 1,
            "status": random.pick(&["EXPORTED", "EXPORTED_AND_PROCESSED"]),
        });
        if let Some(events) = self.placements.get_mut(&id).and_then(|placement| placement["esrEvents"].as_array_mut()) {
            events.push(event);
        }
    }

    fn change_placement(&mut self, random: &mut Random, today: Date) {
        let Some(id) = any_key(random, &self.placements) else {
            return;
        };
        let post = self.any_post(random);
        let trainee = any_key(random, &self.people);
        if random.one_in(6) {
            self.gone.extend(self.placements.remove(&id));
            return;
        }
        let Some(placement) = self.placements.get_mut(&id) else {
            return;
        };
        match random.between(0, 13) {
            0..=2 => set_dates(random, placement, today),
            3 => placement["dateTo"] = json!(edge(random, today).saturating_add(30.days()).to_string()),
            4 => placement["dateTo"] = json!(today.saturating_sub((random.between(1, 3) as i64).days()).to_string()),
            5 => move_post(random, placement, post),
            6 => placement["traineeId"] = json!(trainee),
            7 | 8 => {
                let draft = placement["lifecycleState"] == "DRAFT";
                placement["lifecycleState"] = json!(if draft { "APPROVED" } else { "DRAFT" });
            }
            9 => placement["placementType"] = json!(random.pick(&["In post", "OOPC"])),
            10..=12 => placement["wholeTimeEquivalent"] = json!(random.pick(&[0.5, 0.9, 1.0])),
            _ => placement["siteCode"] = json!(random.pick(&["RGT01", "R1F01"])),
        }
        keep_order(placement);
    }

    /// The whole of TIS as files; later ones are sometimes absent or damaged.
    pub(crate) fn snapshot(&self, random: &mut Random, first: bool) -> Snapshot {
        let cut = !first && self.people.len() > 52 && random.one_in(3);
        let people: BTreeMap<u64, Value> =
            self.people.clone().into_iter().take(if cut { 1 } else { usize::MAX }).collect();
        Snapshot {
            posts: file(random, &self.posts, first),
            placements: file(random, &self.placements, first),
            people: file(random, &people, first),
        }
    }
}

fn placement(random: &mut Random, id: u64, trainee: u64, post: u64, number: &str) -> Value {
    let site = random.pick(&SITES);
    let number = if random.one_in(12) { format!(" {} ", number.to_ascii_lowercase()) } else { number.to_owned() };
    json!({
        "id": id,
        // Now and then a trainee whom TIS does not know as a person.
        "traineeId": if random.one_in(25) { 99 } else { trainee },
        "traineeFirstName": "Placed",
        "traineeLastName": "Person",
        "traineeGmcNumber": "7999999",
        "nationalPostNumber": number,
        "postId": if random.one_in(6) { Value::Null } else { json!(post) },
        "wholeTimeEquivalent": random.pick(&[json!(1), json!(1.0), json!(0.8), json!(0.75), json!(0.6), Value::Null]),
        "siteCode": site.0,
        "siteName": site.1,
        "gradeAbbreviation": random.pick(&["ST3", "F1"]),
        "placementType": random.pick(&KINDS),
        "lifecycleState": random.pick(&["APPROVED", "APPROVED", "APPROVED", "APPROVED", "DRAFT"]),
        "esrEvents": [],
    })
}

fn number_of(object: &Value) -> String {
    crate::world::fold(object["nationalPostNumber"].as_str().unwrap_or_default())
}

fn any_key(random: &mut Random, objects: &BTreeMap<u64, Value>) -> Option<u64> {
    let keys: Vec<u64> = objects.keys().copied().collect();
    (!keys.is_empty()).then(|| random.pick(&keys))
}

/// A date near one of the edges of the rules.
fn edge(random: &mut Random, today: Date) -> Date {
    let days = [-200, -91, -30, -3, -2, -1, 0, 1, 2, 3, 4, 10, 45, 88, 89, 90, 91, 92, 93, 94, 96, 120];
    today.saturating_add(random.pick(&days).days())
}

fn set_dates(random: &mut Random, placement: &mut Value, today: Date) {
    let start = edge(random, today);
    placement["dateFrom"] = json!(start.to_string());
    placement["dateTo"] = match random.between(0, 6) {
        0 => Value::Null,
        6 if random.one_in(2) => json!("9999-12-31"),
        1 => json!(edge(random, today).to_string()),
        _ => json!(start.saturating_add(random.pick(&[1, 29, 30, 90, 91, 180]).days()).to_string()),
    };
    keep_order(placement);
}

/// An end never lies before its start.
fn keep_order(placement: &mut Value) {
    let (start, end) = (placement["dateFrom"].as_str(), placement["dateTo"].as_str());
    if start > end && end.is_some() {
        placement["dateTo"] = placement["dateFrom"].clone();
    }
}

/// To another post: number and post id together, or one of them alone.
fn move_post(random: &mut Random, placement: &mut Value, post: Option<(u64, String)>) {
    let Some((id, number)) = post else {
        return;
    };
    let part = random.between(0, 5);
    if part != 0 {
        // Without a number it matches nothing (D113).
        let number = if random.one_in(8) { " ".to_owned() } else { number };
        placement["nationalPostNumber"] = json!(number);
    }
    if part != 1 {
        placement["postId"] = json!(id);
    }
}

fn file(random: &mut Random, objects: &BTreeMap<u64, Value>, first: bool) -> Option<String> {
    if !first && random.one_in(14) {
        return None;
    }
    // An export that has gone wrong: it deletes nothing (D112).
    if !first && random.one_in(20) {
        return Some(String::new());
    }
    let mut lines: Vec<String> = objects.values().map(Value::to_string).collect();
    if random.one_in(5) {
        lines = objects.values().map(|object| with_decimal_ids(object).to_string()).collect();
    }
    if random.one_in(10) && !lines.is_empty() {
        let at = random.index(lines.len());
        "{\"id\": 12, \"nationalPostNumber\": ".clone_into(&mut lines[at]);
    }
    if !first && random.one_in(6) {
        contradict(random, objects, &mut lines);
    }
    Some(lines.join("\n") + "\n")
}

/// Ids as `1.0` (D113).
fn with_decimal_ids(object: &Value) -> Value {
    let mut object = object.clone();
    for name in ["id", "traineeId", "postId"] {
        if let Some(id) = object.get(name).and_then(Value::as_u64) {
            object[name] = json!(id as f64);
        }
    }
    object
}

/// Puts a line with the id of an object and the content of another before the others. The last line counts (D113).
fn contradict(random: &mut Random, objects: &BTreeMap<u64, Value>, lines: &mut Vec<String>) {
    let (Some(id), Some(other)) = (any_key(random, objects), any_key(random, objects)) else { return };
    let mut line = objects[&other].clone();
    line["id"] = json!(id);
    lines.insert(0, line.to_string());
}
