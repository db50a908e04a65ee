//! What is promised of the vault.

mod cleaning;
mod crashes;
mod keeping;
mod snapshots;
