//! Calls for the tests of this room.

use crate::domain::{
    Attempt, BodyFormat, BundleHash, CallId, CallIntent, CallOutcome, CallState, CallTimes, Cost,
    CostQuality, Durability, KeyId, Operation, PicoDollars, PromptKey, PromptStamp, Timestamp,
    TokenUsage,
};
use bytes::Bytes;
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
        operation: if n % 10 == 9 {
            Operation::Embeddings
        } else {
            Operation::Chat
        },
        key: (n % 2 == 0).then(|| KeyId(format!("key-{}", n % 4))),
        caller: "tests".to_owned(),
        prompt: (n % 5 != 4).then(|| PromptStamp {
            key: PromptKey::parse(&format!("support/prompt-{}", n % 2)).unwrap(),
            hash: BundleHash([u8::try_from(number).unwrap(); 32]),
            number: Some(number),
            label: Some("production".to_owned()),
            commit: None,
            dirty: false,
        }),
        rendered_hash: None,
        model_asked: "prompt:support".to_owned(),
        provider: "simulated".to_owned(),
        model: format!("model-{}", n % 3),
        stream: n % 2 == 1,
        user: (n % 7 == 0).then(|| format!("user-{n}")),
        session: None,
        trace: None,
        tags: vec![],
        durability: Durability::Os,
        overhead_us: 40,
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
        output_format: BodyFormat::Json,
        output: Bytes::from(format!("{{\"output\":{n}}}")),
    }
}
