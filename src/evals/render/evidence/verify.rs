//! Checks a pack without believing it: the chain is computed again, and so are the figures that its lines allow.

use super::{NOTHING, SEAL, Tally, tallies};
use crate::domain::sha256_hex;
use crate::evals::grade::Mark;
use crate::evals::plan::Side;
use crate::evals::report::{GateLine, MetricLine, SafetyLine, Verdict};
use crate::evals::suite::OnInconclusive;
use crate::stats::{Pairs, upper_bound_exact};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Figures that were computed in two programs may differ in their last digits.
const CLOSE: f64 = 1e-6;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Lines that were read.
    pub lines: u64,
    /// Figures that were computed again.
    pub figures: u64,
    /// What does not hold; empty when everything does.
    pub problems: Vec<String>,
    /// The pack's verdict, when it has one.
    pub verdict: Option<Verdict>,
}

/// Checks a pack: every hash, the order, the end, and the figures.
#[must_use]
pub fn verify(pack: &str) -> Verified {
    let mut checked = Verified::default();
    let mut facts = Facts::default();
    let mut previous = NOTHING.to_owned();
    for (index, text) in pack.lines().enumerate() {
        checked.lines += 1;
        match line(text, index, &previous) {
            Ok((hash, fact)) => {
                previous = hash;
                if let Err(problem) = facts.take(fact) {
                    checked
                        .problems
                        .push(format!("line {}: {problem}", index + 1));
                }
            }
            Err(problem) => {
                // What follows hangs on this line: one problem, not as many as there are lines.
                checked
                    .problems
                    .push(format!("line {}: {problem}", index + 1));
                return checked;
            }
        }
    }
    facts.check_end(&mut checked);
    facts.check_counts(&mut checked);
    facts.check_metrics(&mut checked);
    facts.check_safety(&mut checked);
    facts.check_verdict(&mut checked);
    checked.verdict = facts.verdict.map(|verdict| verdict.verdict);
    checked
}

#[derive(Deserialize)]
struct Line {
    version: u32,
    sequence: u64,
    previous: String,
    kind: String,
    body: Value,
}

/// Checks one line against its hash and its place. Returns its hash and what it says.
fn line(text: &str, index: usize, previous: &str) -> Result<(String, Line), String> {
    let (sealed, end) = text.rsplit_once(SEAL).ok_or("it has no hash at its end")?;
    let stated = end.strip_suffix("\"}").ok_or("it has no hash at its end")?;
    let hash = sha256_hex(sealed.as_bytes());
    if hash != stated {
        return Err(format!(
            "its text was changed: the hash is {hash}, not `{stated}`"
        ));
    }
    let line: Line = serde_json::from_str(&format!("{sealed}}}"))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if line.version != 1 {
        return Err(format!(
            "it is of version {}, and only 1 is known",
            line.version
        ));
    }
    if line.previous != previous || usize::try_from(line.sequence) != Ok(index) {
        return Err("it does not follow the line before: one is missing, or moved".to_owned());
    }
    Ok((hash, line))
}

#[derive(Deserialize)]
struct Case {
    side: Side,
    subject: String,
    case: String,
    repeat: u32,
    mark: Mark,
}

#[derive(Deserialize)]
struct Count {
    side: Side,
    subject: String,
    passed: u64,
    failed: u64,
    errors: u64,
}

#[derive(Deserialize)]
struct End {
    verdict: Verdict,
    lines: u64,
}

#[derive(Default)]
struct Facts {
    cases: Vec<Case>,
    counts: BTreeMap<(Side, String), Tally>,
    metrics: Vec<MetricLine>,
    safety: Vec<SafetyLine>,
    gates: Vec<GateLine>,
    verdict: Option<End>,
}

impl Facts {
    fn take(&mut self, line: Line) -> Result<(), String> {
        if self.verdict.is_some() {
            return Err("it comes after the verdict".to_owned());
        }
        let Line { kind, body, .. } = line;
        let taken = match kind.as_str() {
            "case" => serde_json::from_value(body).map(|case| self.cases.push(case)),
            "count" => serde_json::from_value(body).map(|count: Count| {
                let tally = Tally {
                    passed: count.passed,
                    failed: count.failed,
                    errors: count.errors,
                };
                self.counts.insert((count.side, count.subject), tally);
            }),
            "metric" => serde_json::from_value(body).map(|line| self.metrics.push(line)),
            "safety" => serde_json::from_value(body).map(|line| self.safety.push(line)),
            "gate" => serde_json::from_value(body).map(|line| self.gates.push(line)),
            "verdict" => serde_json::from_value(body).map(|end| self.verdict = Some(end)),
            _ => Ok(()),
        };
        taken.map_err(|error| format!("the `{kind}` cannot be read: {error}"))
    }

    fn check_end(&self, checked: &mut Verified) {
        match &self.verdict {
            None => checked
                .problems
                .push("it has no verdict: its end is missing".to_owned()),
            Some(end) if end.lines != checked.lines => checked.problems.push(format!(
                "it has {} lines, and its verdict speaks of {}",
                checked.lines, end.lines
            )),
            Some(_) => {}
        }
    }

    fn check_counts(&self, checked: &mut Verified) {
        let again = tallies(
            self.cases
                .iter()
                .map(|case| (case.side, case.subject.clone(), case.mark)),
        );
        checked.figures += u64::try_from(again.len()).unwrap_or(u64::MAX);
        if again != self.counts {
            let problem = "the counts are not those of the cases";
            checked.problems.push(problem.to_owned());
        }
    }

    /// Flips of whole cases can be counted again where each was asked once on each side.
    fn check_metrics(&self, checked: &mut Verified) {
        for line in &self.metrics {
            let of_pairs = Pairs {
                regressed: line.regressed,
                improved: line.improved,
                total: line.cases,
            };
            if let Some((name, stated)) = &line.p_value
                && name == "McNemar exact"
            {
                checked.figures += 1;
                let p = of_pairs.mcnemar_exact();
                if p.is_none_or(|p| CLOSE < (p - stated).abs()) {
                    checked.problems.push(format!(
                        "`{}` of {}: the p-value is {p:?}, not {stated}",
                        line.metric, line.subject
                    ));
                }
            }
            let is_countable = line.metric == "pass"
                && line.base.is_some()
                && self.cases.iter().all(|case| case.repeat == 0);
            if is_countable {
                checked.figures += 1;
                let flips = self.flips(&line.subject);
                if flips != (line.regressed, line.improved) {
                    checked.problems.push(format!(
                        "`pass` of {}: {} cases newly fail and {} newly pass, not {} and {}",
                        line.subject, flips.0, flips.1, line.regressed, line.improved
                    ));
                }
            }
        }
    }

    fn flips(&self, subject: &str) -> (u64, u64) {
        let marks = |side: Side| -> BTreeMap<&str, Mark> {
            let cases = self.cases.iter();
            cases
                .filter(|case| case.side == side && case.subject == subject)
                .map(|case| (case.case.as_str(), case.mark))
                .collect()
        };
        let (base, head) = (marks(Side::Base), marks(Side::Head));
        let flipped = |from: Mark, to: Mark| {
            let same = base
                .iter()
                .filter(|(case, mark)| **mark == from && head.get(**case) == Some(&to));
            u64::try_from(same.count()).unwrap_or(u64::MAX)
        };
        (
            flipped(Mark::Pass, Mark::Fail),
            flipped(Mark::Fail, Mark::Pass),
        )
    }

    fn check_safety(&self, checked: &mut Verified) {
        for line in &self.safety {
            checked.figures += 1;
            let bound = upper_bound_exact(line.failures, line.cases, 0.95);
            if bound.is_none_or(|bound| CLOSE < (bound - line.upper95).abs()) {
                checked.problems.push(format!(
                    "`{}`: the upper bound of {} of {} is {bound:?}, not {}",
                    line.category, line.failures, line.cases, line.upper95
                ));
            }
        }
    }

    /// A verdict is never better than its gates.
    fn check_verdict(&self, checked: &mut Verified) {
        let Some(end) = &self.verdict else {
            return;
        };
        checked.figures += 1;
        let holds_up = |gate: &&GateLine| match gate.verdict {
            Verdict::Passed => false,
            Verdict::Failed | Verdict::Invalid => true,
            Verdict::Inconclusive => gate.gate.on_inconclusive == OnInconclusive::Fail,
        };
        if end.verdict == Verdict::Passed
            && let Some(gate) = self.gates.iter().find(holds_up)
        {
            checked.problems.push(format!(
                "it says passed, and the gate `{}` of {} is not",
                gate.metric, gate.subject
            ));
        }
    }
}
