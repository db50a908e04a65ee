//! The `promptgate` program: hands its arguments to the command line and returns its exit code.

use std::process::ExitCode;

/// A call's memory is freed by another thread as often as not, and the system's allocator takes a
/// lock for that: half of all futex calls under load were its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    promptgate::cli::run()
}
