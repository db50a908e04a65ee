//! The loader as a whole: files in, suites or problems out.

mod cases;
mod judges;
mod plain;
mod problems;
mod sources;

use crate::evals::suite::load::{Files, Problem, Source, load};
use crate::evals::suite::{Case, Suite};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The suite's file in these tests.
const SUITE: &str = "evals/s.yaml";

pub(super) fn directory_of(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(dir.path(), path, text);
    }
    dir
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Loads `evals/s.yaml` with these contents, and `others` beside it.
fn load_with(suite: &str, others: &[(&str, &str)]) -> Result<Suite, Vec<Problem>> {
    let dir = directory_of(others);
    write(dir.path(), SUITE, suite);
    load_at(dir.path(), SUITE)
}

fn load_at(root: &Path, path: &str) -> Result<Suite, Vec<Problem>> {
    let files = Files::directory(root).unwrap();
    let environment = BTreeMap::from([
        ("CITY".to_owned(), "Paris".to_owned()),
        ("TOKEN".to_owned(), "t".to_owned()),
    ]);
    let source = Source {
        files: &files,
        environment: &environment,
        directory: "evals",
    };
    load(&source, path)
}

/// The suite, or a panic that shows what is wrong.
fn good(suite: &str, others: &[(&str, &str)]) -> Suite {
    load_with(suite, others).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

/// Cases of a suite whose prompts and providers do not matter.
fn cases_of(tests: &str, others: &[(&str, &str)]) -> Vec<Case> {
    let suite = format!("prompts: [\"{{{{q}}}}\"]\nproviders: [echo]\n{tests}");
    good(&suite, others).cases
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "{problem}");
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    })
}
