//! What is kept of canaries: their settings and how they stand as one setting of the store, the vectors that
//! are normal in a file each. Texts stay where they are, in the snapshot: what is deleted there is not here.

use crate::domain::{PicoDollars, sha256_hex};
use crate::embeddings::drift::canary::rounds::Change;
use crate::embeddings::drift::shelf::Shelf;
use crate::embeddings::files::write_durably;
use crate::embeddings::snapshots::Error;
use crate::embeddings::{Matrix, Rows as _};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SHELF: Shelf = Shelf {
    name: "embeddings.canaries",
    format: 1,
};
/// How many alarms are kept.
const MOST_ALARMS: usize = 200;

/// What a canary embeds, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// The snapshot whose texts are embedded, in its space.
    pub snapshot: String,
    /// How many texts.
    pub texts: usize,
    /// How long after a check the next one is, in milliseconds.
    pub every_ms: i64,
    /// How many false alarms a month are expected at most.
    pub alarms_per_month: f64,
    /// Where alarms are sent: `env:NAME` or `file:PATH` with a URL.
    pub webhook: Option<String>,
}

/// Vectors that were measured in rounds, and the noise that they show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The items whose texts they are of.
    pub items: Vec<String>,
    /// How many rounds.
    pub rounds: usize,
    /// How long a vector is.
    pub dimensions: usize,
    /// SHA-256 (hex) of the file.
    pub sha256: String,
    /// How far a round is at most from the nearest of the others, as the largest difference in a dimension.
    pub own_noise: f64,
    /// The same of the snapshot's measured noise, where that is sound.
    pub snapshot_noise: Option<f64>,
    /// Of how many texts that was measured.
    pub snapshot_texts: Option<u64>,
    /// How the provider names the model.
    pub model: Option<String>,
    /// When the last round was, in Unix milliseconds.
    pub at_ms: i64,
}

impl Measured {
    /// Returns beyond which difference in a dimension vectors have changed.
    #[must_use]
    pub fn floor(&self) -> f64 {
        self.own_noise.max(self.snapshot_noise.unwrap_or(0.0))
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The vectors are those that were normal.
    Steady,
    /// They were farther off than before, and further rounds showed that it is noise.
    Noise,
    /// The model makes other vectors.
    Changed,
    /// It does so since a check before.
    StillChanged,
    /// It made others, and makes those that are normal again.
    Recovered,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// What it came to.
    pub outcome: Outcome,
    /// How far the vectors are from what is normal.
    pub change: Change,
    /// The chance of such rounds without a change, where more than one was made.
    pub p_value: Option<f64>,
    /// How many requests it took.
    pub requests: usize,
    /// How the provider names the model.
    pub model: Option<String>,
}

/// What canaries of a name have cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Requests to the provider.
    pub requests: u64,
    /// Tokens, where the provider says.
    pub tokens: u64,
    /// What they cost, as far as prices are known.
    pub cost: PicoDollars,
}

/// A canary as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// What it embeds.
    pub settings: Settings,
    /// The model, as the gateway routes it.
    pub model: String,
    /// What is normal.
    pub normal: Measured,
    /// How far the snapshot's own vectors of these texts were from what was measured when it began.
    pub from_snapshot: f64,
    /// Whether that is more than the rounds differ among themselves: the snapshot is of another model.
    pub is_snapshot_older: bool,
    /// The rounds that showed a change, until it is accepted or over.
    pub changed: Option<Measured>,
    /// When it began, in Unix milliseconds.
    pub began_ms: i64,
    /// When the next check is due, in Unix milliseconds.
    pub due_ms: i64,
    /// When vectors were last as they were, in Unix milliseconds.
    pub normal_ms: i64,
    /// How many checks were made.
    pub checks: u64,
    /// What it has cost.
    pub spent: Spent,
    /// The newest check.
    pub last: Option<Check>,
    /// Why the newest check could not be made.
    pub fault: Option<String>,
}

/// An alarm that a canary raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryAlarm {
    /// The canary.
    pub canary: String,
    /// When it was raised, in Unix milliseconds.
    pub at_ms: i64,
    /// The message.
    pub text: String,
    /// What was seen.
    pub check: Check,
    /// Whether somebody accepted it as normal, or it is over.
    pub is_closed: bool,
    /// Whether it must still be sent to whom it is for.
    pub is_unsent: bool,
}

/// All canaries of a data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aviary {
    format: u32,
    /// The canaries by name.
    pub canaries: BTreeMap<String, Canary>,
    /// Alarms, the newest last.
    pub alarms: Vec<CanaryAlarm>,
}

impl Default for Aviary {
    fn default() -> Self {
        Self {
            format: SHELF.format,
            canaries: BTreeMap::new(),
            alarms: Vec::new(),
        }
    }
}

impl Aviary {
    /// Reads it. Blocks.
    pub(super) fn read(store: &Store) -> Result<Self, Error> {
        SHELF.read(store, |kept: &Self| kept.format)
    }

    /// Writes it. Blocks.
    pub(super) fn write(&mut self, store: &Store) -> Result<(), Error> {
        let surplus = self.alarms.len().saturating_sub(MOST_ALARMS);
        self.alarms.drain(..surplus);
        SHELF.write(store, self)
    }

    /// Returns a canary.
    pub(super) fn found(&mut self, name: &str) -> Result<&mut Canary, Error> {
        let choices = self.canaries.keys().cloned().collect();
        let missing = || Error::NoCanary {
            name: name.to_owned(),
            choices,
        };
        self.canaries.get_mut(name).ok_or_else(missing)
    }
}

/// The files of rounds: numbers of 32 bits one after the other, named by their hash.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.f32"))
    }

    /// Writes rounds and returns their hash; durable when it returns. Blocks.
    pub(super) fn write(&self, rounds: &[Matrix]) -> Result<String, Error> {
        let values = rounds.iter().flat_map(|round| round.values());
        let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
        let sha256 = sha256_hex(&bytes);
        let path = self.path(&sha256);
        fs::create_dir_all(&self.dir).map_err(|error| io("make", &self.dir, &error))?;
        write_durably(&path, &bytes).map_err(|error| io("write", &path, &error))?;
        Ok(sha256)
    }

    /// Reads rounds. Blocks.
    pub(super) fn read(&self, measured: &Measured) -> Result<Vec<Matrix>, Error> {
        let path = self.path(&measured.sha256);
        let bytes = fs::read(&path).map_err(|error| io("read", &path, &error))?;
        let broken = || Error::Kept {
            problem: format!("`{}` is damaged; begin the canary again", path.display()),
        };
        let (numbers, rest) = bytes.as_chunks::<4>();
        let size = measured.items.len() * measured.dimensions;
        if sha256_hex(&bytes) != measured.sha256 || !rest.is_empty() || size == 0 {
            return Err(broken());
        }
        let values: Vec<f32> = numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let rounds = values.chunks(size);
        let rounds: Option<Vec<Matrix>> = rounds
            .map(|round| Matrix::new(measured.dimensions, round.to_vec()))
            .collect();
        let rounds = rounds.filter(|rounds| {
            let is_whole = |round: &Matrix| round.len() == measured.items.len();
            rounds.len() == measured.rounds && rounds.iter().all(is_whole)
        });
        rounds.ok_or_else(broken)
    }

    /// Removes the files that no canary needs any more. Blocks.
    pub(super) fn keep(&self, all: &Aviary) -> Result<(), Error> {
        let each = all.canaries.values();
        let used: Vec<PathBuf> = each
            .flat_map(|canary| [Some(&canary.normal), canary.changed.as_ref()])
            .flatten()
            .map(|measured| self.path(&measured.sha256))
            .collect();
        let Ok(files) = fs::read_dir(&self.dir) else {
            return Ok(());
        };
        for path in files.flatten().map(|entry| entry.path()) {
            if !used.contains(&path) {
                fs::remove_file(&path).map_err(|error| io("remove", &path, &error))?;
            }
        }
        Ok(())
    }
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Kept {
        problem: format!("cannot {what} `{}`: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Aviary, Files, Measured};
    use crate::embeddings::Matrix;

    fn measured(sha256: String) -> Measured {
        Measured {
            items: vec!["a".to_owned(), "b".to_owned()],
            rounds: 2,
            dimensions: 3,
            sha256,
            own_noise: 0.25,
            snapshot_noise: Some(0.5),
            snapshot_texts: Some(200),
            model: None,
            at_ms: 0,
        }
    }

    #[test]
    fn rounds_come_back_as_they_were_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path().join("canaries"));
        let round = |first: f32| Matrix::new(3, vec![first, 1.0, 2.0, 3.0, 4.0, 5.5]).unwrap();
        let rounds = vec![round(0.0), round(-0.25)];
        let kept = measured(files.write(&rounds).unwrap());
        assert_eq!(files.read(&kept).unwrap(), rounds);
        assert!((kept.floor() - 0.5).abs() < 1e-9);

        let other = Measured {
            rounds: 3,
            ..kept.clone()
        };
        assert!(files.read(&other).is_err());
        let path = files.path(&kept.sha256);
        std::fs::write(&path, [0; 48]).unwrap();
        let told = files.read(&kept).unwrap_err().to_string();
        assert!(told.contains("is damaged"), "{told}");
        files.keep(&Aviary::default()).unwrap();
        assert!(!path.exists());
    }
}
