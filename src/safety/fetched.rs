//! Secrets that are fetched while the program runs, tokens that expire: known from the moment they come until
//! they are replaced, and a little longer, since calls that began with them may still be open.

use crate::domain::Secret;
use crate::safety::secrets::Known;
use arc_swap::ArcSwapOption;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Of what is gone (a config that was read again) this many sets are still known.
const MAX_ORPHANS: usize = 32;

/// The fetched secrets of all sources. Clones share them; looking at them takes no lock.
#[derive(Clone, Default)]
pub struct FetchedSecrets(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The oldest first.
    kept: Mutex<Vec<Kept>>,
    known: ArcSwapOption<Known>,
}

/// What one source gave at one time.
struct Kept {
    source: Weak<()>,
    secrets: Vec<Secret>,
}

/// A source of fetched secrets. Of each the newest set is known and the one before it.
#[derive(Clone)]
pub struct SecretSource {
    all: FetchedSecrets,
    mark: Arc<()>,
}

impl fmt::Debug for FetchedSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FetchedSecrets(***)")
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretSource(***)")
    }
}

impl FetchedSecrets {
    /// Returns a new source, which has given nothing yet.
    #[must_use]
    pub fn source(&self) -> SecretSource {
        SecretSource {
            all: self.clone(),
            mark: Arc::new(()),
        }
    }

    /// Returns what is known now; `None` when nothing was fetched.
    pub(super) fn known(&self) -> Option<Arc<Known>> {
        self.0.known.load_full()
    }
}

impl SecretSource {
    /// Makes `secrets` those of this source; the ones before them stay known until the next time.
    pub fn replace(&self, secrets: Vec<Secret>) {
        let shared = &self.all.0;
        let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |set: &Kept| std::ptr::eq(set.source.as_ptr(), Arc::as_ptr(&self.mark));
        let newest = kept.iter().rposition(is_ours);
        if newest
            .and_then(|place| kept.get(place))
            .is_some_and(|set| set.secrets == secrets)
        {
            return;
        }
        let mut place = 0;
        kept.retain(|set| {
            let stays = !is_ours(set) || Some(place) == newest;
            place += 1;
            stays
        });
        let orphans = kept.iter().filter(|set| set.source.strong_count() == 0);
        let mut surplus = orphans.count().saturating_sub(MAX_ORPHANS);
        kept.retain(|set| {
            let goes = 0 < surplus && set.source.strong_count() == 0;
            surplus -= usize::from(goes);
            !goes
        });
        let source = Arc::downgrade(&self.mark);
        kept.push(Kept { source, secrets });
        let all: Vec<Secret> = kept.iter().flat_map(|set| set.secrets.clone()).collect();
        shared.known.store(Some(Arc::new(Known::new(&all))));
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchedSecrets, MAX_ORPHANS};
    use crate::domain::Secret;
    use crate::safety::Secrets;

    fn token(number: usize) -> String {
        format!("ya29.of-today-{number:04}")
    }

    fn is_hidden(secrets: &Secrets, number: usize) -> bool {
        let text = format!("it said {}", token(number));
        let bytes = bytes::Bytes::from(text.clone());
        let is_hidden = !secrets.scrub_text(&text).contains(&token(number));
        let in_bytes = secrets.scrub_bytes(&bytes) != bytes;
        assert_eq!(is_hidden, in_bytes);
        is_hidden
    }

    #[test]
    fn a_fetched_secret_is_known_until_it_was_replaced_twice() {
        let fetched = FetchedSecrets::default();
        let secrets = Secrets::with_fetched(&[Secret::new("of-the-config")], fetched.clone());
        let (one, other) = (fetched.source(), fetched.source());
        assert!(!is_hidden(&secrets, 1));
        other.replace(vec![Secret::new(token(100))]);
        for number in 1..50 {
            one.replace(vec![Secret::new(token(number))]);
            one.replace(vec![Secret::new(token(number))]);
            assert!(is_hidden(&secrets, number) && is_hidden(&secrets, 100));
            assert_eq!(is_hidden(&secrets, number.saturating_sub(1)), 1 < number);
            assert!(!is_hidden(&secrets, number.saturating_sub(2)), "{number}");
        }
        assert_eq!(secrets.scrub_text("a of-the-config"), "a [redacted]");
    }

    #[test]
    fn what_is_gone_is_known_for_a_while() {
        let fetched = FetchedSecrets::default();
        let secrets = Secrets::with_fetched(&[], fetched.clone());
        for number in 0..=MAX_ORPHANS + 1 {
            fetched.source().replace(vec![Secret::new(token(number))]);
        }
        assert!(!is_hidden(&secrets, 0));
        assert!(is_hidden(&secrets, 1) && is_hidden(&secrets, MAX_ORPHANS + 1));
    }

    #[test]
    fn debug_shows_nothing() {
        let fetched = FetchedSecrets::default();
        let source = fetched.source();
        source.replace(vec![Secret::new(token(1))]);
        assert_eq!(
            format!("{fetched:?} {source:?}"),
            "FetchedSecrets(***) SecretSource(***)"
        );
    }
}
