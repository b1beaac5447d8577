//! What a check objects to.

use std::fmt;

use serde::Serialize;

/// One thing that keeps an old and a new version of a schema from being used side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field, with those that enclose it: `placement.person.name`. `[]` stands for the items of an array. Empty for
    /// the record itself.
    pub field: String,
    /// The rule that the change breaks.
    pub rule: Rule,
    /// The reader that fails.
    pub reader: Reader,
    /// What this reader meets.
    pub why: String,
    /// A way that works, step by step.
    pub instead: String,
}

/// Which of the two versions reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// A program of the old version, which reads what the new one wrote.
    Old,
    /// A program of the new version, which reads what the old one wrote.
    New,
}

/// Where in a contract a problem stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Full name of the record or enum.
    pub(crate) named: String,
    /// The field or the symbol; empty for the type itself.
    pub(crate) part: String,
}

/// A problem and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) problem: Problem,
    pub(crate) place: Place,
}

/// Declares the rules with their stable codes.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $code:literal),+ $(,)?) => {
        /// The rules of a change. Their codes are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Rule {
            $($(#[$doc])* #[serde(rename = $code)] $rule,)+
        }

        impl Rule {
            /// All rules.
            pub const ALL: &'static [Self] = &[$(Self::$rule),+];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$rule => $code),+ }
            }
        }
    };
}

rules! {
    /// A field was added that has no default.
    FieldAddedWithoutDefault = "field-added-without-default",
    /// A field was removed that had no default.
    FieldRemovedWithoutDefault = "field-removed-without-default",
    /// A field has another name.
    FieldRenamed = "field-renamed",
    /// A field with a default has another name, and an alias: old readers read their default, without an error.
    FieldRenamedUnderDefaults = "field-renamed-under-defaults",
    /// A field has a type that has nothing to do with the old one.
    TypeChanged = "type-changed",
    /// A number has a wider type.
    TypeWidened = "type-widened",
    /// A number has a narrower type.
    TypeNarrowed = "type-narrowed",
    /// Text became bytes, or bytes became text.
    TextAndBytes = "text-and-bytes",
    /// The same bytes have another meaning.
    LogicalTypeChanged = "logical-type-changed",
    /// A field that always had a value may now be null.
    BecameOptional = "became-optional",
    /// A field that may have been null must now have a value.
    BecameRequired = "became-required",
    /// A union has a further branch.
    BranchAdded = "branch-added",
    /// A union has one branch less.
    BranchRemoved = "branch-removed",
    /// An enum without default has a further symbol.
    SymbolAdded = "symbol-added",
    /// An enum without default has one symbol less.
    SymbolRemoved = "symbol-removed",
    /// A record or an enum has another name.
    TypeRenamed = "type-renamed",
    /// A record or an enum has another namespace.
    NamespaceChanged = "namespace-changed",
    /// A field allows fewer values than before, by its `tributary.type`.
    ValuesNarrowed = "values-narrowed",
    /// A field allows more values than before, by its `tributary.type`.
    ValuesWidened = "values-widened",
    /// A field has another field of the same record as its alias.
    AliasOfAnotherField = "alias-of-another-field",
    /// A default is not a value of its field.
    DefaultDoesNotFit = "default-does-not-fit",
    /// A schema is not Avro.
    NotAvro = "not-avro",
    /// A record is no longer part of the contract.
    RecordRemoved = "record-removed",
    /// A released version was edited or removed.
    ReleasedVersionEdited = "released-version-edited",
    /// Avro cannot resolve the two schemas, for a reason that no other rule covers.
    NotReadable = "not-readable",
}

impl Rule {
    /// Whether Avro has this rule, so that a registry refuses what breaks it. The others are Tributary's own.
    pub const fn is_of_avro(self) -> bool {
        !matches!(
            self,
            Self::FieldRenamedUnderDefaults
                | Self::TextAndBytes
                | Self::LogicalTypeChanged
                | Self::NamespaceChanged
                | Self::ValuesNarrowed
                | Self::ValuesWidened
                | Self::AliasOfAnotherField
                | Self::RecordRemoved
                | Self::ReleasedVersionEdited
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.code())
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(formatter, "{}: ", self.field)?;
        }
        write!(formatter, "{} ({}, {} reader)", self.why, self.rule, self.reader)
    }
}
