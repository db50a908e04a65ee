//! Tests of the room as a whole.

mod crash;
mod disks;
mod fixture;
mod queries;
mod records;
mod runs;
