//! Values of stores. Each has a schema, so that another version of the program can read it.

/// Converts the bytes of another schema to those of today's.
pub type Convert = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, String> + Send>;

/// The schema of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSchema {
    /// Identifies the layout of the bytes: CRC-64-AVRO of the schema in its canonical form.
    pub fingerprint: u64,
    /// The full name of the record.
    pub name: &'static str,
    /// The schema itself. It needs no other schema.
    pub text: &'static str,
}

/// A value of a store.
pub trait StateValue: Clone + Send + 'static {
    /// Today's schema. `None` for a value without bytes.
    const SCHEMA: Option<StateSchema>;

    /// Appends the value under today's schema.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a value that fills all of `body`, written under today's schema.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn read(body: &[u8]) -> Result<Self, String>;

    /// How to read bytes that were written under another schema, given as [`StateSchema::text`].
    ///
    /// # Errors
    /// Why today's schema cannot read what the other wrote.
    fn convert(writer: &str) -> Result<Convert, String>;
}

/// The value of a store that is a set of keys. A set that needs values is another store.
impl StateValue for () {
    const SCHEMA: Option<StateSchema> = None;

    fn write(&self, _: &mut Vec<u8>) {}

    fn read(body: &[u8]) -> Result<Self, String> {
        if body.is_empty() { Ok(()) } else { Err("an entry of a set has a value".to_owned()) }
    }

    fn convert(_: &str) -> Result<Convert, String> {
        Err("an entry of a set has no schema".to_owned())
    }
}

impl<V: StateValue> StateValue for Box<V> {
    const SCHEMA: Option<StateSchema> = V::SCHEMA;

    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }

    fn read(body: &[u8]) -> Result<Self, String> {
        V::read(body).map(Box::new)
    }

    fn convert(writer: &str) -> Result<Convert, String> {
        V::convert(writer)
    }
}

/// Values for tests, which need no contract.
#[cfg(any(test, feature = "faults"))]
mod of_tests {
    use super::{Convert, StateSchema, StateValue};

    macro_rules! number {
        ($($number:ty, $fingerprint:literal;)+) => {$(
            impl StateValue for $number {
                const SCHEMA: Option<StateSchema> = Some(StateSchema {
                    fingerprint: $fingerprint,
                    name: stringify!($number),
                    text: stringify!($number),
                });

                fn write(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice(&self.to_be_bytes());
                }

                fn read(body: &[u8]) -> Result<Self, String> {
                    body.try_into().map(Self::from_be_bytes).map_err(|_| format!("{} bytes", body.len()))
                }

                fn convert(writer: &str) -> Result<Convert, String> {
                    Err(format!("{writer} is not {}", stringify!($number)))
                }
            }
        )+};
    }

    number! {
        u32, 1;
        u64, 2;
    }

    impl StateValue for String {
        const SCHEMA: Option<StateSchema> = Some(StateSchema { fingerprint: 3, name: "String", text: "String" });

        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(self.as_bytes());
        }

        fn read(body: &[u8]) -> Result<Self, String> {
            String::from_utf8(body.to_vec()).map_err(|error| error.to_string())
        }

        fn convert(writer: &str) -> Result<Convert, String> {
            Err(format!("{writer} is not String"))
        }
    }
}
