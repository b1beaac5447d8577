//! The word lists of the invented region. The offices have real interface codes (section 10.2 of the domain).
//! Everything else is invented, so that nobody takes it for a real person or place.

/// An office of the interface.
pub(crate) struct Office {
    /// The code in file names.
    pub(crate) code: &'static str,
    /// The first part of its national post numbers. KSS posts have `LDN`.
    pub(crate) prefix: &'static str,
    /// The name of the TIS local office that owns its posts.
    pub(crate) owner: &'static str,
}

const fn office(code: &'static str, prefix: &'static str, owner: &'static str) -> Office {
    Office { code, prefix, owner }
}

/// All 13 offices. The smaller scales use the first ones.
pub(crate) const OFFICES: [Office; 13] = [
    office("EOE", "EOE", "East of England"),
    office("LDN", "LDN", "South London"),
    office("KSS", "LDN", "Kent, Surrey and Sussex"),
    office("EMD", "EMD", "East Midlands"),
    office("MER", "MER", "North West"),
    office("NTH", "NTH", "North East"),
    office("NWN", "NWN", "North West"),
    office("OXF", "OXF", "Thames Valley"),
    office("PEN", "PEN", "South West"),
    office("SEV", "SEV", "South West"),
    office("WES", "WES", "Wessex"),
    office("WMD", "WMD", "West Midlands"),
    office("YHD", "YHD", "Yorkshire and the Humber"),
];

pub(crate) const FIRST_NAMES: [&str; 32] = [
    "Alder", "Amber", "Ash", "Azure", "Beech", "Birch", "Cedar", "Cobalt", "Copper", "Coral", "Cyan", "Cypress",
    "Ebony", "Elm", "Hazel", "Hickory", "Indigo", "Ivory", "Juniper", "Larch", "Lilac", "Magnolia", "Maple", "Mauve",
    "Ochre", "Olive", "Rowan", "Sienna", "Teal", "Umber", "Willow", "Yew",
];

pub(crate) const SURNAME_STARTS: [&str; 10] =
    ["Test", "Sample", "Mock", "Demo", "Example", "Dummy", "Specimen", "Tëst", "Señal", "Prøve"];

pub(crate) const SURNAME_ENDS: [&str; 16] = [
    "wood", "ford", "field", "stone", "brook", "ley", "well", "bridge", "moor", "croft", "dale", "mere", "shaw",
    "thorpe", "wick", "gate",
];

pub(crate) const PLACES: [&str; 24] = [
    "Acorn", "Bramble", "Catkin", "Clover", "Conker", "Fern", "Foxglove", "Gorse", "Heather", "Hemlock", "Ivy",
    "Lichen", "Moss", "Nettle", "Pinecone", "Poppy", "Primrose", "Reed", "Sedge", "Sorrel", "Teasel", "Thistle",
    "Thyme", "Yarrow",
];

pub(crate) const TITLES: [&str; 6] = ["Dr", "Dr", "Miss", "Mr", "Mrs", "Ms"];

pub(crate) const GENDERS: [&str; 3] = ["Female", "Male", "I prefer not to specify"];

pub(crate) const ETHNIC_ORIGINS: [&str; 6] = [
    "White - British",
    "White - Irish",
    "Chinese",
    "Any other ethnic group",
    "Not stated",
    "Asian or Asian British - Indian",
];

pub(crate) const RELIGIONS: [&str; 5] = ["Atheism", "Buddhism", "Christianity", "Islam", "Other"];

/// A specialty: the code in post numbers, the occupation code, the area of work.
pub(crate) const SPECIALTIES: [(&str, &str, &str); 16] = [
    ("300", "021", "General Medicine"),
    ("100", "101", "General Surgery"),
    ("CPT", "051", "Core Psychiatry Training"),
    ("420", "031", "Paediatrics"),
    ("501", "041", "Obstetrics"),
    ("110", "111", "Trauma and Orthopaedics"),
    ("800", "800", "General Practice"),
    ("320", "321", "Cardiology"),
    ("340", "341", "Respiratory Medicine"),
    ("330", "331", "Dermatology"),
    ("400", "401", "Neurology"),
    ("430", "431", "Geriatric Medicine"),
    ("810", "811", "Clinical Radiology"),
    ("190", "191", "Anaesthetics"),
    ("180", "181", "Emergency Medicine"),
    ("120", "121", "Ear, Nose and Throat"),
];

/// A grade: abbreviation, name, job role, pay scale.
pub(crate) const GRADES: [(&str, &str, &str, &str); 7] = [
    ("FY1", "Foundation Year 1", "Foundation Year 1", "MN13"),
    ("FY2", "Foundation Year 2", "Foundation Year 2", "MN15"),
    ("STR", "Specialty Registrar", "Specialty Registrar", "MS02"),
    ("GPST", "GP Specialty Training", "Specialty Registrar (General Practice)", "MS02"),
    ("HT", "Higher Training", "Specialty Registrar", "MS04"),
    ("CTL", "Core Training Level", "Core Trainee", "MS01"),
    ("STR(H)", "Specialty Registrar (hospital)", "Specialty Registrar", "MS03"),
];

/// Suffixes of post numbers: none, academic, military, supernumerary.
pub(crate) const SUFFIXES: [&str; 4] = ["", "A", "M", "S"];

/// Placement types: first those that count (A8), then the others.
pub(crate) const PLACEMENT_TYPES: [&str; 12] = [
    "In post",
    "In Post",
    "In Post - Acting Up",
    "In post - Extension",
    "Parental Leave",
    "Long-term sick",
    "Suspended",
    "Phased Return",
    "OOPC",
    "OOPE",
    "OOPR",
    "OOPT",
];

/// The number of [`PLACEMENT_TYPES`] that count (A8).
pub(crate) const COUNTED_TYPES: usize = 8;

pub(crate) const ORIENTATIONS: [&str; 4] = ["Bisexual", "Gay", "Heterosexual", "Lesbian"];
