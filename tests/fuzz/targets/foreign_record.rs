//! Any bytes as a framed record, written with today's schema or with another version of it: it is read or refused.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tributary_esr::flow::DECLARATION;
use tributary_schemas::records::esr::{
    Applicant, FileChunk, Notification, PlacementAtPost, ReconciliationLine, RunRequested,
};
use tributary_schemas::records::tis::{Person, Placement, Post};
use tributary_schemas::{AvroRecord, Codec, CodecBuilder, Framed, LocalRegistry, Registry};

type Read = fn(&Framed<'_>);

const READERS: [Read; 9] = [
    read::<Post>,
    read::<Placement>,
    read::<Person>,
    read::<FileChunk>,
    read::<ReconciliationLine>,
    read::<PlacementAtPost>,
    read::<Applicant>,
    read::<Notification>,
    read::<RunRequested>,
];

fn read<R: AvroRecord>(framed: &Framed<'_>) {
    let Ok(record) = framed.read::<R>() else { return };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let again = R::decode_all(&bytes).expect("what was written reads back");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(twice, bytes, "the same record");
}

/// A codec, and the ids of schemas that are not today's: fields in another order, and one that is unknown here.
static CODEC: LazyLock<(Codec, Vec<u32>)> = LazyLock::new(|| {
    let registry = Arc::new(LocalRegistry::in_memory());
    let codec = CodecBuilder::new(Arc::clone(&registry) as Arc<dyn Registry>).topics(DECLARATION.topics()).build();
    let codec = codec.expect("a registry in memory takes all");
    let mut others = Vec::new();
    for id in 1.. {
        let Ok(Some(today)) = registry.schema(id) else { break };
        let mut schema: Value = serde_json::from_str(&today.json).expect("a schema is JSON");
        let Some(fields) = schema["fields"].as_array_mut() else { continue };
        fields.reverse();
        fields.push(json!({"name": "addedLater", "type": ["null", "string"], "default": null}));
        others.extend(registry.register(&format!("other-{id}"), &schema.to_string()));
    }
    (codec, others)
});

fuzz_target!(|bytes: &[u8]| {
    let (codec, others) = &*CODEC;
    let _ = codec.open(bytes);
    let Some((&schema, body)) = bytes.split_first() else { return };
    let others = others.get(usize::from(schema) % (2 * others.len())).copied();
    let id = others.unwrap_or_else(|| u32::from(schema));
    let mut value = vec![0];
    value.extend_from_slice(&id.to_be_bytes());
    value.extend_from_slice(body);
    let Ok(framed) = codec.open(&value) else { return };
    READERS.iter().for_each(|read| read(&framed));
});
