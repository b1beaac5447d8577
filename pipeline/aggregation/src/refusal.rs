//! Why the index refuses a request.

/// The reason, which becomes the faultstring. It names no patient and no contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too few or too many transactions, or a question without a mandatory field.
    #[error("EI000: A technical error has occurred: {0}")]
    Technical(String),
    /// Rule Update-R1.
    #[error("EI002: The transactions #{first} and #{second} have the same key, see rule Update-R1")]
    Duplicate {
        /// The earlier one, counted from 1.
        first: usize,
        /// The later one.
        second: usize,
    },
    /// Rule Update-R7.
    #[error("EI003: The logical address is {address} but the owner is {owner}, see rule Update-R7")]
    WrongAddress {
        /// The address of the request, or `missing`.
        address: String,
        /// The owner of the index.
        owner: String,
    },
    /// A field that does not fit.
    #[error("EI004: The payload does not validate: {0}")]
    Invalid(String),
    /// A logical address that no engagement may have.
    #[error("EI005: The logicalAddress of transaction #{number} is reserved: {address}")]
    ReservedAddress {
        /// The transaction, counted from 1.
        number: usize,
        /// The address.
        address: String,
    },
    /// A source system that no engagement may have.
    #[error("EI006: The sourceSystem of transaction #{number} is reserved: {address}")]
    ReservedSource {
        /// The transaction, counted from 1.
        number: usize,
        /// The source system.
        address: String,
    },
}

impl Refusal {
    pub(crate) fn missing(field: &str) -> Self {
        Self::Invalid(format!("mandatory field \"{field}\" is missing"))
    }

    pub(crate) fn too_long(field: &str, most: usize) -> Self {
        Self::Invalid(format!("Field \"{field}\" is too long, at most {most} characters are allowed"))
    }

    pub(crate) fn twice(element: &str) -> Self {
        Self::Invalid(format!("Field \"{element}\" is there more than once"))
    }

    pub(crate) fn no_boolean(field: &str) -> Self {
        Self::Invalid(format!("Field \"{field}\" is none of true, false, 1 and 0"))
    }

    pub(crate) fn no_time(field: &str) -> Self {
        Self::Invalid(format!("Field \"{field}\" is no time in the form yyyyMMddHHmmss"))
    }
}
