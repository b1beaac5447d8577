//! Binds a codec to a registry: which records are on which topics, and under which ids.

use std::sync::Arc;

use tributary_runtime::Topic;

use crate::codec::{Codec, TopicRecords};
use crate::records::RecordType;
use crate::registry::{Registry, RegistryError, subject};

/// Collects topics, then registers their schemas and builds the [`Codec`].
#[derive(Debug)]
pub struct CodecBuilder {
    registry: Arc<dyn Registry>,
    namespace: String,
    topics: Vec<TopicRecords>,
    registers: bool,
    unknown: Option<RegistryError>,
}

impl CodecBuilder {
    /// A builder without topics.
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        Self { registry, namespace: String::new(), topics: Vec::new(), registers: true, unknown: None }
    }

    /// The prefix that the log gives topic names. Subjects have it too.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Whether missing schemas are registered. If not, the codec looks them up and writes nothing to the registry.
    #[must_use]
    pub fn registers(self, registers: bool) -> Self {
        Self { registers, ..self }
    }

    /// Adds a topic by name.
    #[must_use]
    pub fn topic(mut self, topic: &str, records: &[RecordType]) -> Self {
        self.topics.push(TopicRecords { topic: topic.to_owned(), records: records.to_vec() });
        self
    }

    /// Adds topics as the flow declares them. Internal topics declare no records and are left out.
    #[must_use]
    pub fn topics(mut self, topics: impl IntoIterator<Item = &'static Topic>) -> Self {
        for topic in topics {
            let mut records = Vec::with_capacity(topic.records.len());
            for name in topic.records {
                if let Some(record) = RecordType::from_full_name(name) {
                    records.push(record);
                } else {
                    let (topic, record) = (topic.name.to_owned(), (*name).to_owned());
                    self.unknown.get_or_insert(RegistryError::NoSuchRecord { topic, record });
                }
            }
            if !records.is_empty() {
                self = self.topic(topic.name, &records);
            }
        }
        self
    }

    /// Registers every schema that the registry lacks, unless it may not, and builds the codec.
    ///
    /// # Errors
    /// [`RegistryError`], for example when earlier versions forbid a schema. [`RegistryError::NotRegistered`] when
    /// schemas are missing and it may not register them.
    pub fn build(self) -> Result<Codec, RegistryError> {
        if let Some(unknown) = self.unknown {
            return Err(unknown);
        }
        let records: Vec<(String, RecordType)> = self
            .topics
            .iter()
            .flat_map(|declared| declared.records.iter().map(move |record| (&declared.topic, *record)))
            .map(|(topic, record)| (subject(&format!("{}{topic}", self.namespace), record), record))
            .collect();
        let schemas: Vec<(String, &str)> =
            records.iter().map(|(subject, record)| (subject.clone(), record.schema_json())).collect();
        let ids = if self.registers { self.registry.register_all(&schemas)? } else { self.look_up(&schemas)? };
        let ids: Vec<(RecordType, u32)> = records.into_iter().map(|(_, record)| record).zip(ids).collect();
        Ok(Codec::new(self.registry, self.topics, &ids))
    }
    /// The ids of schemas that must be there.
    fn look_up(&self, schemas: &[(String, &str)]) -> Result<Vec<u32>, RegistryError> {
        let mut ids = Vec::with_capacity(schemas.len());
        let mut missing = Vec::new();
        for (subject, schema) in schemas {
            match self.registry.lookup(subject, schema)? {
                Some(id) => ids.push(id),
                None => missing.push(subject.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(ids);
        }
        Err(RegistryError::NotRegistered { location: self.registry.location(), subjects: missing })
    }
}
