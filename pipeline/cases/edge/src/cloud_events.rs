//! Notifications as `CloudEvents` 1.0 on Kafka.

use tributary_cases::message::Attributes;
use tributary_runtime::append_header;
use tributary_schemas::records::cases::Notification;

/// The headers of a record in binary mode: the attributes, and the type of its value.
pub(crate) fn headers(told: &Notification, content_type: &str) -> Vec<u8> {
    let Attributes { specversion, id, source, kind, subject, time } = Attributes::of(told);
    let mut headers = Vec::with_capacity(320);
    let mut add = |name: &str, value: &str| append_header(&mut headers, name, value.as_bytes());
    add("ce_specversion", specversion);
    add("ce_id", &id);
    add("ce_source", &source);
    add("ce_type", &kind);
    add("ce_subject", &subject);
    if let Some(time) = time {
        add("ce_time", &time.to_string());
    }
    add("content-type", content_type);
    headers
}
