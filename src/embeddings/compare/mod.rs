//! Two snapshots side by side: what changed for whom, how sure that is, and what follows.

pub mod report;
