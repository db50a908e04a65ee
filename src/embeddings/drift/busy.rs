//! Who is being worked on: nobody looks twice at once at one window, or at one canary.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The names that are being worked on.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy {
    names: Arc<Mutex<HashSet<String>>>,
}

/// A name that is being worked on; it is free when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    busy: Busy,
    name: String,
}

impl Busy {
    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name for oneself; `None` when somebody has it.
    pub(super) fn claim(&self, name: &str) -> Option<Place> {
        self.names().insert(name.to_owned()).then(|| Place {
            busy: self.clone(),
            name: name.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy.names().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::Busy;

    #[test]
    fn a_name_is_one_persons_at_a_time() {
        let busy = Busy::default();
        let place = busy.claim("a");
        assert!(place.is_some() && busy.claim("a").is_none() && busy.claim("b").is_some());
        drop(place);
        assert!(busy.claim("a").is_some());
    }
}
