//! Deliveries against subscribers that a test plays, on a clock that it turns.

mod calls;
mod records;

use super::*;

use std::sync::Arc;

use tributary_runtime::Output;
use tributary_schemas::Codec;
use tributary_schemas::records::aggregation::{Notification, NotificationProgress};

use super::queue::{MOST_BYTES, MOST_HELD};
use crate::harness::{self, NOW, change};

const SUBSCRIBER: &str = "SE-SUB";

fn codec() -> Codec {
    harness::context().codec
}

fn notification(count: usize) -> Notification {
    let transactions = (0..count).map(|number| change(&format!("visit-{number}"), None)).collect();
    Notification { transactions, ..Notification::of(SUBSCRIBER.parse().unwrap()) }
}

/// A notification on the log with so many transactions.
fn waiting(codec: &Codec, offset: i64, count: usize) -> Waiting {
    let mut value = Vec::new();
    codec.encode(&notification(count), &mut value).unwrap();
    Waiting { offset, timestamp: NOW, value: value.into() }
}

fn queue() -> Queue {
    Queue::new(SUBSCRIBER.parse().unwrap(), 3)
}

fn counts(queue: &Queue) -> (u64, u64, u64) {
    let status = queue.status();
    assert_eq!(status.address.as_str(), SUBSCRIBER);
    (status.waiting, status.delivered, status.dead)
}

/// Finishes the next notification and returns its offset.
fn finish(queue: &mut Queue, end: &End) -> Option<i64> {
    let waiting = queue.next(1);
    queue.finish(&waiting, end);
    Some(waiting.first()?.offset)
}

#[test]
fn notifications_wait_in_the_order_of_the_log_and_each_is_taken_once() {
    let mut queue = queue();
    for offset in [4, 9, 11] {
        assert_eq!(queue.feed(offset, NOW, b"value"), Fed::Held);
    }
    for known in [9, 4, 11] {
        assert_eq!(queue.feed(known, NOW, b"value"), Fed::Known);
    }
    assert_eq!((queue.position(), counts(&queue)), (0, (3, 0, 0)));
    assert_eq!(finish(&mut queue, &End::Delivered), Some(4));
    assert_eq!((queue.position(), counts(&queue)), (5, (2, 1, 0)));
    assert_eq!(finish(&mut queue, &End::Dead(Undelivered::NoUrl)), Some(9));
    assert_eq!(finish(&mut queue, &End::Delivered), Some(11));
    assert_eq!((queue.position(), counts(&queue)), (12, (0, 2, 1)));
    assert_eq!(finish(&mut queue, &End::Delivered), None);
    assert_eq!(queue.feed(11, NOW, b"value"), Fed::Known);
}

#[test]
fn a_queue_goes_on_where_it_was_stored() {
    let mut first = queue();
    first.feed(4, NOW, b"value");
    first.feed(6, NOW, b"value");
    finish(&mut first, &End::Delivered);
    let mut next = Queue::resume(first.progress().clone(), 3);
    assert_eq!((next.position(), counts(&next)), (5, (0, 1, 0)));
    assert_eq!((next.feed(4, NOW, b"value"), next.feed(6, NOW, b"value")), (Fed::Known, Fed::Held));
    let moved = Queue::resume(first.progress().clone(), 4);
    assert_eq!((moved.position(), counts(&moved)), (0, (0, 1, 0)), "offsets of another partition mean nothing");
}

/// A log with notifications for this subscriber and for others, which grows while it is read.
#[test]
fn however_many_wait_they_come_in_order_and_all_are_counted() {
    const ALL: i64 = 1000;
    let is_own = |offset: &i64| offset % 3 != 1;
    for growth in [1, 7, 150, ALL] {
        let (mut queue, mut end, mut done, mut rereads) = (queue(), 0, Vec::new(), 0);
        while end < ALL || counts(&queue).0 > 0 {
            for offset in (end..ALL.min(end + growth)).filter(is_own) {
                assert_ne!(queue.feed(offset, NOW, b"value"), Fed::Known);
            }
            end = ALL.min(end + growth);
            let fed = (0..end).filter(is_own).count();
            assert_eq!(counts(&queue).0 + counts(&queue).1, fed as u64);
            done.extend(finish(&mut queue, &End::Delivered));
            if let Some(from) = queue.read_again_from() {
                rereads += 1;
                let until_full =
                    (from..end).filter(is_own).find(|offset| queue.feed(*offset, NOW, b"value") == Fed::Counted);
                assert!(until_full.is_some() || queue.end_of_log() == 0);
            }
        }
        assert_eq!(done, (0..ALL).filter(is_own).collect::<Vec<_>>());
        assert!(rereads <= ALL as usize / MOST_HELD, "{rereads}");
    }
}

#[test]
fn what_the_topic_has_dropped_is_waited_for_no_longer() {
    let mut queue = queue();
    for offset in 0..(MOST_HELD as i64 + 10) {
        queue.feed(offset, NOW, b"value");
    }
    assert_eq!(queue.read_again_from(), None, "what is held comes first");
    while finish(&mut queue, &End::Delivered).is_some() {}
    assert_eq!((queue.read_again_from(), counts(&queue).0), (Some(MOST_HELD as i64), 10));
    assert_eq!(queue.feed(MOST_HELD as i64 + 8, NOW, b"value"), Fed::Held);
    assert_eq!((queue.end_of_log(), counts(&queue).0), (9, 1));
    assert_eq!(queue.feed(MOST_HELD as i64 + 10, NOW, b"value"), Fed::Held);
}

#[test]
fn no_more_bytes_are_held_than_allowed_unless_it_is_one_notification() {
    let mut queue = queue();
    let large = vec![b'x'; MOST_BYTES + 1];
    assert_eq!((queue.feed(0, NOW, &large), queue.feed(1, NOW, b"value")), (Fed::Held, Fed::Counted));
    finish(&mut queue, &End::Delivered);
    assert_eq!((queue.read_again_from(), queue.feed(1, NOW, b"value")), (Some(1), Fed::Held));
    assert_eq!(counts(&queue), (1, 1, 0));
}
