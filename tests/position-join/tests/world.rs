//! The stages without a log: every message between two tasks lies in a queue, and the test decides which queue moves.

#![expect(clippy::unwrap_used, reason = "a test states what must hold")]

use std::collections::{BTreeMap, VecDeque};

use tributary_position_join::layout::{Placement, Position, ROW_LENGTH, pair_key};
use tributary_position_join::message::{Message, Side};
use tributary_position_join::oracle::{Difference, Inputs, Rows};
use tributary_position_join::pairing::Pairing;
use tributary_position_join::routing::{RoutePosts, RouteRows};
use tributary_position_join::sample::{Input, Sample, Size, dpn, placement, position, post};
use tributary_position_join::topics::{APP_RECORDS, DEANERY, PLACEMENTS, POSITIONS, POSTS};
use tributary_runtime::memory::SimulationRng;
use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, Topic, TopicPartition, partition_for_key};

const PARTITIONS: i32 = 3;

/// A task: the topic that it reads, and the partition.
type Task = (&'static str, i32);
type Waiting = (Vec<u8>, Option<Vec<u8>>);

struct World {
    tasks: BTreeMap<Task, Box<dyn Processor>>,
    /// From whom (`None`: from outside), to whom.
    queues: BTreeMap<(Option<Task>, Task), VecDeque<Waiting>>,
    inputs: Inputs,
    rows: Rows,
    /// Revisions of placement, position and post that a reader has seen of each pair.
    seen: BTreeMap<Vec<u8>, [u32; 3]>,
    deletions: usize,
    /// The newest stay that a DPN has heard of, and how many messages about earlier ones came later.
    newest_stay: BTreeMap<(Side, i64), u32>,
    stale: usize,
}

impl World {
    fn new() -> Self {
        let mut tasks: BTreeMap<Task, Box<dyn Processor>> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let positions = RouteRows::<Position>::new(Side::Position);
            let placements = RouteRows::<Placement>::new(Side::Placement);
            tasks.insert((POSITIONS.name, partition), Box::new(positions));
            tasks.insert((PLACEMENTS.name, partition), Box::new(placements));
            tasks.insert((POSTS.name, partition), Box::new(RoutePosts));
            tasks.insert((DEANERY.name, partition), Box::<Pairing>::default());
        }
        let (inputs, rows, seen) = (Inputs::default(), Rows::new(), BTreeMap::new());
        let (queues, newest_stay) = (BTreeMap::new(), BTreeMap::new());
        Self { tasks, queues, inputs, rows, seen, deletions: 0, newest_stay, stale: 0 }
    }

    fn input(&mut self, topic: &'static Topic, key: &[u8], value: Option<&[u8]>) {
        match topic.name {
            "positions" => self.inputs.position(key, value),
            "posts" => self.inputs.post(key, value),
            _ => self.inputs.placement(key, value),
        }
        let to = (topic.name, partition_for_key(key, PARTITIONS));
        self.queues.entry((None, to)).or_default().push_back((key.to_vec(), value.map(<[u8]>::to_vec)));
    }

    fn position(&mut self, id: i64, value: Option<Position>) {
        self.input(&POSITIONS, &id.to_be_bytes(), value.as_ref().map(|value| value.0.as_slice()));
    }

    fn placement(&mut self, id: i64, value: Option<Placement>) {
        self.input(&PLACEMENTS, &id.to_be_bytes(), value.as_ref().map(|value| value.0.as_slice()));
    }

    fn post(&mut self, number: usize, status: u8, revision: u32) {
        let (dpn, value) = post(number, status, revision);
        self.input(&POSTS, &dpn.0, Some(&value.0));
    }

    /// Hands the oldest message of a queue to its task.
    fn move_queue(&mut self, queue: (Option<Task>, Task)) {
        let Some((key, value)) = self.queues.get_mut(&queue).and_then(VecDeque::pop_front) else { return };
        if self.queues[&queue].is_empty() {
            self.queues.remove(&queue);
        }
        let task = queue.1;
        if task.0 == DEANERY.name {
            self.count_stale(value.as_deref());
        }
        let mut output = Output::new(PARTITIONS);
        process(&mut **self.tasks.get_mut(&task).unwrap(), task, &key, value.as_deref(), &mut output).unwrap();
        for record in output.records() {
            if record.topic == &APP_RECORDS {
                self.read(record.key, record.value);
            } else {
                let to = (record.topic.name, record.partition);
                let message = (record.key.to_vec(), record.value.map(<[u8]>::to_vec));
                self.queues.entry((Some(task), to)).or_default().push_back(message);
            }
        }
    }

    fn count_stale(&mut self, message: Option<&[u8]>) {
        let Some(Message::Row { side, id, stay, .. }) = message.and_then(Message::read) else { return };
        let newest = self.newest_stay.entry((side, id)).or_insert(stay);
        self.stale += usize::from(stay < *newest);
        *newest = stay.max(*newest);
    }

    /// Reads a row as it comes: nothing that a reader has seen may become older.
    fn read(&mut self, key: &[u8], row: Option<&[u8]>) {
        let pair = key.try_into().unwrap();
        let Some(row) = row else {
            assert!(self.rows.remove(&pair).is_some(), "a pair that is not there is deleted");
            self.deletions += 1;
            return;
        };
        assert_eq!(row.len(), ROW_LENGTH);
        let revision = |at: usize| u32::from_be_bytes(row[at..at + 4].try_into().unwrap());
        let (placement, position, post) = (revision(98), revision(90), revision(94));
        let seen = self.seen.entry(key.to_vec()).or_default();
        assert!(seen[0] <= placement && seen[1] <= position, "a row went back: {seen:?}, {placement} {position}");
        *seen = [placement, position, post];
        self.rows.insert(pair, row.to_vec());
    }

    /// Moves everything, in an order that the seed decides.
    fn settle(&mut self, seed: u64) {
        let mut rng = SimulationRng::new(seed);
        while !self.queues.is_empty() {
            self.move_one(&mut rng);
        }
        let difference = Difference::between(&self.rows, &self.inputs.join());
        assert!(difference.is_none(), "seed {seed}: {difference:?}");
    }

    fn move_one(&mut self, rng: &mut SimulationRng) {
        let number = rng.below(self.queues.len() as u64) as usize;
        if let Some(queue) = self.queues.keys().nth(number).copied() {
            self.move_queue(queue);
        }
    }

    fn pairs(&self) -> Vec<[u8; 16]> {
        self.rows.keys().copied().collect()
    }
}

fn process(
    processor: &mut dyn Processor,
    (topic, partition): Task,
    key: &[u8],
    value: Option<&[u8]>,
    output: &mut Output,
) -> Result<(), ProcessError> {
    let origin = TopicPartition { topic, partition };
    let record = Record { origin, offset: 0, timestamp: 0, key, value, headers: Headers::default() };
    processor.process(&record, output)
}

/// Post 5 with position 1 and placement 2.
fn one_pair() -> World {
    let mut world = World::new();
    world.post(5, b'C', 0);
    world.position(1, Some(position(5, b'C', 0)));
    world.placement(2, Some(placement(5, b'A', 0)));
    world.settle(0);
    assert_eq!(world.pairs(), [pair_key(2, 1)]);
    world
}

#[test]
fn a_pair_appears_whichever_row_comes_last() {
    for seed in 0..200 {
        let mut world = World::new();
        world.placement(2, Some(placement(5, b'A', 0)));
        world.post(5, b'C', 0);
        world.position(1, Some(position(5, b'C', 0)));
        world.settle(seed);
        assert_eq!(world.pairs(), [pair_key(2, 1)]);
        assert_eq!(world.deletions, 0, "nothing was undone");
    }
}

#[test]
fn a_change_of_each_row_shows_in_the_row_of_the_pair() {
    let mut world = one_pair();
    for revision in 1..4 {
        world.placement(2, Some(placement(5, b'P', revision)));
        world.settle(0);
        world.position(1, Some(position(5, b'U', revision)));
        world.settle(0);
        world.post(5, b'I', revision);
        world.settle(0);
        assert_eq!(world.seen[pair_key(2, 1).as_slice()], [revision; 3]);
    }
    assert_eq!(world.deletions, 0);
}

#[test]
fn the_same_value_again_writes_nothing() {
    let mut world = one_pair();
    world.seen.clear();
    world.placement(2, Some(placement(5, b'A', 0)));
    world.position(1, Some(position(5, b'C', 0)));
    world.post(5, b'C', 0);
    world.settle(0);
    assert!(world.seen.is_empty());
}

#[test]
fn a_mark_deletes_like_a_null_and_a_row_comes_back() {
    let deletions: [fn(&mut World); 6] = [
        |world| world.placement(2, None),
        |world| world.placement(2, Some(placement(5, b'X', 1))),
        |world| world.position(1, None),
        |world| world.position(1, Some(position(5, b'D', 1))),
        |world| world.input(&POSTS, &post(5, b'C', 0).0.0, None),
        |world| world.post(5, b'D', 1),
    ];
    for delete in deletions {
        let mut world = one_pair();
        delete(&mut world);
        world.settle(0);
        assert_eq!((world.pairs().len(), world.deletions), (0, 1));
        delete(&mut world);
        world.settle(0);
        assert_eq!(world.deletions, 1, "deleted once");
        world.placement(2, Some(placement(5, b'A', 2)));
        world.position(1, Some(position(5, b'U', 2)));
        world.post(5, b'C', 2);
        world.settle(0);
        assert_eq!(world.pairs(), [pair_key(2, 1)]);
    }
}

#[test]
fn a_row_that_moves_leaves_its_pairs_and_finds_others() {
    let mut world = one_pair();
    world.post(6, b'C', 0);
    world.position(3, Some(position(6, b'C', 0)));
    world.placement(2, Some(placement(6, b'A', 1)));
    world.settle(0);
    assert_eq!(world.pairs(), [pair_key(2, 3)]);
    world.position(1, Some(position(6, b'U', 1)));
    world.settle(0);
    assert_eq!(world.pairs(), [pair_key(2, 1), pair_key(2, 3)]);
    world.position(3, Some(position(7, b'U', 1)));
    world.settle(0);
    assert_eq!(world.pairs(), [pair_key(2, 1)]);
}

#[test]
fn a_row_deleted_at_one_post_and_back_at_another_keeps_its_order() {
    for seed in 0..500 {
        let mut world = one_pair();
        world.post(6, b'C', 0);
        world.position(1, None);
        world.placement(2, None);
        world.position(1, Some(position(6, b'C', 1)));
        world.placement(2, Some(placement(6, b'A', 1)));
        world.settle(seed);
        assert_eq!(world.pairs(), [pair_key(2, 1)]);
    }
}

/// Post numbers whose DPNs are in other partitions than that of post 5, and than each other's.
fn elsewhere() -> [usize; 2] {
    let partition = |number| partition_for_key(&dpn(number).0, PARTITIONS);
    let first = (6..100).find(|number| partition(*number) != partition(5)).unwrap();
    let taken = [partition(5), partition(first)];
    [first, (6..100).find(|number| !taken.contains(&partition(*number))).unwrap()]
}

#[test]
fn a_merge_moves_both_sides_of_a_pair_in_any_order_of_arrival() {
    let mut stale = 0;
    for seed in 0..2000 {
        let mut world = one_pair();
        let [near, far] = elsewhere();
        world.post(near, b'C', 0);
        world.post(far, b'C', 0);
        // There and back and on, with a change between: arrivals are overtaken by later changes.
        for (revision, number) in [(1, near), (2, 5), (3, near), (4, near), (5, far), (6, near)] {
            world.position(1, Some(position(number, b'U', revision)));
            world.placement(2, Some(placement(number, b'A', revision)));
        }
        world.settle(seed);
        assert_eq!(world.pairs(), [pair_key(2, 1)]);
        assert_eq!(world.seen[pair_key(2, 1).as_slice()], [6, 6, 0]);
        stale += world.stale;
    }
    assert!(stale > 2000, "only {stale} messages of an old place came after one of the next");
}

#[test]
fn one_placement_of_a_bucket_post_costs_one_row() {
    let mut world = World::new();
    world.post(5, b'C', 0);
    world.position(1, Some(position(5, b'C', 0)));
    (100..1100).for_each(|id| world.placement(id, Some(placement(5, b'A', 0))));
    world.settle(1);
    assert_eq!(world.rows.len(), 1000);
    world.seen.clear();
    world.placement(500, Some(placement(5, b'A', 1)));
    world.settle(1);
    assert_eq!(world.seen.len(), 1);
    world.post(5, b'C', 1);
    world.settle(1);
    assert_eq!(world.seen.len(), 1000);
}

#[test]
fn any_interleaving_of_a_sample_ends_as_the_batch_join() {
    let mut deletions = 0;
    for seed in 0..40 {
        let mut world = World::new();
        let mut rng = SimulationRng::new(seed);
        let size = Size { positions: 12, bucket: 6, changes: 8.0, bucket_changes: 3 };
        let mut sample = Sample::new(seed, size);
        let mut inputs = Vec::new();
        let mut sink = |input: Input<'_>| {
            inputs.push((input.topic, input.key.to_vec(), input.value.map(<[u8]>::to_vec)));
        };
        sample.load(&mut sink);
        sample.change(&mut sink);
        for (topic, key, value) in inputs {
            world.input(topic, &key, value.as_deref());
            for _ in 0..rng.below(6) {
                if !world.queues.is_empty() {
                    world.move_one(&mut rng);
                }
            }
        }
        world.settle(seed);
        deletions += world.deletions;
    }
    assert!(deletions > 1000, "the sample must move and delete: {deletions}");
}

#[test]
fn a_record_that_cannot_be_read_is_a_dead_letter() {
    let mut route = RouteRows::<Placement>::new(Side::Placement);
    let mut output = Output::new(PARTITIONS);
    let task = (PLACEMENTS.name, 0);
    let good = placement(5, b'A', 0).0;
    let other_version = [&[2], &good[1..]].concat();
    let bad: [(&[u8], &[u8], &str); 3] = [
        (b"short", &good, "KEY_LENGTH"),
        (&[0; 8], &good[..159], "VALUE_LENGTH"),
        (&[0; 8], &other_version, "LAYOUT_VERSION"),
    ];
    for (key, value, expected) in bad {
        let error = process(&mut route, task, key, Some(value), &mut output).unwrap_err();
        assert!(matches!(error, ProcessError::DeadLetter { code, .. } if code == expected), "{error}");
    }
    assert!(output.is_empty());
}
