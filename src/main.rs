//! The `promptgate` program.

fn main() {}
