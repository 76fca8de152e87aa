//! What a journal-only commit costs: version read, message and audit record written, chain hashed.
//!
//! Each batch is one call and so one durable transaction. `wall` includes its sync; `cpu` is the committer thread's
//! processor time alone, from `/proc`, and is the figure that other work on the machine disturbs least.

use std::{fs, hint::black_box, time::Duration};

use cards::{CardKey, CardRef, CardRole, Expiry, ProgrammeId, Psn, SealedPan, Timestamp};
use criterion::{
    Criterion, Throughput, measurement::Measurement, measurement::ValueFormatter, measurement::WallTime,
};
use store::{
    AuditEvent, CardRecord, Commit, CommitOutcome, MessageRecord, NewCardmember, SqliteStore, Store,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CARDS: u64 = 100_000;
const BATCHES: [u64; 4] = [1, 32, 128, 1_000];

fn main() {
    let dir = TempDir::new().expect("a directory for the database");
    let store = SqliteStore::open(dir.path().join("bench.sqlite")).expect("a new database opens");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(import(&store));
    // Never the same message twice: it would be answered as a duplicate.
    let mut message = 0;
    let mut wall = Criterion::default().configure_from_args();
    bench(&mut wall, "wall", &runtime, &store, &mut message);
    let mut cpu = Criterion::default()
        .with_measurement(CommitterCpu)
        .configure_from_args();
    bench(&mut cpu, "cpu", &runtime, &store, &mut message);
}

fn bench<M: Measurement>(
    criterion: &mut Criterion<M>,
    group: &str,
    runtime: &Runtime,
    store: &SqliteStore,
    message: &mut u64,
) {
    let mut group = criterion.benchmark_group(format!("journal-only commits/{group}"));
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    for batch in BATCHES {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(batch.to_string(), |bencher| {
            bencher.iter_batched(
                || commits(message, batch),
                |commits| {
                    let outcomes = runtime
                        .block_on(store.commit(commits))
                        .expect("the commits are durable");
                    assert!(
                        outcomes
                            .iter()
                            .all(|outcome| matches!(outcome, CommitOutcome::Done { .. }))
                    );
                    black_box(outcomes)
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Scattered over the rows, as keyed hashes are.
fn row(number: u64) -> CardRef {
    CardRef(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn event(kind: &'static str, card: Option<CardRef>) -> AuditEvent {
    AuditEvent {
        at: Timestamp(1_793_610_000_000),
        kind,
        card,
        actor: "link:acquirer-1".into(),
        detail: r#"{"answer":"00","atc":6,"amount":4200}"#.into(),
    }
}

fn commits(message: &mut u64, batch: u64) -> Vec<Commit> {
    (0..batch)
        .map(|_| {
            *message += 1;
            let card = row(*message % CARDS);
            let mut identity = [0; 16];
            for (to, from) in identity.iter_mut().zip(message.to_be_bytes()) {
                *to = from;
            }
            Commit {
                card,
                expected_version: 1,
                new_state: None,
                message: Some(MessageRecord {
                    identity,
                    content: [5; 32],
                    answer: vec![0; 24],
                }),
                tombstone: None,
                step_up: None,
                audit: vec![event("pin_verified", Some(card))],
                attempts: vec![],
                notices: vec![],
            }
        })
        .collect()
}

async fn import(store: &SqliteStore) {
    let holder = NewCardmember {
        reference: "CM1".into(),
        name: "Ada".into(),
        email: "ada@example.test".into(),
        user_id: None,
    };
    store
        .import_cardmembers(vec![holder], event("cardmembers_imported", None))
        .await
        .expect("imports");
    let ids = store
        .cardmembers_by_reference(vec!["CM1".into()])
        .await
        .expect("reads");
    let cardmember = ids
        .first()
        .copied()
        .flatten()
        .expect("the cardmember was imported");
    let cards = (0..CARDS).map(|number| CardRecord {
        key: CardKey {
            row: row(number),
            check: [1; 24],
        },
        pan: SealedPan([2; 16]),
        psn: Psn::new(1).expect("at most 99"),
        last_four: "1111".into(),
        expiry: Expiry::parse_yymm("2912").expect("December 2029"),
        programme: ProgrammeId("larkfield-credit".into()),
        cardmember,
        role: CardRole::Basic,
        version: 1,
        state: vec![0; 120],
        mac: [3; 16],
    });
    store
        .import_cards(cards.collect(), event("cards_imported", None))
        .await
        .expect("imports");
}

/// Processor time of the threads called `store-committer`, in nanoseconds.
struct CommitterCpu;

fn committer_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux lists a process's threads");
    tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let schedstat = fs::read_to_string(path.join("schedstat")).ok()?;
            name.starts_with("store-committer")
                .then(|| schedstat.split(' ').next()?.parse::<u64>().ok())?
        })
        .sum()
}

impl Measurement for CommitterCpu {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        committer_ns()
    }

    fn end(&self, begin: u64) -> u64 {
        committer_ns() - begin
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, value: &u64) -> f64 {
        Duration::from_nanos(*value).as_secs_f64() * 1e9
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
