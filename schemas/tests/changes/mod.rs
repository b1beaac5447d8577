//! A small contract, and every kind of change to it: what a check says, and what any other judge must say too.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use tributary_schemas::compatibility::Reader::{self, New, Old};
use tributary_schemas::compatibility::Rule::{self, *};
use tributary_schemas::contract::{Contract, SourceFile};

const SAMPLE: &str = r#"{
  "type": "record",
  "name": "Sample",
  "namespace": "test",
  "doc": "A sample.",
  "fields": [
    {"name": "id", "type": "long"},
    {"name": "count", "type": "int", "default": 0},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "title", "type": "string"},
    {"name": "office", "type": "string", "tributary.type": "esr.Office"},
    {"name": "status", "type": "Status", "default": "OPEN"},
    {"name": "strict", "type": "Strict"},
    {"name": "inner", "type": "Inner"},
    {"name": "list", "type": {"type": "array", "items": "Inner"}, "default": []}
  ]
}
"#;

const INNER: &str = r#"{
  "type": "record",
  "name": "Inner",
  "namespace": "test",
  "doc": "A part.",
  "fields": [
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "text", "type": "string", "default": ""}
  ]
}
"#;

const STATUS: &str = r#"{
  "type": "enum",
  "name": "Status",
  "namespace": "test",
  "doc": "With a default.",
  "symbols": ["OPEN", "CLOSED"],
  "default": "OPEN"
}
"#;

const STRICT: &str = r#"{
  "type": "enum",
  "name": "Strict",
  "namespace": "test",
  "doc": "Without a default.",
  "symbols": [
    "YES",
    "NO"
  ]
}
"#;

/// The record of the small contract.
pub const RECORD: &str = "test.Sample";

/// File, the text in it, and what replaces it.
pub type Edits = &'static [(&'static str, &'static str, &'static str)];

/// Field, rule, reader, file and line of each problem.
pub type Expected = &'static [(&'static str, Rule, Reader, &'static str, u32)];

/// Old and new type of a field, and the problems.
pub type OfTypes = (&'static str, &'static str, &'static [(Rule, Reader)]);

/// A change, and what a check objects to: field, rule, reader, file and line.
pub struct Change {
    pub name: &'static str,
    pub edits: Edits,
    pub problems: Expected,
}

const fn allowed(name: &'static str, edits: Edits) -> Change {
    Change { name, edits, problems: &[] }
}

/// The contract after these edits.
pub fn contract(edits: &[(&str, &str, &str)]) -> Contract {
    let mut files = Vec::new();
    for (name, text) in [("Sample", SAMPLE), ("Inner", INNER), ("Status", STATUS), ("Strict", STRICT)] {
        let mut text = text.to_owned();
        for (_, from, to) in edits.iter().filter(|(file, _, _)| *file == name) {
            assert!(text.contains(from), "{from} is not in {name}");
            text = text.replace(from, to);
        }
        let name = text.split("\"name\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        files.push(SourceFile { path: format!("test/{name}.avsc"), text });
    }
    Contract::of(files, Vec::new()).unwrap()
}

const ID: &str = r#"{"name": "id", "type": "long"},"#;
const COUNT: &str = r#"{"name": "count", "type": "int", "default": 0},"#;
const NOTE: &str = r#"{"name": "note", "type": ["null", "string"], "default": null},"#;
const TITLE: &str = r#"{"name": "title", "type": "string"},"#;
const OFFICE: &str = r#"{"name": "office", "type": "string", "tributary.type": "esr.Office"},"#;

/// Every kind of change that is allowed.
pub const ALLOWED: &[Change] = &[
    allowed("nothing", &[]),
    allowed("a description", &[("Sample", "A sample.", "Another text.")]),
    allowed(
        "a field with a default",
        &[(
            "Sample",
            ID,
            r#"{"name": "id", "type": "long"}, {"name": "more", "type": ["null", "long"], "default": null},"#,
        )],
    ),
    allowed(
        "a field with a default in an inner record",
        &[("Inner", r#""default": ""}"#, r#""default": ""}, {"name": "more", "type": "int", "default": 3}"#)],
    ),
    allowed("a field with a default is removed", &[("Sample", COUNT, "")]),
    allowed(
        "the first use of a type is removed",
        &[(
            "Sample",
            r#"{"name": "status", "type": "Status", "default": "OPEN"},"#,
            r#"{"name": "another", "type": "Status", "default": "OPEN"},"#,
        )],
    ),
    allowed(
        "a field moves",
        &[
            ("Sample", ID, ""),
            ("Sample", TITLE, r#"{"name": "title", "type": "string"}, {"name": "id", "type": "long"},"#),
        ],
    ),
    allowed("a default is added", &[("Sample", TITLE, r#"{"name": "title", "type": "string", "default": ""},"#)]),
    allowed("another default", &[("Sample", COUNT, r#"{"name": "count", "type": "int", "default": 7},"#)]),
    allowed("a symbol of an enum with a default", &[("Status", r#""CLOSED""#, r#""CLOSED", "LOST""#)]),
    allowed("a symbol of an enum with a default is removed", &[("Status", r#", "CLOSED""#, "")]),
    allowed("the order of symbols", &[("Strict", "\"YES\",\n    \"NO\"", "\"NO\",\n    \"YES\"")]),
    allowed("an enum gets a default", &[("Strict", "  ]\n", "  ],\n  \"default\": \"NO\"\n")]),
    allowed(
        "a type for an id, which allows every long",
        &[("Sample", ID, r#"{"name": "id", "type": "long", "tributary.type": "tis.PostId"},"#)],
    ),
    allowed(
        "a type for a text, which allows every text",
        &[("Sample", TITLE, r#"{"name": "title", "type": "string", "tributary.type": "tis.Dpn"},"#)],
    ),
];

/// Every kind of change that is forbidden.
pub const FORBIDDEN: &[Change] = &[
    Change {
        name: "a field without a default",
        edits: &[(
            "Sample",
            NOTE,
            "{\"name\": \"note\", \"type\": [\"null\", \"string\"], \"default\": null},\n    \
             {\"name\": \"more\", \"type\": \"bytes\"},",
        )],
        problems: &[("more", FieldAddedWithoutDefault, New, "test/Sample.avsc", 10)],
    },
    Change {
        name: "a field without a default in an inner record",
        edits: &[("Inner", r#""default": ""}"#, "\"default\": \"\"},\n    {\"name\": \"more\", \"type\": \"int\"}")],
        problems: &[("inner.more", FieldAddedWithoutDefault, New, "test/Inner.avsc", 9)],
    },
    Change {
        name: "a field without a default is removed",
        edits: &[("Sample", ID, "")],
        problems: &[("id", FieldRemovedWithoutDefault, Old, "test/Sample.avsc", 3)],
    },
    Change {
        name: "a rename",
        edits: &[("Sample", r#""name": "title""#, r#""name": "heading""#)],
        problems: &[
            ("heading", FieldRenamed, New, "test/Sample.avsc", 10),
            ("heading", FieldRenamed, Old, "test/Sample.avsc", 10),
        ],
    },
    Change {
        name: "a rename with an alias",
        edits: &[("Sample", r#""name": "title""#, r#""name": "heading", "aliases": ["title"]"#)],
        problems: &[("heading", FieldRenamed, Old, "test/Sample.avsc", 10)],
    },
    Change {
        name: "a rename with an alias and defaults",
        edits: &[("Sample", r#""name": "count""#, r#""name": "number", "aliases": ["count"]"#)],
        problems: &[("number", FieldRenamedUnderDefaults, Old, "test/Sample.avsc", 8)],
    },
    Change {
        name: "int to long",
        edits: &[("Sample", COUNT, r#"{"name": "count", "type": "long", "default": 0},"#)],
        problems: &[("count", TypeWidened, Old, "test/Sample.avsc", 8)],
    },
    Change {
        name: "long to int",
        edits: &[("Sample", ID, r#"{"name": "id", "type": "int"},"#)],
        problems: &[("id", TypeNarrowed, New, "test/Sample.avsc", 7)],
    },
    Change {
        name: "another type",
        edits: &[("Sample", ID, r#"{"name": "id", "type": "string"},"#)],
        problems: &[("id", TypeChanged, New, "test/Sample.avsc", 7), ("id", TypeChanged, Old, "test/Sample.avsc", 7)],
    },
    Change {
        name: "a record for an array of it",
        edits: &[(
            "Sample",
            r#"{"name": "inner", "type": "Inner"}"#,
            r#"{"name": "inner", "type": {"type": "array", "items": "Inner"}}"#,
        )],
        problems: &[
            ("inner", TypeChanged, New, "test/Sample.avsc", 14),
            ("inner", TypeChanged, Old, "test/Sample.avsc", 14),
        ],
    },
    Change {
        name: "text to bytes",
        edits: &[("Sample", TITLE, r#"{"name": "title", "type": "bytes"},"#)],
        problems: &[("title", TextAndBytes, Old, "test/Sample.avsc", 10)],
    },
    Change {
        name: "a date to a number",
        edits: &[("Inner", r#"{"type": "int", "logicalType": "date"}"#, r#""int""#)],
        problems: &[
            ("inner.day", LogicalTypeChanged, New, "test/Inner.avsc", 7),
            ("inner.day", LogicalTypeChanged, Old, "test/Inner.avsc", 7),
        ],
    },
    Change {
        name: "a field becomes optional",
        edits: &[("Sample", TITLE, r#"{"name": "title", "type": ["null", "string"], "default": null},"#)],
        problems: &[("title", BecameOptional, Old, "test/Sample.avsc", 10)],
    },
    Change {
        name: "a field becomes required",
        edits: &[("Sample", NOTE, r#"{"name": "note", "type": "string", "default": ""},"#)],
        problems: &[("note", BecameRequired, New, "test/Sample.avsc", 9)],
    },
    Change {
        name: "an optional field has a wider type",
        edits: &[("Sample", NOTE, r#"{"name": "note", "type": ["null", "long"], "default": null},"#)],
        problems: &[
            ("note", TypeChanged, New, "test/Sample.avsc", 9),
            ("note", TypeChanged, Old, "test/Sample.avsc", 9),
        ],
    },
    Change {
        name: "a symbol of an enum without a default",
        edits: &[("Strict", "\"NO\"", "\"NO\",\n    \"PERHAPS\"")],
        problems: &[("strict", SymbolAdded, Old, "test/Strict.avsc", 9)],
    },
    Change {
        name: "a symbol of an enum without a default is removed",
        edits: &[("Strict", "\"YES\",\n    ", "")],
        problems: &[("strict", SymbolRemoved, New, "test/Strict.avsc", 3)],
    },
    Change {
        name: "an enum gets a default and a symbol",
        edits: &[("Strict", "\"NO\"\n  ]", "\"NO\",\n    \"PERHAPS\"\n  ],\n  \"default\": \"NO\"")],
        problems: &[("strict", SymbolAdded, Old, "test/Strict.avsc", 9)],
    },
    Change {
        name: "a type has another name",
        edits: &[
            ("Strict", r#""name": "Strict""#, r#""name": "Stern""#),
            ("Sample", r#""type": "Strict""#, r#""type": "Stern""#),
        ],
        problems: &[
            ("strict", TypeRenamed, New, "test/Sample.avsc", 13),
            ("strict", TypeRenamed, Old, "test/Sample.avsc", 13),
        ],
    },
    Change {
        name: "a type for a field that had none",
        edits: &[("Sample", TITLE, r#"{"name": "title", "type": "string", "tributary.type": "esr.FileName"},"#)],
        problems: &[("title", ValuesNarrowed, New, "test/Sample.avsc", 10)],
    },
    Change {
        name: "a type is taken from a field",
        edits: &[("Sample", OFFICE, r#"{"name": "office", "type": "string"},"#)],
        problems: &[("office", ValuesWidened, Old, "test/Sample.avsc", 11)],
    },
    Change {
        name: "another type of values",
        edits: &[("Sample", "esr.Office", "esr.FileName")],
        problems: &[
            ("office", ValuesNarrowed, New, "test/Sample.avsc", 11),
            ("office", ValuesWidened, Old, "test/Sample.avsc", 11),
        ],
    },
    Change {
        name: "a default of another type",
        edits: &[("Sample", COUNT, r#"{"name": "count", "type": "int", "default": "none"},"#)],
        problems: &[("count", DefaultDoesNotFit, New, "test/Sample.avsc", 8)],
    },
];

/// Changes of types that the contract does not use, but records of other programs may: old and new type of a field.
pub const OF_OTHERS: &[OfTypes] = &[
    (r#"["null","int"]"#, r#"["null","long"]"#, &[(TypeWidened, Old)]),
    (r#"["null","int","string"]"#, r#"["null","int"]"#, &[(BranchRemoved, New)]),
    (r#"["null","int"]"#, r#"["null","int","string"]"#, &[(BranchAdded, Old)]),
    (r#"["int","long"]"#, r#""long""#, &[]),
    (r#"["null","string"]"#, r#"["string","null"]"#, &[]),
    (r#"{"type":"map","values":"int"}"#, r#"{"type":"map","values":"long"}"#, &[(TypeWidened, Old)]),
    (
        r#"{"type":"map","values":"int"}"#,
        r#"{"type":"array","items":"int"}"#,
        &[(TypeChanged, New), (TypeChanged, Old)],
    ),
    (
        r#"{"type":"fixed","name":"F","size":4}"#,
        r#"{"type":"fixed","name":"F","size":5}"#,
        &[(TypeChanged, New), (TypeChanged, Old)],
    ),
    (r#""float""#, r#""double""#, &[(TypeWidened, Old)]),
    (r#""boolean""#, r#""int""#, &[(TypeChanged, New), (TypeChanged, Old)]),
];

/// A record with one field of a type.
pub fn record_with(field_type: &str) -> String {
    format!(
        r#"{{"type":"record","name":"Sample","namespace":"test","fields":[{{"name":"field","type":{field_type}}}]}}"#
    )
}

/// Whether a registry refuses a change: only by rules of Avro.
pub fn is_refused_by_avro(change: &Change) -> bool {
    change.problems.iter().any(|(_, rule, ..)| rule.is_of_avro())
}
