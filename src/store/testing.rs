//! Calls for the tests of this room.

use crate::domain::Clock;
use crate::domain::{
    Attempt, BodyFormat, BundleHash, CallId, CallIntent, CallOutcome, CallState, CallTimes, Cost,
    CostQuality, Durability, KeyId, Operation, PicoDollars, PromptKey, PromptStamp, Timestamp,
    TokenUsage,
};
use crate::store::disk::Disk;
use crate::store::frame::{Frame, Kind, Position};
use crate::store::journal::Journal;
use crate::store::segment::{Header, numbers};
use crate::store::walk::{Found, Walk};
use crate::store::{Config, Store, migrate, recover};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;

/// The time call 0 begins at: 2026-03-01T00:00:00Z.
pub(super) const START: i64 = 1_772_323_200_000_000;

/// Returns the id of call `n`: call `n` begins `n` seconds after `START`.
pub(super) fn id(n: u64) -> CallId {
    let millis = u64::try_from(START / 1000).unwrap() + n * 1000;
    let uuid = (u128::from(millis) << 80) | (7 << 76) | (2 << 62) | u128::from(n);
    CallId(Uuid::from_u128(uuid))
}

/// Returns the intent of call `n`. Prompts, models, keys and users take turns.
pub(super) fn intent(n: u64) -> CallIntent {
    let number = u32::try_from(n % 3).unwrap() + 1;
    CallIntent {
        id: id(n),
        started: Timestamp(START + i64::try_from(n).unwrap() * 1_000_000),
        dialect: crate::domain::Dialect::Chat,
        path: None,
        operation: if n % 10 == 9 {
            Operation::Embeddings
        } else {
            Operation::Chat
        },
        key: n.is_multiple_of(2).then(|| KeyId(format!("key-{}", n % 4))),
        caller: "tests".to_owned(),
        prompt: (n % 5 != 4).then(|| PromptStamp {
            key: PromptKey::parse(&format!("support/prompt-{}", n % 2)).unwrap(),
            hash: BundleHash([u8::try_from(number).unwrap(); 32]),
            number: Some(number),
            label: Some("production".to_owned()),
            commit: None,
            dirty: false,
        }),
        release: None,
        shadow_of: None,
        run: None,
        embedding: None,
        rendered_hash: None,
        model_asked: "prompt:support".to_owned(),
        provider: "simulated".to_owned(),
        model: format!("model-{}", n % 3),
        stream: n % 2 == 1,
        user: n.is_multiple_of(7).then(|| format!("user-{n}")),
        session: None,
        trace: None,
        tags: vec![],
        durability: Durability::Os,
        overhead_us: 40,
        is_text_dropped: false,
        request: Bytes::from(format!("{{\"request\":{n}}}")),
    }
}

/// Returns the outcome of the call.
pub(super) fn outcome(intent: &CallIntent) -> CallOutcome {
    let n = u64::try_from(intent.id.0.as_u128() & 0xffff_ffff).unwrap();
    let failed = n % 11 == 10;
    CallOutcome {
        id: intent.id,
        state: if failed {
            CallState::UpstreamError
        } else {
            CallState::Ok
        },
        ended: Timestamp(intent.started.0 + 250_000),
        status: Some(if failed { 502 } else { 200 }),
        error: failed.then(|| "upstream_unavailable".to_owned()),
        message: None,
        provider: intent.provider.clone(),
        model: intent.model.clone(),
        model_returned: None,
        usage: Some(TokenUsage {
            input: 100 + n,
            output: 10,
            cached_input: 5,
            ..TokenUsage::default()
        }),
        usage_reported: None,
        cost: Cost {
            pico_usd: Some(PicoDollars(1000)),
            quality: CostQuality::Exact,
            price: None,
        },
        finish_reason: Some("stop".to_owned()),
        times: CallTimes {
            total_us: 250_000,
            ..CallTimes::default()
        },
        attempts: vec![Attempt {
            provider: "simulated".to_owned(),
            model: intent.model.clone(),
            status: Some(200),
            error: None,
            message: None,
            duration_us: 200_000,
            provider_request_id: None,
        }],
        bytes_sent: 20,
        warnings: vec![],
        request_body: None,
        output_format: BodyFormat::Json,
        output: Bytes::from(format!("{{\"output\":{n}}}")),
    }
}

/// Returns a store's config for a test: small segments do not wait for a ballast.
pub(super) fn config(dir: &Path) -> Config {
    Config {
        ballast_bytes: 0,
        compress_after: None,
        ..Config::new(dir)
    }
}

/// The time of all tests: an hour behind `START`.
pub(super) const NOW: Clock = Clock::Fixed(Timestamp(START + 3_600_000_000));

/// Opens the store in `dir`.
pub(super) fn open(dir: &Path) -> Store {
    Store::open(&config(dir), NOW).unwrap()
}

/// Begins and ends the calls.
pub(super) fn record(store: &Store, calls: Range<u64>) {
    for n in calls {
        let intent = intent(n);
        store.append_intent(&intent).unwrap();
        store.append_outcome(&outcome(&intent)).unwrap();
    }
}

/// Copies the journal as a process that is killed now would leave it.
pub(super) fn kill(dir: &Path) -> TempDir {
    copy_journal(dir, tempfile::tempdir().unwrap())
}

/// The same on a disk without syncs, where there is one: for tests that do it a thousand times.
pub(super) fn kill_in_memory(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    copy_journal(dir, copy.unwrap())
}

fn copy_journal(dir: &Path, copy: TempDir) -> TempDir {
    fs::create_dir(copy.path().join("journal")).unwrap();
    fs::copy(dir.join("layout.json"), copy.path().join("layout.json")).unwrap();
    for entry in fs::read_dir(dir.join("journal")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        fs::copy(&path, copy.path().join("journal").join(name)).unwrap();
    }
    copy
}

/// Opens only the journal of `dir`, without threads.
pub(super) fn open_journal(dir: &Path, disk: Disk) -> Journal {
    let layout = migrate::bring_up_to_date(dir).unwrap();
    recover::open(&config(dir), disk, layout.salt, NOW).unwrap()
}

/// Returns kind and place of every good entry.
pub(super) fn entries(journal: &Journal) -> Vec<(Position, Frame)> {
    let mut entries = Vec::new();
    for number in numbers(&journal.dir).unwrap() {
        let source = journal.reader.source(number).unwrap().unwrap();
        let header = Header::read(&source, number).unwrap().unwrap();
        let length = source.len().unwrap();
        let mut walk = Walk::new(&source, journal.salt, header.bytes, length);
        while let Some(found) = walk.next().unwrap() {
            let Found::Frame { offset, frame } = found else {
                panic!("damage: {found:?}");
            };
            let segment = number;
            entries.push((Position { segment, offset }, frame));
        }
    }
    entries
}

/// Returns how every call of the journal ended, and checks that each ended exactly once.
pub(super) fn endings(journal: &Journal) -> BTreeMap<CallId, CallState> {
    let mut begun = BTreeSet::new();
    let mut ended = BTreeMap::new();
    for (_, frame) in entries(journal) {
        match frame.head.kind {
            Kind::Intent => {
                assert!(begun.insert(frame.decode::<CallIntent>().unwrap().id));
            }
            Kind::Outcome => {
                let outcome = frame.decode::<CallOutcome>().unwrap();
                let before = ended.insert(outcome.id, outcome.state);
                assert_eq!(before, None, "{} ended twice", outcome.id);
            }
            _ => {}
        }
    }
    for id in &begun {
        assert!(ended.contains_key(id), "{id} never ended");
    }
    ended
}
