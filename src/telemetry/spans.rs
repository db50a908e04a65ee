//! One span per finished call, in the conventions for generative AI, without any content.
//!
//! A span is made whole from the record at the end of a call, so that nothing is kept while it
//! runs. Its id is the low half of the call's id, which is also what providers get as the parent in
//! `traceparent`; without a client's trace the call's id is the trace.
//!
//! Names are those of OpenTelemetry's semantic conventions for generative AI, which are not in the
//! Rust crate of constants; what they have no name for is under `promptgate.`.

use crate::domain::{
    CallId, CallIntent, CallOutcome, CallState, Operation, PromptStamp, Secret, Timestamp,
    TokenUsage,
};
use crate::telemetry::Error;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks,
    SpanProcessor,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where OTLP over HTTP takes traces, below the collector's base URL.
const TRACES_PATH: &str = "/v1/traces";
/// Spans that wait for the collector; more are dropped, so that a dead collector costs no memory.
const MAX_QUEUED: usize = 4_096;
const MAX_BATCH: usize = 512;
const EXPORT_DELAY: Duration = Duration::from_secs(2);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The exporter of spans, with its own thread.
#[derive(Debug)]
pub(super) struct Spans {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Spans {
    /// Starts to export to the collector at `endpoint`.
    pub(super) fn start(endpoint: &str, headers: &[(String, Secret)]) -> Result<Self, Error> {
        let base = endpoint.trim_end_matches('/');
        let url = match base.ends_with(TRACES_PATH) {
            true => base.to_owned(),
            false => format!("{base}{TRACES_PATH}"),
        };
        let fail = |problem: String| Error::Exporter {
            endpoint: without_user(base),
            problem,
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(fail("it is neither `http` nor `https`".to_owned()));
        }
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(url)
            .with_timeout(EXPORT_TIMEOUT)
            .with_headers(headers.collect())
            .build()
            .map_err(|error| fail(error.to_string()))?;
        Ok(Self::with_exporter(exporter))
    }

    fn with_exporter(exporter: impl SpanExporter + 'static) -> Self {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUED)
            .with_max_export_batch_size(MAX_BATCH)
            .with_scheduled_delay(EXPORT_DELAY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        processor.set_resource(&resource());
        let scope = InstrumentationScope::builder("promptgate")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { processor, scope }
    }

    /// Queues the span of a finished call; never waits. A trace that the client does not sample is
    /// left out.
    pub(super) fn export(&self, intent: &CallIntent, outcome: &CallOutcome) {
        if intent.trace.as_ref().is_none_or(|trace| trace.sampled) {
            let span = span(intent, outcome, self.scope.clone());
            self.processor.on_end(span);
        }
    }

    /// Sends what is queued, for at most `limit`, and ends.
    pub(super) fn shut_down(&self, limit: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "spans were not all sent");
        }
    }
}

/// Says who exports. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read by the SDK.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let found = Resource::builder().with_attribute(version.clone()).build();
    let name = found
        .get(&"service.name".into())
        .map(|name| name.to_string());
    match name {
        Some(name) if !name.starts_with("unknown_service") => found,
        _ => Resource::builder()
            .with_attribute(version)
            .with_service_name("promptgate")
            .build(),
    }
}

fn span(intent: &CallIntent, outcome: &CallOutcome, scope: InstrumentationScope) -> SpanData {
    let CallId(id) = intent.id;
    let (_, low) = id.as_u64_pair();
    let trace = intent.trace.as_ref();
    let trace_id = trace.and_then(|trace| TraceId::from_hex(&trace.trace_id).ok());
    let parent = trace.and_then(|trace| SpanId::from_hex(&trace.parent_id).ok());
    let status = match (outcome.state, &outcome.error) {
        (CallState::Ok | CallState::ClientGone, _) => Status::Unset,
        (_, Some(error)) => Status::error(error.clone()),
        (_, None) => Status::error(state_name(outcome.state)),
    };
    SpanData {
        span_context: SpanContext::new(
            trace_id.unwrap_or_else(|| TraceId::from_bytes(id.into_bytes())),
            SpanId::from_bytes(low.to_be_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: parent.is_some(),
        span_kind: SpanKind::Client,
        name: format!("{} {}", operation_name(intent.operation), outcome.model).into(),
        start_time: system_time(intent.started),
        end_time: system_time(outcome.ended.max(intent.started)),
        attributes: attributes(intent, outcome),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope,
    }
}

fn attributes(intent: &CallIntent, outcome: &CallOutcome) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", operation_name(intent.operation)),
        KeyValue::new("gen_ai.provider.name", provider_name(&outcome.provider)),
        KeyValue::new("gen_ai.request.model", outcome.model.clone()),
        KeyValue::new("promptgate.call.id", intent.id.to_string()),
        KeyValue::new("promptgate.provider", outcome.provider.clone()),
        KeyValue::new("promptgate.caller", intent.caller.clone()),
        KeyValue::new("promptgate.state", state_name(outcome.state)),
        KeyValue::new("promptgate.stream", intent.stream),
        KeyValue::new("promptgate.attempts", integer(outcome.attempts.len())),
        KeyValue::new("promptgate.overhead_us", integer(intent.overhead_us)),
    ];
    let optional = outcome_attributes(outcome)
        .into_iter()
        .chain(prompt_attributes(intent))
        .chain(outcome.usage.map(usage_attributes).into_iter().flatten());
    attributes.extend(optional.filter_map(|(name, value)| Some(KeyValue::new(name, value?))));
    attributes
}

/// An attribute, where there is a value for it.
type Optional = (&'static str, Option<Value>);

fn outcome_attributes(outcome: &CallOutcome) -> [Optional; 6] {
    let finish_reasons = outcome
        .finish_reason
        .clone()
        .map(|reason| Value::Array(Array::String(vec![StringValue::from(reason)])));
    // As text it would be exact, but backends only add up numbers.
    let cost = outcome.cost.pico_usd;
    let cost = cost.and_then(|cost| cost.to_dollars().parse().ok());
    let first_content = outcome.times.first_content_us;
    let status = outcome.status.map(|status| Value::I64(i64::from(status)));
    [
        (
            "gen_ai.response.model",
            text(outcome.model_returned.as_deref()),
        ),
        ("gen_ai.response.finish_reasons", finish_reasons),
        ("promptgate.cost_usd", cost.map(Value::F64)),
        (
            "promptgate.first_content_us",
            first_content.map(|us| integer(us).into()),
        ),
        ("error.type", text(outcome.error.as_deref())),
        ("http.response.status_code", status),
    ]
}

fn prompt_attributes(intent: &CallIntent) -> [Optional; 6] {
    let prompt = intent.prompt.as_ref();
    let name = prompt.map(|prompt| prompt.key.as_str());
    let version = prompt.map(PromptStamp::version);
    let hash = prompt.map(|prompt| prompt.hash.to_string());
    [
        ("gen_ai.conversation.id", text(intent.session.as_deref())),
        ("gen_ai.prompt.name", text(name)),
        ("gen_ai.prompt.version", text(version.as_deref())),
        ("promptgate.prompt.hash", text(hash.as_deref())),
        (
            "promptgate.prompt.label",
            text(prompt.and_then(|p| p.label.as_deref())),
        ),
        (
            "promptgate.prompt.commit",
            text(prompt.and_then(|p| p.commit.as_deref())),
        ),
    ]
}

fn usage_attributes(usage: TokenUsage) -> [Optional; 5] {
    let all = |count: u64| Some(integer(count).into());
    let some = |count: u64| (0 < count).then(|| integer(count).into());
    let cache_write = usage.cache_write_5m + usage.cache_write_1h;
    [
        ("gen_ai.usage.input_tokens", all(usage.input)),
        ("gen_ai.usage.output_tokens", all(usage.output)),
        (
            "gen_ai.usage.cache_read.input_tokens",
            some(usage.cached_input),
        ),
        ("gen_ai.usage.cache_write.input_tokens", some(cache_write)),
        (
            "gen_ai.usage.reasoning.output_tokens",
            some(usage.reasoning),
        ),
    ]
}

/// Returns the well-known name of a provider; the name in the config is the preset's by default.
fn provider_name(name: &str) -> String {
    let known = match name {
        "gemini" => "gcp.gemini",
        "azure_openai" => "azure.ai.openai",
        "mistral" => "mistral_ai",
        other => other,
    };
    known.to_owned()
}

const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Embeddings => "embeddings",
        Operation::Raw => "raw",
        Operation::Count => "count",
    }
}

const fn state_name(state: CallState) -> &'static str {
    match state {
        CallState::Ok => "ok",
        CallState::ClientGone => "client_gone",
        CallState::UpstreamError => "upstream_error",
        CallState::Timeout => "timeout",
        CallState::Refused => "refused",
        CallState::CrashRecovered => "crash_recovered",
    }
}

fn text(value: Option<&str>) -> Option<Value> {
    value.map(|value| Value::from(value.to_owned()))
}

fn integer(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

fn system_time(timestamp: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(timestamp.0).unwrap_or(0))
}

/// Returns a URL without the user and the password that some collectors want in it.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Spans, without_user};
    use crate::domain::{
        Attempt, BodyFormat, BundleHash, CallId, CallIntent, CallOutcome, CallState, CallTimes,
        Cost, CostQuality, Durability, Operation, PicoDollars, PromptKey, PromptStamp, Timestamp,
        TokenUsage, TraceContext,
    };
    use bytes::Bytes;
    use opentelemetry::trace::Status;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// An exporter that keeps what it gets.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    /// A call with everything in it.
    pub(crate) fn call() -> (CallIntent, CallOutcome) {
        let id = CallId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        (intent(id), outcome(id))
    }

    fn intent(id: CallId) -> CallIntent {
        CallIntent {
            id,
            started: Timestamp(1_700_000_000_000_000),
            operation: Operation::Chat,
            dialect: crate::domain::Dialect::Chat,
            path: None,
            key: None,
            caller: "app".to_owned(),
            prompt: Some(PromptStamp {
                key: PromptKey::parse("support/refund").unwrap(),
                hash: BundleHash([0xab; 32]),
                number: Some(7),
                label: Some("production".to_owned()),
                commit: None,
                dirty: false,
            }),
            release: None,
            shadow_of: None,
            run: None,
            embedding: None,
            rendered_hash: None,
            model_asked: "prompt:support/refund".to_owned(),
            provider: "gemini".to_owned(),
            model: "flash".to_owned(),
            stream: true,
            user: Some("canary".to_owned()),
            session: Some("s-1".to_owned()),
            trace: Some(TraceContext {
                trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
                parent_id: "00f067aa0ba902b7".to_owned(),
                sampled: true,
            }),
            tags: Vec::new(),
            durability: Durability::Os,
            overhead_us: 80,
            is_text_dropped: false,
            request: Bytes::from_static(b"canary"),
        }
    }

    fn outcome(id: CallId) -> CallOutcome {
        let attempt = |error: Option<&str>| Attempt {
            provider: "gemini".to_owned(),
            model: "flash".to_owned(),
            status: Some(200),
            error: error.map(str::to_owned),
            message: None,
            duration_us: 1,
            provider_request_id: None,
        };
        CallOutcome {
            id,
            state: CallState::Ok,
            ended: Timestamp(1_700_000_001_500_000),
            status: Some(200),
            error: None,
            message: Some("canary".to_owned()),
            provider: "gemini".to_owned(),
            model: "flash".to_owned(),
            model_returned: Some("flash-002".to_owned()),
            usage: Some(TokenUsage {
                input: 100,
                output: 20,
                cached_input: 40,
                ..TokenUsage::default()
            }),
            usage_reported: None,
            cost: Cost {
                pico_usd: Some(PicoDollars(420_000_000)),
                quality: CostQuality::Exact,
                price: None,
            },
            finish_reason: Some("stop".to_owned()),
            times: CallTimes {
                first_content_us: Some(300_000),
                total_us: 1_500_000,
                ..CallTimes::default()
            },
            attempts: vec![attempt(Some("provider_reset")), attempt(None)],
            bytes_sent: 10,
            warnings: Vec::new(),
            request_body: None,
            output_format: BodyFormat::Assembled,
            output: Bytes::from_static(b"canary"),
        }
    }

    fn exported(calls: &[(CallIntent, CallOutcome)]) -> Vec<SpanData> {
        let kept = Kept::default();
        let spans = Spans::with_exporter(kept.clone());
        for (intent, outcome) in calls {
            spans.export(intent, outcome);
        }
        spans.shut_down(Duration::from_secs(5));
        let kept = kept.0.lock().unwrap();
        kept.clone()
    }

    fn attributes(span: &SpanData) -> BTreeMap<String, String> {
        let pairs = span.attributes.iter();
        pairs
            .map(|pair| (pair.key.to_string(), pair.value.to_string()))
            .collect()
    }

    #[test]
    fn a_call_becomes_a_span_of_the_clients_trace() {
        let spans = exported(&[call()]);
        let [span] = spans.as_slice() else {
            panic!("{spans:?}");
        };
        assert_eq!(span.name, "chat flash");
        let context = &span.span_context;
        assert_eq!(
            context.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(context.span_id().to_string(), "bcceb302099a8057");
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        let duration = span.end_time.duration_since(span.start_time).unwrap();
        assert_eq!(duration, Duration::from_millis(1_500));
        let attributes = attributes(span);
        for (name, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "gcp.gemini"),
            ("gen_ai.request.model", "flash"),
            ("gen_ai.response.model", "flash-002"),
            ("gen_ai.response.finish_reasons", "[\"stop\"]"),
            ("gen_ai.prompt.name", "support/refund"),
            ("gen_ai.prompt.version", "v7"),
            ("gen_ai.usage.input_tokens", "100"),
            ("gen_ai.usage.output_tokens", "20"),
            ("gen_ai.usage.cache_read.input_tokens", "40"),
            ("promptgate.cost_usd", "0.00042"),
            ("promptgate.attempts", "2"),
        ] {
            assert_eq!(
                attributes.get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        assert!(!attributes.contains_key("error.type"));
        assert!(!format!("{span:?}").contains("canary"));
    }

    #[test]
    fn a_failed_call_says_why_and_is_its_own_trace_without_a_client() {
        let (mut intent, mut outcome) = call();
        intent.trace = None;
        outcome.state = CallState::Timeout;
        outcome.error = Some("provider_idle_timeout".to_owned());
        let spans = exported(&[(intent, outcome)]);
        let span = &spans[0];
        let trace = span.span_context.trace_id().to_string();
        assert_eq!(trace, "01890a5dac96774bbcceb302099a8057");
        assert_eq!(span.status, Status::error("provider_idle_timeout"));
        assert_eq!(attributes(span)["error.type"], "provider_idle_timeout");
    }

    #[test]
    fn what_the_client_does_not_sample_is_left_out() {
        let (mut intent, outcome) = call();
        intent.trace.as_mut().unwrap().sampled = false;
        assert!(exported(&[(intent, outcome)]).is_empty());
    }

    #[test]
    fn a_bad_endpoint_is_refused_without_its_password() {
        let error = Spans::start("ftp://u:canary@h:1", &[]).unwrap_err();
        assert!(error.to_string().contains("`ftp://h:1`"), "{error}");
        assert_eq!(without_user("http://h:1/a"), "http://h:1/a");
    }
}
