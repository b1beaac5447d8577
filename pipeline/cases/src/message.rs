//! A notification as a message for clients on an external broker.

use jiff::Timestamp;
use serde::Serialize;
use tributary_schemas::records::cases::{Format, Notification};

/// The name under which consumers know a notification.
const MESSAGE_TYPE: &str = "urn:message:DIS.Queue.Models:IExternalSystemCaseNotification";

/// A message: the type of its body, and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The type of the body.
    pub content_type: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// Writes a notification in a format. `sent` is the time of sending.
///
/// # Errors
/// What serde says, if the notification cannot be written.
pub fn message(notification: &Notification, format: Format, sent: Timestamp) -> Result<Message, serde_json::Error> {
    let fields = Fields::of(notification);
    let (content_type, body) = match format {
        Format::Masstransit => {
            let envelope = Envelope::of(notification, fields, sent);
            ("application/vnd.masstransit+json", serde_json::to_vec(&envelope)?)
        }
        Format::RawJson => ("application/json", serde_json::to_vec(&fields)?),
        Format::Cloudevents => {
            let event = CloudEvent::of(notification, fields);
            ("application/cloudevents+json", serde_json::to_vec(&event)?)
        }
    };
    Ok(Message { content_type, body })
}

/// The four fields of every format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    id: String,
    notification_type: i32,
    case_details_uri: Option<&'a str>,
    event_time: Option<Timestamp>,
}

impl<'a> Fields<'a> {
    fn of(notification: &'a Notification) -> Self {
        Self {
            id: notification.id.to_string(),
            notification_type: notification.notification_type.number(),
            case_details_uri: notification.case_details_uri.as_deref(),
            event_time: event_time(notification),
        }
    }
}

/// The envelope of `MassTransit`. What has no meaning here is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    message_id: String,
    request_id: (),
    correlation_id: (),
    conversation_id: (),
    initiator_id: (),
    source_address: (),
    destination_address: (),
    response_address: (),
    fault_address: (),
    message_type: [&'static str; 1],
    message: Fields<'a>,
    expiration_time: (),
    sent_time: Timestamp,
    headers: Headers,
    host: Host,
}

/// No headers.
#[derive(Serialize)]
struct Headers {}

/// Who sends. Clients outside learn nothing about our machines.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    machine_name: &'static str,
    process_name: &'static str,
    process_id: u32,
    assembly: &'static str,
    assembly_version: &'static str,
    framework_version: (),
    mass_transit_version: (),
    operating_system_version: (),
}

const HOST: Host = Host {
    machine_name: "tributary",
    process_name: "tributary",
    process_id: 0,
    assembly: "tributary",
    assembly_version: env!("CARGO_PKG_VERSION"),
    framework_version: (),
    mass_transit_version: (),
    operating_system_version: (),
};

impl<'a> Envelope<'a> {
    fn of(notification: &Notification, message: Fields<'a>, sent: Timestamp) -> Self {
        Self {
            message_id: notification.message_id.to_string(),
            request_id: (),
            correlation_id: (),
            conversation_id: (),
            initiator_id: (),
            source_address: (),
            destination_address: (),
            response_address: (),
            fault_address: (),
            message_type: [MESSAGE_TYPE],
            message,
            expiration_time: (),
            sent_time: sent,
            headers: Headers {},
            host: HOST,
        }
    }
}

/// The attributes of a notification as a `CloudEvent` 1.0.
#[derive(Debug, Clone, Serialize)]
pub struct Attributes {
    /// The version of the specification.
    pub specversion: &'static str,
    /// The id of the notification.
    pub id: String,
    /// The origin system of the case.
    pub source: String,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The case.
    pub subject: String,
    /// When it happened, if the origin system said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

impl Attributes {
    /// The attributes of a notification.
    pub fn of(notification: &Notification) -> Self {
        Self {
            specversion: "1.0",
            id: notification.message_id.to_string(),
            source: format!("/dis/origins/{}", notification.origin_system),
            kind: format!("dk.egdw.dis.case.{}.v1", notification.notification_type.symbol().to_ascii_lowercase()),
            subject: notification.id.to_string(),
            time: event_time(notification),
        }
    }
}

fn event_time(notification: &Notification) -> Option<Timestamp> {
    notification.event_time.map(|time| Timestamp::from_microsecond(time).unwrap_or_default())
}

/// A `CloudEvent` in structured mode.
#[derive(Serialize)]
struct CloudEvent<'a> {
    #[serde(flatten)]
    attributes: Attributes,
    datacontenttype: &'static str,
    data: Fields<'a>,
}

impl<'a> CloudEvent<'a> {
    fn of(notification: &Notification, data: Fields<'a>) -> Self {
        Self { attributes: Attributes::of(notification), datacontenttype: "application/json", data }
    }
}

#[cfg(test)]
mod tests {
    use tributary_schemas::records::cases::NotificationType;

    use super::*;

    fn notification() -> Notification {
        let id = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e".parse().unwrap();
        let message_id = "7b1f3c1e-0f5b-5a53-9d0c-1d2a3b4c5d6e".parse().unwrap();
        Notification {
            notification_type: NotificationType::Updated,
            case_details_uri: Some("https://esdh.example/cases/1".to_owned()),
            event_time: Some(1_764_000_000_123_456),
            ..Notification::of(message_id, id, "esdh-a".parse().unwrap())
        }
    }

    fn written(notification: &Notification, format: Format) -> (&'static str, String) {
        let sent = "2026-11-20T10:00:00.5Z".parse().unwrap();
        let Message { content_type, body } = message(notification, format, sent).unwrap();
        (content_type, String::from_utf8(body).unwrap())
    }

    const FIELDS: &str = concat!(
        r#"{"id":"6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e","notificationType":1,"#,
        r#""caseDetailsUri":"https://esdh.example/cases/1","eventTime":"2025-11-24T16:00:00.123456Z"}"#
    );

    #[test]
    fn masstransit_has_the_envelope_of_the_original() {
        let (content_type, body) = written(&notification(), Format::Masstransit);
        assert_eq!(content_type, "application/vnd.masstransit+json");
        let golden = [
            r#"{"messageId":"7b1f3c1e-0f5b-5a53-9d0c-1d2a3b4c5d6e","requestId":null,"correlationId":null,"#,
            r#""conversationId":null,"initiatorId":null,"sourceAddress":null,"destinationAddress":null,"#,
            r#""responseAddress":null,"faultAddress":null,"#,
            r#""messageType":["urn:message:DIS.Queue.Models:IExternalSystemCaseNotification"],"message":"#,
            FIELDS,
            r#","expirationTime":null,"sentTime":"2026-11-20T10:00:00.5Z","headers":{},"host":{"#,
            r#""machineName":"tributary","processName":"tributary","processId":0,"assembly":"tributary","#,
            r#""assemblyVersion":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","frameworkVersion":null,"massTransitVersion":null,"operatingSystemVersion":null}}"#,
        ];
        let golden = golden.concat();
        assert_eq!(body, golden);
    }

    #[test]
    fn raw_json_is_the_four_fields() {
        assert_eq!(written(&notification(), Format::RawJson), ("application/json", FIELDS.to_owned()));
    }

    #[test]
    fn cloudevents_are_structured_and_have_the_four_fields_as_data() {
        let (content_type, body) = written(&notification(), Format::Cloudevents);
        assert_eq!(content_type, "application/cloudevents+json");
        let golden = [
            r#"{"specversion":"1.0","id":"7b1f3c1e-0f5b-5a53-9d0c-1d2a3b4c5d6e","source":"/dis/origins/esdh-a","#,
            r#""type":"dk.egdw.dis.case.updated.v1","subject":"6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e","#,
            r#""time":"2025-11-24T16:00:00.123456Z","datacontenttype":"application/json","data":"#,
            FIELDS,
            "}",
        ];
        let golden = golden.concat();
        assert_eq!(body, golden);
    }

    #[test]
    fn what_is_not_known_is_null_and_has_no_time() {
        let deleted = Notification {
            notification_type: NotificationType::Deleted,
            case_details_uri: None,
            event_time: None,
            ..notification()
        };
        let (_, body) = written(&deleted, Format::RawJson);
        assert!(body.ends_with(r#""notificationType":3,"caseDetailsUri":null,"eventTime":null}"#), "{body}");
        assert!(!written(&deleted, Format::Cloudevents).1.contains("\"time\""));
    }
}
