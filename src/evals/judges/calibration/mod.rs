//! A judge held against people: what they said of answers, what it says of the same, how far both agree.
//!
//! ```text
//! labels  what people said, one JSON object a line
//! ask     the labels as cases of a run, or asked directly
//! report  the table of both, its figures, and every answer on which they differ
//! stored  the counts beside the judge's file; they hold for this judge and these labels only
//! ```
//!
//! Where several people label one answer, the majority is the truth. An answer on which they are even is
//! left out and counted. So is an answer that the judge could not judge.

mod ask;
mod labels;
mod report;
mod stored;

pub use ask::{calibrate, opinions, plan};
pub use labels::{Label, Problem, read_labels};
pub use report::{CalibrationReport, Disagreement, Opinion, Unjudged, report};
pub use stored::{StoredCalibration, identity, path_beside, stored};
