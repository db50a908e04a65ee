//! Files of data: tables (CSV) and lines of JSON, each row a case.
//!
//! A row becomes the tree that the same case would be in YAML, so that all that is checked there is
//! checked here too.

mod cells;
mod rows;
mod tables;

pub(in crate::evals) use rows::{json_lines, table_rows};
pub(in crate::evals) use tables::table;
