//! How far the answers of two versions lie apart: their outputs as vectors of one model, case by case.
//!
//! Similarity says that an answer changed, never that it became worse: nothing here gates. What is called
//! moved is calibrated by the base's own noise, where its cases were answered twice.

mod measure;

pub use measure::{Answered, measure};

use crate::domain::PicoDollars;
use crate::evals::report::Figure;
use serde::{Deserialize, Serialize};

/// How far the answers of base and head lie apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputShift {
    /// The model that embedded them.
    pub model: String,
    /// Texts that were embedded, each counted once.
    pub texts: u64,
    /// Of those, texts that were too long and embedded by their beginning.
    pub cut: u64,
    /// What embedding them cost this run; `None` when no price is known.
    pub cost: Option<PicoDollars>,
    /// One for each subject that has answers on both sides.
    pub subjects: Vec<SubjectShift>,
}

/// The shift of one subject. Similarities are cosines, −1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectShift {
    /// The subject's label.
    pub subject: String,
    /// The prompt, by its name in the registry or its label.
    pub prompt: String,
    /// The version of each side.
    pub base: VersionName,
    /// The same of head.
    pub head: VersionName,
    /// Cases with an answer on both sides.
    pub cases: u64,
    /// Cases without an answer on a side, or with one that has no direction (an empty text).
    pub left_out: u64,
    /// The mean similarity of base and head, case by case, with the bootstrap interval (`BCa`, 95 %).
    pub similarity: Figure,
    /// How alike the base is to itself; `None` when no case of it was answered twice.
    pub noise: Option<Noise>,
    /// Cases less alike than this have moved.
    pub threshold: f64,
    /// Whether the threshold is the base's own: its 5 % quantile of similarities to itself.
    pub is_calibrated: bool,
    /// Cases that have moved.
    pub moved: u64,
    /// Their share, with Wilson's interval.
    pub moved_share: Figure,
    /// Whether the answers as a whole are distributed otherwise; `None` with fewer than 10 cases.
    pub distribution: Option<Distribution>,
    /// The cases that moved most, the furthest first.
    pub furthest: Vec<MovedCase>,
}

/// A version as reports name it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VersionName {
    /// For people: `v7`, or a short hash.
    pub version: Option<String>,
    /// The prompt's hash, 64 hex digits.
    pub hash: Option<String>,
}

/// How alike the answers of one version are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Cases of base that were answered twice.
    pub cases: u64,
    /// The mean similarity of a case's first two answers.
    pub similarity: Figure,
    /// By how much head is less alike to base than base to itself, of the cases that say both.
    pub beyond: Option<Figure>,
}

/// A test of all answers together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The squared maximum mean discrepancy, estimated without bias.
    pub mmd: f64,
    /// The chance of one as large when nothing differs, by permutations.
    pub p_value: f64,
    /// Cases that were taken: all, or an even sample of them.
    pub cases: u64,
}

/// A case that moved far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedCase {
    /// The case.
    pub case: String,
    /// How alike its answers are.
    pub similarity: f64,
    /// The answer of base, its beginning.
    pub base: String,
    /// The answer of head, its beginning.
    pub head: String,
}
