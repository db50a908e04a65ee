//! Which of the versions behind a label a call got, and why.

use serde::{Deserialize, Serialize};

/// The branch of a release that a call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that the label means.
    Stable,
    /// The version that is tried on a share of the calls.
    Canary,
    /// A version that runs beside the answer; its output goes to nobody but the record.
    Shadow,
    /// A version that somebody put in force past Git, for a time.
    Override,
}

impl Arm {
    /// Returns the name as in headers and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
            Self::Override => "override",
        }
    }
}

/// Why a call took its arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmReason {
    /// There is no other.
    OnlyVersion,
    /// The end user's name decided, always alike.
    StickyUser,
    /// The session's name decided, always alike.
    StickySession,
    /// The header `x-promptgate-sticky` decided, always alike.
    StickyHeader,
    /// The caller's key decided, always alike.
    StickyKey,
    /// Nothing was sent that could decide alike: the call's own id did.
    PerRequest,
    /// The canary's time is over.
    CanaryExpired,
    /// An override is in force.
    Overridden,
    /// The call was drawn for a run in the shadow.
    Sampled,
}

/// How a label was followed to a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDecision {
    /// The label, asked for or by default.
    pub label: String,
    /// The arm.
    pub arm: Arm,
    /// Why that one.
    pub reason: ArmReason,
}
