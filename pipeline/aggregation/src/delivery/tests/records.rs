//! What is stored.

use std::slice::from_ref;

use tributary_runtime::dead_letter_header;

use super::*;
use crate::ei_soap::NotDelivered;
use crate::topics;

fn progress(codec: &Codec, value: &[u8]) -> NotificationProgress {
    codec.open(value).unwrap().read().unwrap()
}

/// The queue of a subscriber whose notifications are where their key leads.
fn queue_of(output: &Output) -> Queue {
    let mut probe = output.another();
    probe.send(&topics::NOTIFICATION, SUBSCRIBER.as_bytes(), |_| {});
    let partition = probe.records().next().unwrap().partition;
    Queue::new(SUBSCRIBER.parse().unwrap(), partition)
}

#[test]
fn a_delivered_notification_leaves_its_position() {
    let (codec, mut output) = (codec(), Output::new(8));
    let mut queue = queue_of(&output);
    let waiting = waiting(&codec, 7, 1);
    queue.feed(waiting.offset, waiting.timestamp, &waiting.value);
    queue.write(&codec, &mut output, NOW + 1, from_ref(&waiting), &End::Delivered);
    let records: Vec<_> = output.records().collect();
    let [record] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!((record.topic.name, record.key), (topics::NOTIFICATION_PROGRESS.name, SUBSCRIBER.as_bytes()));
    assert_eq!(record.timestamp, NOW + 1);
    let stored = progress(&codec, record.value.unwrap());
    assert_eq!((stored.position, stored.delivered, stored.dead), (8, 1, 0));
    assert_eq!(queue.position(), 0, "what is not committed has not happened");
    queue.finish(from_ref(&waiting), &End::Delivered);
    assert_eq!(*queue.progress(), stored);
    let mut output = Output::new(8);
    queue.write_progress(&codec, &mut output, NOW);
    assert_eq!(progress(&codec, output.records().next().unwrap().value.unwrap()), stored);
}

#[test]
fn notifications_of_one_call_leave_one_position() {
    let (codec, mut output) = (codec(), Output::new(8));
    let mut queue = queue_of(&output);
    for offset in [7, 9, 30] {
        queue.feed(offset, NOW, b"value");
    }
    let done = queue.next(2);
    queue.write(&codec, &mut output, NOW, &done, &End::Delivered);
    let records: Vec<_> = output.records().collect();
    let [record] = records.as_slice() else { panic!("{} records", records.len()) };
    queue.finish(&done, &End::Delivered);
    assert_eq!(*queue.progress(), progress(&codec, record.value.unwrap()));
    assert_eq!((queue.position(), counts(&queue)), (10, (1, 2, 0)));
}

#[test]
fn a_lost_notification_becomes_a_dead_letter_unchanged_with_its_position() {
    let (codec, mut output) = (codec(), Output::new(8));
    let mut queue = queue_of(&output);
    let waiting = waiting(&codec, 7, 2);
    queue.feed(waiting.offset, waiting.timestamp, &waiting.value);
    let end = End::Dead(Undelivered::Refused(NotDelivered::Error));
    queue.write(&codec, &mut output, NOW + 1, from_ref(&waiting), &end);
    let records: Vec<_> = output.records().collect();
    let [letter, stored] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!((letter.topic.name, letter.key), (topics::DEAD_LETTER.name, SUBSCRIBER.as_bytes()));
    assert_eq!((letter.value, letter.timestamp), (Some(&*waiting.value), NOW));
    assert_eq!(letter.partition, queue.progress().partition, "the partition of its notifications");
    let header = |name: &str| letter.headers.get(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
    for (name, expected) in [
        (dead_letter_header::TOPIC, "aggregation.notification"),
        (dead_letter_header::PARTITION, &*queue.progress().partition.to_string()),
        (dead_letter_header::OFFSET, "7"),
        (dead_letter_header::FLOW, "aggregation"),
        (dead_letter_header::CODE, "not-taken"),
        (dead_letter_header::MESSAGE, "the subscriber answered with ResultCode ERROR"),
    ] {
        assert_eq!(header(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(stored.headers.get(dead_letter_header::CODE), None);
    let stored = progress(&codec, stored.value.unwrap());
    assert_eq!((stored.position, stored.delivered, stored.dead), (8, 0, 1));
}

#[test]
fn dead_letters_are_sent_again_once_as_they_were() {
    let codec = codec();
    let mut queue = queue_of(&Output::new(8));
    for offset in 0..3 {
        queue.feed(offset, NOW, b"value");
        finish(&mut queue, &End::Dead(Undelivered::NoUrl));
    }
    let letter = |offset: i64| DeadNotification { offset, value: waiting(&codec, 0, 1).value };
    let replay = |queue: &mut Queue, letters: &[DeadNotification]| {
        let mut output = Output::new(8);
        let replay = queue.write_replay(&codec, &mut output, NOW, letters);
        let count = queue.finish_replay(replay);
        let records: Vec<_> = output.records().collect();
        let (stored, sent) = records.split_last().unwrap();
        for record in sent {
            assert_eq!((record.topic.name, record.key), (topics::NOTIFICATION.name, SUBSCRIBER.as_bytes()));
            assert_eq!(record.value, Some(&*letters[0].value));
        }
        assert_eq!(stored.topic.name, topics::NOTIFICATION_PROGRESS.name);
        assert_eq!(progress(&codec, stored.value.unwrap()), *queue.progress());
        (count, sent.len())
    };
    assert_eq!(replay(&mut queue, &[letter(20), letter(25)]), (2, 2));
    assert_eq!((queue.replayed(), counts(&queue)), (26, (0, 0, 1)));
    assert_eq!(replay(&mut queue, &[letter(20), letter(25), letter(31)]), (1, 1));
    assert_eq!(replay(&mut queue, &[letter(20), letter(25), letter(31)]), (0, 0));
    assert_eq!((queue.replayed(), queue.position(), counts(&queue)), (32, 3, (0, 0, 0)));
}

#[test]
fn only_notifications_of_the_subscriber_are_its_dead_letters() {
    let codec = codec();
    let mut other = Vec::new();
    codec.encode(&queue().progress().clone(), &mut other).unwrap();
    let own = waiting(&codec, 0, 1).value;
    assert!(dead_notification(&codec, SUBSCRIBER, SUBSCRIBER.as_bytes(), &own));
    assert!(!dead_notification(&codec, "SE-OTHER", b"SE-OTHER", &own));
    assert!(!dead_notification(&codec, SUBSCRIBER, b"", &own));
    for value in [&other[..], b"", b"no record"] {
        assert!(!dead_notification(&codec, SUBSCRIBER, SUBSCRIBER.as_bytes(), value));
    }
}
