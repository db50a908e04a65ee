//! Gates: what must hold for a change to pass, written as what would make it fail: `overlap@10 < 0.95`.

use super::error::CompareError;
use super::report::GateOutcome;
use crate::stats::Interval;
use std::fmt;
use std::str::FromStr;

/// What a gate looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A figure by its id.
    Figure(String),
    /// How far a figure falls from A to B.
    Drop(String),
    /// Whichever of the queries' or the items' figures there is: `overlap@10`, `rbo`.
    Change(String),
    /// The share of questions with another first answer.
    TopChanged,
    /// The provider's own noise.
    NoiseFloor,
    /// The largest distance of a threshold from where it was.
    ThresholdShift,
    /// Whether the spaces are two.
    SpaceMismatch,
}

/// How a figure is held against the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// Below it.
    Below,
    /// Below it or on it.
    UpTo,
    /// Above it.
    Above,
    /// Above it or on it.
    From,
}

/// A gate: it fails when what it says is so.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    text: String,
    pub(super) subject: Subject,
    pub(super) relation: Relation,
    pub(super) limit: f64,
}

/// What can be asked for, as it is written; `@` wants a number behind it.
const NAMES: [&str; 18] = [
    "overlap@",
    "query-overlap@",
    "item-overlap@",
    "jaccard@",
    "rbo",
    "top1",
    "top1-changed",
    "ndcg@",
    "recall@",
    "mrr@",
    "hit@",
    "map",
    "lost-hits",
    "gained-hits",
    "noise-floor",
    "threshold-shift",
    "space-mismatch",
    "mixed-overlap@",
];

impl Gate {
    /// Returns whether the gate looks only at what every question says by itself, so that one may stop
    /// asking when it is decided.
    pub(super) fn is_of_overlap(&self, k: usize) -> bool {
        matches!(&self.subject, Subject::Change(name) if *name == format!("overlap@{k}"))
    }

    /// Returns what comes of it when its figure lies in an interval: the ends decide, never the middle.
    pub(super) fn outcome(&self, interval: Interval) -> GateOutcome {
        let is_so = |value: f64| match self.relation {
            Relation::Below => value < self.limit,
            Relation::UpTo => value <= self.limit,
            Relation::Above => self.limit < value,
            Relation::From => self.limit <= value,
        };
        match (is_so(interval.low), is_so(interval.high)) {
            (true, true) => GateOutcome::Failed,
            (false, false) => GateOutcome::Passed,
            _ => GateOutcome::CannotDecide,
        }
    }

    /// Returns whether vectors that have nothing in common would pass as well, though the gate wants likeness.
    pub(super) fn is_met_by_chance(&self, chance: f64) -> bool {
        let is_low_bad = matches!(self.relation, Relation::Below | Relation::UpTo);
        let wants_likeness = is_low_bad != (self.subject == Subject::TopChanged);
        let by_chance = Interval {
            low: chance,
            high: chance,
        };
        wants_likeness && self.outcome(by_chance) == GateOutcome::Passed
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Gate {
    type Err = CompareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let parts = split(text);
        let mut words = parts.iter().map(String::as_str);
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let rest: Vec<&str> = words.collect();
        let (is_drop, rest) = match rest.split_first() {
            Some((first, rest)) if *first == "drop" => (true, rest),
            _ => (false, rest.as_slice()),
        };
        let subject = subject(&name, is_drop).map_err(|reason| refused(text, &name, reason))?;
        let (relation, limit) = match (&subject, rest) {
            (Subject::SpaceMismatch, []) => (Relation::Above, 0.0),
            (Subject::SpaceMismatch, _) => {
                let reason = "`space-mismatch` stands alone".to_owned();
                return Err(refused(text, "", reason));
            }
            (_, [relation, limit, flags @ ..]) => {
                flags_fit(flags, &subject, is_drop).map_err(|reason| refused(text, "", reason))?;
                let relation = self::relation(relation);
                let limit = number(limit);
                let unread = || "it needs a comparison and a number: `< 0.95`".to_owned();
                relation
                    .zip(limit)
                    .ok_or_else(|| refused(text, "", unread()))?
            }
            _ => {
                let reason = "it needs a comparison and a number: `< 0.95`".to_owned();
                return Err(refused(text, "", reason));
            }
        };
        Ok(Self {
            text: text.to_owned(),
            subject,
            relation,
            limit,
        })
    }
}

fn refused(gate: &str, name: &str, reason: String) -> CompareError {
    CompareError::InvalidGate {
        gate: gate.to_owned(),
        reason,
        suggestion: suggestion(name),
    }
}

/// What was probably meant by a name that is none.
fn suggestion(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some(
            "write `overlap@10 < 0.95`, `ndcg@10 drop > 0.01` or `lost-hits > 5`".to_owned(),
        );
    }
    let stem = name.split('@').next().unwrap_or_default();
    let known = NAMES.into_iter();
    let near = known.map(|known| {
        (
            strsim::jaro_winkler(stem, known.trim_end_matches('@')),
            known,
        )
    });
    let (nearness, known) = near.max_by(|one, other| one.0.total_cmp(&other.0))?;
    let example = if known.ends_with('@') {
        format!("{known}10")
    } else {
        known.to_owned()
    };
    if 0.8 <= nearness {
        return Some(format!("did you mean `{example}`?"));
    }
    let all = NAMES.map(|name| {
        if name.ends_with('@') {
            format!("{name}10")
        } else {
            name.to_owned()
        }
    });
    Some(format!("there are {}", all.join(", ")))
}

/// Divides words, also where no space is beside a comparison: `overlap@10<0.95`.
fn split(text: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(text.len() + 4);
    let mut before = ' ';
    for c in text.chars() {
        let is_sign = |c: char| matches!(c, '<' | '>' | '=');
        if is_sign(c) != is_sign(before) {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

fn subject(name: &str, is_drop: bool) -> Result<Subject, String> {
    let stem = name.split_once('@');
    let is_length = stem.is_some_and(|(_, k)| k.parse::<u32>().is_ok_and(|k| 0 < k));
    let subject = match (stem.map_or(name, |(stem, _)| stem), is_length) {
        ("overlap" | "jaccard", true) | ("rbo" | "top1", false) => Subject::Change(name.to_owned()),
        ("query-overlap", true) => Subject::Figure(name.replacen("query-", "query.", 1)),
        ("item-overlap", true) => Subject::Figure(name.replacen("item-", "item.", 1)),
        ("mixed-overlap", true) => {
            Subject::Figure(name.replacen("mixed-overlap", "cross.mixed_b.overlap", 1))
        }
        ("top1-changed", false) => Subject::TopChanged,
        ("ndcg" | "recall" | "mrr" | "hit", true) | ("map", false) => {
            Subject::Drop(format!("label.{name}.delta"))
        }
        ("lost-hits", false) => Subject::Figure("label.lost".to_owned()),
        ("gained-hits", false) => Subject::Figure("label.gained".to_owned()),
        ("noise-floor", false) => Subject::NoiseFloor,
        ("threshold-shift", false) => Subject::ThresholdShift,
        ("space-mismatch", false) => Subject::SpaceMismatch,
        (
            "overlap" | "jaccard" | "query-overlap" | "item-overlap" | "mixed-overlap" | "ndcg"
            | "recall" | "mrr" | "hit",
            false,
        ) => return Err(format!("`{name}` needs a length: `{name}@10`")),
        _ => return Err(format!("there is no figure `{name}`")),
    };
    match (&subject, is_drop) {
        (Subject::Drop(_), false) => Err(format!(
            "`{name}` is compared by how far it falls: `{name} drop > 0.01`"
        )),
        (Subject::Drop(_), true) | (_, false) => Ok(subject),
        (_, true) => Err(format!("`{name}` has no drop: it compares the two already")),
    }
}

/// Words behind the number, which say what is so anyway: drops are judged by their intervals, and shifts are
/// those of thresholds that nobody moved.
fn flags_fit(flags: &[&str], subject: &Subject, is_drop: bool) -> Result<(), String> {
    for flag in flags {
        let fits = match *flag {
            "significant" => is_drop,
            "unmapped" => *subject == Subject::ThresholdShift,
            _ => false,
        };
        if !fits {
            return Err(format!("`{flag}` means nothing there"));
        }
    }
    Ok(())
}

fn relation(sign: &str) -> Option<Relation> {
    Some(match sign {
        "<" => Relation::Below,
        "<=" => Relation::UpTo,
        ">" => Relation::Above,
        ">=" => Relation::From,
        _ => return None,
    })
}

/// `0.95`, `20%`.
fn number(text: &str) -> Option<f64> {
    let (digits, scale) = match text.strip_suffix('%') {
        Some(digits) => (digits, 100.0),
        None => (text, 1.0),
    };
    let number: f64 = digits.trim().parse().ok()?;
    number.is_finite().then_some(number / scale)
}

#[cfg(test)]
mod tests {
    use super::{Gate, Relation, Subject};

    fn assert_read(cases: impl IntoIterator<Item = (&'static str, Subject, Relation, f64)>) {
        for (text, subject, relation, limit) in cases {
            let gate: Gate = text.parse().unwrap();
            assert_eq!(
                (&gate.subject, gate.relation),
                (&subject, relation),
                "{text}"
            );
            assert!((gate.limit - limit).abs() < 1e-12, "{text}");
            assert_eq!(gate.to_string(), text);
        }
    }

    #[test]
    fn gates_of_figures_are_read() {
        let figure = |id: &str| Subject::Figure(id.to_owned());
        let change = |id: &str| Subject::Change(id.to_owned());
        let drop = |id: &str| Subject::Drop(id.to_owned());
        assert_read([
            (
                "overlap@10 < 0.95",
                change("overlap@10"),
                Relation::Below,
                0.95,
            ),
            (
                "item-overlap@20<=.5",
                figure("item.overlap@20"),
                Relation::UpTo,
                0.5,
            ),
            (
                "ndcg@10 drop > 0.01 significant",
                drop("label.ndcg@10.delta"),
                Relation::Above,
                0.01,
            ),
            (
                "map drop > 1%",
                drop("label.map.delta"),
                Relation::Above,
                0.01,
            ),
            ("lost-hits > 5", figure("label.lost"), Relation::Above, 5.0),
        ]);
    }

    #[test]
    fn gates_of_the_whole_are_read() {
        assert_read([
            (
                "top1-changed >= 20%",
                Subject::TopChanged,
                Relation::From,
                0.2,
            ),
            (
                "noise-floor < 0.99",
                Subject::NoiseFloor,
                Relation::Below,
                0.99,
            ),
            (
                "threshold-shift > 0.02 unmapped",
                Subject::ThresholdShift,
                Relation::Above,
                0.02,
            ),
            (
                "space-mismatch",
                Subject::SpaceMismatch,
                Relation::Above,
                0.0,
            ),
        ]);
    }

    #[test]
    fn what_is_no_gate_is_refused_with_a_suggestion() {
        for (text, reason, hint) in [
            (
                "overlpa@10 < 0.9",
                "there is no figure `overlpa@10`",
                "did you mean `overlap@10`?",
            ),
            (
                "cka < 0.9",
                "there is no figure `cka`",
                "there are overlap@10, ",
            ),
            (
                "overlap < 0.9",
                "needs a length: `overlap@10`",
                "did you mean `overlap@10`?",
            ),
            ("overlap@0 < 0.9", "needs a length", "did you mean"),
            (
                "ndcg@10 < 0.4",
                "`ndcg@10 drop > 0.01`",
                "did you mean `ndcg@10`?",
            ),
            ("overlap@10 drop > 0.1", "has no drop", "did you mean"),
            (
                "overlap@10 = 0.9",
                "needs a comparison and a number",
                "write `overlap@10 < 0.95`",
            ),
            ("overlap@10 <", "needs a comparison and a number", "write"),
            ("overlap@10 < x", "needs a comparison and a number", "write"),
            (
                "overlap@10 < 0.9 significant",
                "`significant` means nothing there",
                "write",
            ),
            ("space-mismatch > 1", "stands alone", "write"),
            ("", "there is no figure ``", "write"),
        ] {
            let error = text.parse::<Gate>().unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
            let suggestion = error.hint().unwrap();
            assert!(suggestion.contains(hint), "{text}: {suggestion}");
        }
    }
}
