//! Two pieces of work at once, for steps that use one core each and do not wait for each other.

use std::panic::resume_unwind;
use std::thread;

/// Returns what both give: `other`, on a thread of its own, and `here`.
pub(crate) fn at_once<A: Send, B>(
    other: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> B,
) -> (A, B) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let here = here();
        let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        (other, here)
    })
}

#[cfg(test)]
mod tests {
    use super::at_once;
    use std::sync::mpsc::channel;

    #[test]
    fn both_run_at_once() {
        let (ask, asked) = channel();
        let (answer, answered) = channel();
        let other = move || {
            answer.send(asked.recv().unwrap() + 1).unwrap();
            "other"
        };
        let here = || {
            ask.send(1).unwrap();
            answered.recv().unwrap()
        };
        assert_eq!(at_once(other, here), ("other", 2));
    }

    #[test]
    #[should_panic(expected = "of the other")]
    fn a_panic_of_the_other_is_ours() {
        at_once(|| panic!("of the other"), || ());
    }
}
