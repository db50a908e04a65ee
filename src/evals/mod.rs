//! Evals: suites of cases, graded, compared with what was good before, and turned into a verdict.
//!
//! ```text
//! suite   files -> Suite         a promptfoo config with everything it names, read and checked
//! planner Suite -> RunPlan       every cell that is to be asked: side x subject x case x repeat
//! run     RunPlan -> rows        asks through the gateway, grades, keeps each row; resumes
//! verdict rows -> RunReport      statistics, gates, one verdict
//! render  RunReport -> text      terminal, JSON, JUnit, Markdown, HTML, SARIF, annotations
//! ```
//!
//! **Invariants**
//! - A grade is passed, failed or an error. An error is never dropped and never counts as either.
//! - What a run needs is in its plan: nothing is read from a file after it began.
//! - Every call, of a case or of a judge, goes through the gateway and is a record.

pub mod baseline;
mod dataset;
mod digest;
pub mod gateway;
pub mod grade;
pub mod graders;
pub mod importers;
pub mod judges;
pub mod ledger;
pub mod plan;
pub mod planner;
pub mod render;
pub mod report;
pub mod row;
pub mod run;
pub mod schedule;
pub mod script;
mod sequential;
pub mod shift;
pub mod suite;
pub mod template;
#[cfg(test)]
mod testing;
pub mod values;
pub mod verdict;
