//! Which version was the first bad one, found by halving what is left between a good and a bad one.

use std::collections::BTreeMap;

/// How a version did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// As it should.
    Good,
    /// Not as it should.
    Bad,
    /// It could not be tried.
    Skipped,
}

/// A search between two versions. Invariant: `good < bad`, and the one was good and the other bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    good: u32,
    bad: u32,
    trials: BTreeMap<u32, Trial>,
}

impl Search {
    /// Begins between a version that was good and a later one that was bad; `None` when it is not later.
    #[must_use]
    pub fn between(good: u32, bad: u32) -> Option<Self> {
        let trials = BTreeMap::from([(good, Trial::Good), (bad, Trial::Bad)]);
        (good < bad).then_some(Self { good, bad, trials })
    }

    /// Returns the version to try next: the one nearest to the middle of what is left; `None` when
    /// nothing is left.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        let middle = self.good + (self.bad - self.good) / 2;
        let open = (self.good + 1..self.bad).filter(|version| !self.trials.contains_key(version));
        open.min_by_key(|version| version.abs_diff(middle))
    }

    /// Notes how a version did.
    pub fn note(&mut self, version: u32, trial: Trial) {
        self.trials.insert(version, trial);
        match trial {
            Trial::Good if (self.good..self.bad).contains(&version) => self.good = version,
            Trial::Bad if (self.good..self.bad).contains(&version) => self.bad = version,
            Trial::Good | Trial::Bad | Trial::Skipped => {}
        }
    }

    /// Returns the last version that was good before the first bad one.
    #[must_use]
    pub const fn last_good(&self) -> u32 {
        self.good
    }

    /// Returns the first version that was bad; those between it and the last good one, if there are
    /// any, were skipped, and may have been bad already.
    #[must_use]
    pub const fn first_bad(&self) -> u32 {
        self.bad
    }

    /// Returns every trial, by version.
    #[must_use]
    pub const fn trials(&self) -> &BTreeMap<u32, Trial> {
        &self.trials
    }

    /// Returns versions that contradict the outcome: bad ones before the last good one, good ones after
    /// the first bad one. Only what was tried is known.
    #[must_use]
    pub fn contradictions(&self) -> Vec<(u32, Trial)> {
        let contradicts = |(version, trial): &(&u32, &Trial)| match trial {
            Trial::Good => self.bad < **version,
            Trial::Bad => **version < self.good,
            Trial::Skipped => false,
        };
        let found = self.trials.iter().filter(contradicts);
        found.map(|(version, trial)| (*version, *trial)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Search, Trial};
    use proptest::prelude::{any, prop, proptest};

    proptest! {
        #[test]
        fn the_first_bad_version_is_found_in_few_trials(
            good in 1..50_u32, length in 1..200_u32, place in any::<prop::sample::Index>(),
        ) {
            let bad = good + length;
            let first = good + 1 + u32::try_from(place.index(usize::try_from(length).unwrap())).unwrap();
            let mut search = Search::between(good, bad).unwrap();
            let mut count = 0;
            while let Some(version) = search.next() {
                search.note(version, if version < first { Trial::Good } else { Trial::Bad });
                count += 1;
            }
            assert_eq!((search.last_good(), search.first_bad()), (first - 1, first));
            assert!(count <= 8, "{count}");
            assert!(search.contradictions().is_empty());
        }
    }

    #[test]
    fn skipped_versions_leave_a_gap_and_contradictions_are_told() {
        assert_eq!(Search::between(3, 3), None);
        let mut search = Search::between(1, 6).unwrap();
        for (version, trial) in [(3, Trial::Skipped), (2, Trial::Good), (4, Trial::Bad)] {
            assert_eq!(search.next(), Some(version));
            search.note(version, trial);
        }
        assert_eq!(search.next(), None);
        assert_eq!((search.last_good(), search.first_bad()), (2, 4));
        search.note(5, Trial::Good);
        assert_eq!(search.contradictions(), [(5, Trial::Good)]);
        assert_eq!(
            (search.last_good(), search.first_bad()),
            (2, 4),
            "the outcome stays"
        );
    }
}
