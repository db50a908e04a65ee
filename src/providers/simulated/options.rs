//! The options that script the provider, from the model's name and the request's metadata.

use super::request::Request;
use super::{Refusal, hash};
use crate::providers::Outgoing;
use std::time::Duration;
use url::form_urlencoded;

/// The options there are, for error messages.
const KNOWN: &str = "`latency`, `first`, `chunk`, `chunks`, `text`, `echo`, `fail`, `after`, \
                     `times`, `rate`, `retry_after`, `stall`, `usage`, `cached`, `reasoning`, \
                     `finish`";

/// The longest wait and the most pieces: a typing error must not hold memory or a connection.
const MAX_WAIT: Duration = Duration::from_secs(3_600);
const MAX_CHUNKS: usize = 100_000;

/// How the provider is to behave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options {
    /// The model's name, without the options.
    pub(super) model: String,
    pub(super) latency: Duration,
    pub(super) first: Duration,
    pub(super) chunk: Duration,
    pub(super) chunks: Option<usize>,
    pub(super) text: Option<String>,
    pub(super) echo: Option<Echo>,
    pub(super) fail: Option<Failure>,
    pub(super) after: Option<usize>,
    times: Option<u32>,
    rate: Option<f64>,
    pub(super) retry_after: Option<String>,
    pub(super) stall: Option<Stall>,
    pub(super) hides_usage: bool,
    pub(super) cached: u64,
    pub(super) reasoning: u64,
    pub(super) finish: Option<String>,
}

/// What is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    Messages,
    Request,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Status(u16),
    Connect,
    Reset,
    Cut,
    Malformed,
    Event,
    Html,
    Empty,
}

/// Where nothing more is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    Head,
    /// After that many contents.
    After(usize),
}

impl Options {
    /// Reads the request and the options that it and the model's name carry.
    pub(super) fn read_all(outgoing: &Outgoing) -> Result<(Self, Request), Refusal> {
        let request = Request::parse(&outgoing.body)?;
        let mut options = Self::from_model(&outgoing.model)?;
        for (name, value) in request.scripted_options() {
            options.set(name, value)?;
        }
        if options.model == "echo" && options.echo.is_none() {
            options.echo = Some(Echo::Messages);
        }
        Ok((options, request))
    }

    fn from_model(name: &str) -> Result<Self, Refusal> {
        let name = name.strip_prefix("simulated/").unwrap_or(name);
        let (model, query) = name.split_once('?').unwrap_or((name, ""));
        let mut options = Self {
            model: model.to_owned(),
            ..Self::default()
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            options.set(&name, &value)?;
        }
        Ok(options)
    }

    /// Whether this attempt is one of those that fail.
    pub(super) fn is_failing(&self, outgoing: &Outgoing) -> bool {
        let (_, low) = outgoing.call_id.0.as_u64_pair();
        let is_in_time = self.times.is_none_or(|times| outgoing.attempt < times);
        let is_in_share = self
            .rate
            .is_none_or(|rate| hash::fraction(hash::mix(low)) < rate);
        self.fail.is_some() && is_in_time && is_in_share
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let bad = |wanted: &str| {
            let shown: String = value.chars().take(80).collect();
            let message = format!("simulated option `{name}` is `{shown}`, not {wanted}");
            Refusal::new(message, Some("model"))
        };
        let count = |wanted| value.parse().ok().ok_or_else(|| bad(wanted));
        let wait = || duration(value).ok_or_else(|| bad("a duration of at most an hour"));
        match name {
            "latency" => self.latency = wait()?,
            "first" => self.first = wait()?,
            "chunk" => self.chunk = wait()?,
            "chunks" => {
                let chunks = count("a number")?;
                if !(1..=MAX_CHUNKS).contains(&chunks) {
                    return Err(bad("a number from 1 to 100000"));
                }
                self.chunks = Some(chunks);
            }
            "text" => self.text = Some(value.to_owned()),
            "echo" => {
                self.echo = Some(match value {
                    "messages" | "true" => Echo::Messages,
                    "request" => Echo::Request,
                    _ => return Err(bad("`messages` or `request`")),
                });
            }
            "fail" => self.fail = Some(failure(value).ok_or_else(|| bad(FAILURES))?),
            "after" => self.after = Some(count("a number")?),
            "times" => self.times = Some(value.parse().map_err(|_| bad("a number"))?),
            "rate" => {
                let rate = value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
                self.rate = Some(rate.ok_or_else(|| bad("a share from 0 to 1"))?);
            }
            "retry_after" => self.retry_after = Some(value.to_owned()),
            "stall" => self.stall = Some(stall(value).ok_or_else(|| bad("`head` or `after3`"))?),
            "usage" => {
                self.hides_usage = match value {
                    "none" => true,
                    "include" => false,
                    _ => return Err(bad("`none` or `include`")),
                }
            }
            "cached" => self.cached = value.parse().map_err(|_| bad("a number"))?,
            "reasoning" => self.reasoning = value.parse().map_err(|_| bad("a number"))?,
            "finish" => self.finish = Some(value.to_owned()),
            _ => {
                let shown: String = name.chars().take(80).collect();
                let message = format!("simulated option `{shown}` is unknown; there are {KNOWN}");
                return Err(Refusal::new(message, Some("model")));
            }
        }
        Ok(())
    }
}

const FAILURES: &str = "a status from 400 to 599, `connect`, `reset`, `cut`, `malformed`, \
                        `event`, `html` or `empty`";

fn failure(value: &str) -> Option<Failure> {
    Some(match value {
        "connect" => Failure::Connect,
        "reset" => Failure::Reset,
        "cut" => Failure::Cut,
        "malformed" => Failure::Malformed,
        "event" => Failure::Event,
        "html" => Failure::Html,
        "empty" => Failure::Empty,
        _ => {
            let status = value.parse().ok();
            Failure::Status(status.filter(|status| (400..=599).contains(status))?)
        }
    })
}

fn stall(value: &str) -> Option<Stall> {
    if value == "head" {
        return Some(Stall::Head);
    }
    let count = value.strip_prefix("after").unwrap_or(value);
    count.parse().ok().map(Stall::After)
}

fn duration(value: &str) -> Option<Duration> {
    let unit_at = value
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(value.len());
    let (amount, unit) = value.split_at_checked(unit_at)?;
    let unit_seconds = match unit {
        "us" => 1e-6,
        "" | "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let seconds = amount.parse::<f64>().ok()? * unit_seconds;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (wait <= MAX_WAIT).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::{Echo, Failure, KNOWN, Options, Stall};
    use std::time::Duration;

    #[test]
    fn a_models_name_carries_options() {
        let name = "simulated/big?latency=50ms&first=1.5s&chunk=10&chunks=20&fail=503&after=3\
                    &stall=after4&usage=none&text=hi%20there&echo=request&retry_after=2&finish=length";
        let options = Options::from_model(name).unwrap();
        assert_eq!(options.model, "big");
        assert_eq!(options.latency, Duration::from_millis(50));
        assert_eq!(options.first, Duration::from_millis(1_500));
        assert_eq!(options.chunk, Duration::from_millis(10));
        assert_eq!(options.chunks, Some(20));
        assert_eq!(options.fail, Some(Failure::Status(503)));
        assert_eq!(options.after, Some(3));
        assert_eq!(options.stall, Some(Stall::After(4)));
        assert!(options.hides_usage);
        assert_eq!(options.text.as_deref(), Some("hi there"));
        assert_eq!(options.echo, Some(Echo::Request));
        assert_eq!(options.finish.as_deref(), Some("length"));
    }

    #[test]
    fn bad_options_are_refused_with_what_would_be_right() {
        for (query, part) in [
            ("latencey=1", KNOWN),
            ("latency=2h", "a duration"),
            ("latency=-1", "a duration"),
            ("chunks=0", "from 1 to 100000"),
            ("fail=200", "from 400 to 599"),
            ("rate=2", "a share"),
            ("stall=never", "`head`"),
            ("usage=some", "`none`"),
        ] {
            let refusal = Options::from_model(&format!("m?{query}")).unwrap_err();
            assert!(
                refusal.message.contains(part),
                "{query}: {}",
                refusal.message
            );
        }
        for known in KNOWN.split(", ") {
            let query = format!("m?{}=-", known.trim_matches('`'));
            if let Err(refusal) = Options::from_model(&query) {
                assert!(!refusal.message.contains("unknown"), "{known}");
            }
        }
    }
}
