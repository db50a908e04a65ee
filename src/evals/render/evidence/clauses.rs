//! Which line of a pack answers which clause: NIST's AI Risk Management Framework 1.0 and Regulation (EU) 2024/1689.
//!
//! It says where to look, not that a clause is met: that depends on what the system is for.

use serde::Serialize;

/// A clause, and the kinds of lines that bear on it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Clause {
    framework: &'static str,
    clause: &'static str,
    /// What the clause is about.
    about: &'static str,
    /// Kinds of lines.
    lines: &'static [&'static str],
}

const NIST: &str = "nist-ai-rmf-1.0";
const EU: &str = "eu-ai-act-2024/1689";

pub(super) const CLAUSES: &[Clause] = &[
    clause(
        NIST,
        "MEASURE 2.3",
        "performance is measured and documented",
        &["metric", "count"],
    ),
    clause(NIST, "MEASURE 2.6", "safety is evaluated", &["safety"]),
    clause(
        NIST,
        "MEASURE 2.7",
        "security and resilience are evaluated",
        &["safety"],
    ),
    clause(
        NIST,
        "MEASURE 2.8",
        "risks of transparency and accountability are examined",
        &["run", "subject", "judge"],
    ),
    clause(
        NIST,
        "MEASURE 2.10",
        "privacy risk is examined",
        &["safety"],
    ),
    clause(
        NIST,
        "MEASURE 2.11",
        "fairness and bias are evaluated",
        &["group"],
    ),
    clause(
        NIST,
        "MANAGE 4.1",
        "the system is monitored after deployment",
        &["run", "verdict"],
    ),
    clause(
        EU,
        "Article 9(6-8)",
        "testing against metrics and thresholds defined before",
        &["threshold", "gate", "verdict"],
    ),
    clause(
        EU,
        "Article 12(1)",
        "events are recorded automatically",
        &["case"],
    ),
    clause(
        EU,
        "Article 12(2)",
        "risks and substantial changes can be found",
        &["subject", "metric"],
    ),
    clause(
        EU,
        "Article 15",
        "accuracy and robustness are declared and tested",
        &["metric", "safety"],
    ),
    clause(
        EU,
        "Article 17",
        "quality management, tests before and after a change",
        &["run", "gate"],
    ),
    clause(
        EU,
        "Articles 19 and 26(6)",
        "records are kept for at least six months",
        &["run"],
    ),
    clause(
        EU,
        "Article 72",
        "monitoring after the system is on the market",
        &["run", "verdict"],
    ),
];

const fn clause(
    framework: &'static str,
    clause: &'static str,
    about: &'static str,
    lines: &'static [&'static str],
) -> Clause {
    Clause {
        framework,
        clause,
        about,
        lines,
    }
}
