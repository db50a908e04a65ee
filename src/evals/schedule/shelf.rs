//! The suites that have a schedule, read again when their files change.

use crate::evals::schedule::Times;
use crate::evals::suite::{self, Ground, Problem, Schedule, Suite};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// What changes with files: when each was written, and its length.
type Stamp = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Reads the suites of a directory.
#[derive(Debug)]
pub(super) struct Shelf {
    evals: PathBuf,
    environment: BTreeMap<String, String>,
    /// The files as they were when they were read last.
    stamp: Option<Stamp>,
    /// Files that suites are made from, wherever they are.
    named: BTreeSet<PathBuf>,
    /// What was told of suites that cannot be read, by path.
    told: BTreeMap<String, String>,
}

/// A suite and when it is due.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) suite: Suite,
    pub(super) schedule: Schedule,
    pub(super) times: Times,
}

/// What is on the shelf.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) scheduled: Vec<Scheduled>,
    /// The paths of suites that cannot be read: their schedules stay as they were.
    pub(super) unreadable: BTreeSet<String>,
}

impl Shelf {
    pub(super) fn new(evals: PathBuf, environment: BTreeMap<String, String>) -> Self {
        Self {
            evals,
            environment,
            stamp: None,
            named: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    /// Reads the suites; `None` while their files are as they were. What is wrong with a suite is logged once.
    /// Blocks.
    pub(super) fn look(&mut self) -> Option<Found> {
        if !self.evals.is_dir() {
            let was_there = self.stamp.replace(Stamp::new());
            return (was_there != Some(Stamp::new())).then(Found::default);
        }
        let ground = match Ground::find(&self.evals) {
            Ok(ground) => ground,
            Err(error) => {
                self.tell(&self.evals.display().to_string(), &error.to_string());
                return None;
            }
        };
        let stamp = self.stamp(&ground);
        if self.stamp.as_ref() == Some(&stamp) {
            return None;
        }
        let source = ground.source(&self.environment);
        let paths = match suite::find(&source) {
            Ok(paths) => paths,
            Err(problem) => {
                self.tell(&ground.directory, &problem.to_string());
                return None;
            }
        };
        let mut found = Found::default();
        let mut faults = Vec::new();
        let mut named = BTreeSet::new();
        for path in paths {
            match load(&ground, &self.environment, &path) {
                Ok(read) => {
                    let files = read.suite.files.iter();
                    named.extend(files.map(|(path, _)| ground.root.join(path)));
                    found.scheduled.extend(read.scheduled());
                    self.told.remove(&path);
                }
                Err(fault) => faults.push((path, fault)),
            }
        }
        for (path, fault) in faults {
            self.tell(&path, &fault);
            found.unreadable.insert(path);
        }
        self.named = named;
        // With the files that are known only now.
        self.stamp = Some(self.stamp(&ground));
        Some(found)
    }

    fn tell(&mut self, path: &str, fault: &str) {
        if self.told.get(path).is_none_or(|told| told != fault) {
            tracing::error!(
                suite = path,
                problem = fault,
                "a suite cannot be read, its schedule stays as it was"
            );
            self.told.insert(path.to_owned(), fault.to_owned());
        }
    }

    fn stamp(&self, ground: &Ground) -> Stamp {
        let listed = ground.files.list(&ground.directory).unwrap_or_default();
        let listed = listed.iter().map(|path| ground.root.join(path));
        let all = listed.chain(self.named.iter().cloned());
        all.map(|path| {
            let metadata = fs::metadata(&path).ok();
            let stamp = metadata.and_then(|found| Some((found.modified().ok()?, found.len())));
            (path, stamp)
        })
        .collect()
    }
}

/// A suite that was read, with its times where it has a schedule.
struct Read {
    suite: Suite,
    due: Option<(Schedule, Times)>,
}

impl Read {
    fn scheduled(self) -> Option<Scheduled> {
        let (schedule, times) = self.due?;
        Some(Scheduled {
            suite: self.suite,
            schedule,
            times,
        })
    }
}

fn load(
    ground: &Ground,
    environment: &BTreeMap<String, String>,
    path: &str,
) -> Result<Read, String> {
    let words = |problems: Vec<Problem>| {
        let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        words.join("; ")
    };
    let suite = suite::load(&ground.source(environment), path).map_err(words)?;
    let due = match suite.settings.schedule.clone() {
        Some(schedule) => {
            let times = Times::parse(&schedule.cron, &schedule.time_zone);
            Some((schedule, times.map_err(|error| error.to_string())?))
        }
        None => None,
    };
    Ok(Read { suite, due })
}

#[cfg(test)]
mod tests {
    use super::Shelf;
    use std::collections::BTreeMap;
    use std::fs;

    fn suite(cron: &str) -> String {
        format!(
            "prompts: [\"say {{{{x}}}}\"]\nproviders: [echo]\ntests: [{{vars: {{x: a}}}}]\n\
             metadata: {{promptgate: {{schedule: \"{cron}\"}}}}\n"
        )
    }

    #[test]
    fn suites_are_read_again_when_their_files_change() {
        let dir = tempfile::tempdir().unwrap();
        let evals = dir.path().join("evals");
        let mut shelf = Shelf::new(evals.clone(), BTreeMap::new());
        assert!(shelf.look().unwrap().scheduled.is_empty());
        assert!(shelf.look().is_none(), "there is still no directory");
        fs::create_dir(&evals).unwrap();
        fs::write(evals.join("night.yaml"), suite("17 3 * * *")).unwrap();
        fs::write(
            evals.join("plain.yaml"),
            "prompts: [a]\nproviders: [echo]\n",
        )
        .unwrap();
        let found = shelf.look().unwrap();
        let names: Vec<&str> = found
            .scheduled
            .iter()
            .map(|one| one.suite.name.as_str())
            .collect();
        assert_eq!(names, ["night"]);
        assert!(shelf.look().is_none());
        fs::write(evals.join("night.yaml"), suite("17 3 * * * *")).unwrap();
        let found = shelf.look().unwrap();
        assert!(found.scheduled.is_empty());
        assert_eq!(found.unreadable.len(), 1);
        assert!(found.unreadable.first().unwrap().ends_with("night.yaml"));
        assert!(shelf.look().is_none(), "what is broken is told once");
    }
}
