//! What can be wrong with a file of vectors, where in it, and what to do about it.

use crate::domain::Blame;
use crate::embeddings::exchange::Direction;
use std::fmt;

/// Where in a file something is wrong. Lines and rows count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in particular: its head, its end, or the whole of it.
    Whole,
    /// A line of text.
    Line(u64),
    /// A row of numbers, a point, a record.
    Row(u64),
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The disk or the network said no.
    #[error("it cannot be {done}: {error}")]
    Io {
        /// `read` or `written`.
        done: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// Nobody can tell what the file is.
    #[error("its format cannot be told from its {}", match .0 {
        Direction::Read => "name or its first bytes",
        Direction::Written => "name",
    })]
    UnknownFormat(Direction),
    /// There is no such format.
    #[error("`{name}` is no format")]
    NoSuchFormat {
        /// What was written.
        name: String,
    },
    /// The bytes are not what the format says they must be.
    #[error("{0}")]
    Broken(String),
    /// A field or column is missing or cannot be read.
    #[error("`{field}` {problem}")]
    Field {
        /// Its name.
        field: String,
        /// What is wrong with it, to be read behind its name.
        problem: String,
    },
    /// No field or column is what is looked for.
    #[error("no {role} was found among {}", in_backticks(found))]
    NoField {
        /// `id`, `vector`, …
        role: &'static str,
        /// The names that are there.
        found: Vec<String>,
    },
    /// More than one thing could be meant.
    #[error("{question}: {}", in_backticks(choices))]
    Ambiguous {
        /// What cannot be told.
        question: &'static str,
        /// What it could be.
        choices: Vec<String>,
        /// The option that says which.
        option: &'static str,
    },
    /// A vector is as long as no other.
    #[error("the vector has {found} dimensions, not {expected}")]
    Dimensions {
        /// What was declared, or what the first vector has.
        expected: usize,
        /// How many this one has.
        found: usize,
    },
    /// The numbers of two things that belong together differ.
    #[error("there are {found} {what}, not {expected}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there ought to be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Something is beyond a bound that keeps memory small.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// The bound, with its unit.
        limit: String,
    },
    /// A thing of this kind is not read or written.
    #[error("{what}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What to do instead.
        instead: String,
    },
}

/// Why a file cannot be read or written: which file, where, and what.
#[derive(Debug)]
pub struct Error {
    file: String,
    place: Place,
    fault: Fault,
}

impl Error {
    /// Returns the error of a file.
    #[must_use]
    pub fn new(file: &str, place: Place, fault: Fault) -> Self {
        Self {
            file: file.to_owned(),
            place,
            fault,
        }
    }

    /// Returns what is wrong.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Returns where.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.fault {
            Fault::Io { .. } => "file_error",
            Fault::Dimensions { .. } => "dimension_mismatch",
            Fault::TooLarge { .. } => "too_large",
            Fault::UnknownFormat(_)
            | Fault::NoSuchFormat { .. }
            | Fault::Unsupported { .. }
            | Fault::Ambiguous { .. } => "invalid_request",
            Fault::Broken(_)
            | Fault::Field { .. }
            | Fault::NoField { .. }
            | Fault::Count { .. } => "invalid_file",
        }
    }

    /// Returns whose fault it is: files are the caller's.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Client
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.fault {
            Fault::Io { .. } | Fault::Broken(_) | Fault::Field { .. } => None,
            Fault::UnknownFormat(direction) => Some(format!(
                "say which it is: `--format {}`",
                super::Format::names_of(*direction)
            )),
            Fault::NoSuchFormat { .. } => Some(format!(
                "say which it is: `--format {}`",
                super::Format::names()
            )),
            Fault::NoField { role, .. } if *role == "id" => Some(
                "name it (`--id-field NAME`), or let rows be numbered (`--number-rows`)".to_owned(),
            ),
            Fault::NoField { role, .. } => Some(format!("name it: `--{role}-field NAME`")),
            Fault::Ambiguous { option, .. } => Some(format!("say which: `{option}`")),
            Fault::Dimensions { .. } => Some(
                "vectors of one file are of one model: take the others out, or import them alone"
                    .to_owned(),
            ),
            Fault::Count { .. } => Some("give each row its line, in the same order".to_owned()),
            Fault::TooLarge { .. } => Some(
                "the file may be damaged; if it is not, write it again in smaller pieces"
                    .to_owned(),
            ),
            Fault::Unsupported { instead, .. } => Some(instead.clone()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, fault } = self;
        match place {
            Place::Whole => write!(formatter, "`{file}`: {fault}"),
            Place::Line(line) => write!(formatter, "`{file}`, line {line}: {fault}"),
            Place::Row(row) => write!(formatter, "`{file}`, row {row}: {fault}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl Fault {
    /// Returns the fault of a read; a file that ends too early is broken, not unreadable.
    pub(super) fn reading(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Broken("the file ends too early".to_owned()),
            ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                Self::Broken(format!("its bytes are damaged: {error}"))
            }
            _ => Self::Io {
                done: "read",
                error,
            },
        }
    }

    /// Returns the fault of a write.
    pub(super) const fn writing(error: std::io::Error) -> Self {
        Self::Io {
            done: "written",
            error,
        }
    }

    /// Returns the fault of a field.
    pub(super) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    /// Returns the fault of a file that is not what its format says.
    pub(super) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }
}

/// `a`, `b` and at most six more.
fn in_backticks(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`"));
    let mut words = shown.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        words.push_str("no names at all");
    } else if SHOWN < names.len() {
        words.push_str(", …");
    }
    words
}
