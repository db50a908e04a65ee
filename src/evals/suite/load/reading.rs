//! What a load has read so far, within its bounds, and what it has found wrong.

use crate::domain::sha256_hex;
use crate::evals::suite::load::files::{Unreadable, extension, join, parent, resolve};
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::problem::{self, Problem};
use crate::evals::suite::load::{Source, glob};
use crate::evals::suite::{Script, Suite};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

/// Bytes of one file.
const MAX_FILE_BYTES: usize = 16 << 20;
/// Bytes of all files together.
const MAX_TOTAL_BYTES: usize = 64 << 20;
/// Files of one suite.
const MAX_FILES: usize = 5_000;
/// Problems that are kept; the rest is counted.
const MAX_PROBLEMS: usize = 500;

/// How a file is named in a suite.
pub(super) const FILE: &str = "file://";

/// A load under way. All that it finds is kept inside, so that a step can go on after a problem.
pub(super) struct Loader<'a> {
    pub(super) source: &'a Source<'a>,
    /// The suite's file.
    pub(super) path: &'a str,
    /// Its directory, which references are relative to.
    pub(super) base: String,
    /// The environment with the suite's own `env` laid over.
    pub(super) environment: RefCell<BTreeMap<String, String>>,
    /// The variables that were filled in, with their values.
    pub(super) used_environment: RefCell<BTreeMap<String, String>>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
    read: RefCell<BTreeMap<String, Rc<[u8]>>>,
    bytes: Cell<usize>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(source: &'a Source<'a>, path: &'a str) -> Self {
        Self {
            source,
            path,
            base: parent(path).to_owned(),
            environment: RefCell::new(source.environment.clone()),
            used_environment: RefCell::default(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            read: RefCell::default(),
            bytes: Cell::new(0),
        }
    }

    /// Notes a problem.
    pub(super) fn problem(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            problems.push(problem);
        }
    }

    /// Notes what is wrong at `node`, and what to do.
    pub(super) fn wrong(&self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.problem(Problem::new(node.place(), message).hint(hint));
    }

    /// Notes what should be known, once.
    pub(super) fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// Hands the suite out with its hash, files and warnings, or the problems.
    pub(super) fn finish(self, suite: Option<Suite>) -> Result<Suite, Vec<Problem>> {
        let problems = self.problems.into_inner();
        let Some(mut suite) = suite.filter(|_| problems.is_empty()) else {
            return Err(problem::sorted(problems));
        };
        let read = self.read.into_inner();
        suite.files = read
            .iter()
            .map(|(path, bytes)| (path.clone(), sha256_hex(bytes)))
            .collect();
        let mut made_from = "promptgate suite 1\n".to_owned();
        for (path, hash) in &suite.files {
            let _ = writeln!(made_from, "{path} {hash}");
        }
        for (name, value) in self.used_environment.into_inner() {
            let _ = writeln!(made_from, "env {name} {}", sha256_hex(value.as_bytes()));
        }
        suite.hash = sha256_hex(made_from.as_bytes());
        suite.warnings = self.warnings.into_inner();
        Ok(suite)
    }

    /// Hands out what was read, or the problems.
    pub(super) fn done<T>(self, read: Option<T>) -> Result<T, Vec<Problem>> {
        let problems = self.problems.into_inner();
        read.filter(|_| problems.is_empty())
            .ok_or_else(|| problem::sorted(problems))
    }

    /// Reads the file at `path` below the root, once; `at` is where it is named.
    pub(super) fn bytes(&self, path: &str, at: &Node) -> Option<Rc<[u8]>> {
        if let Some(bytes) = self.read.borrow().get(path) {
            return Some(Rc::clone(bytes));
        }
        let fail = |message: String, hint: &str| {
            self.wrong(at, message, hint);
            None
        };
        if MAX_FILES <= self.read.borrow().len() {
            let message = format!("the suite names more than {MAX_FILES} files");
            return fail(message, "put cases into one JSONL or CSV file");
        }
        let bytes = match self.source.files.read(path, MAX_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(Unreadable::Missing) => {
                let near = self.near(path);
                return fail(format!("there is no file `{path}`"), &near);
            }
            Err(Unreadable::Outside) => {
                let message = format!("`{path}` leads out of the repository");
                return fail(message, "copy the file into the repository");
            }
            Err(Unreadable::NotAFile) => {
                let message = format!("`{path}` is no regular file");
                return fail(message, "name a file; a link in a commit is not followed");
            }
            Err(Unreadable::TooLarge) => {
                let message = format!("`{path}` has more than {MAX_FILE_BYTES} bytes");
                return fail(message, "split it");
            }
            Err(Unreadable::Failed(reason)) => {
                return fail(format!("`{path}` cannot be read: {reason}"), "see the file");
            }
        };
        self.bytes.set(self.bytes.get() + bytes.len());
        if MAX_TOTAL_BYTES < self.bytes.get() {
            let message = format!("the suite's files have more than {MAX_TOTAL_BYTES} bytes");
            return fail(message, "split the suite");
        }
        let bytes: Rc<[u8]> = Rc::from(bytes);
        let mut read = self.read.borrow_mut();
        read.insert(path.to_owned(), Rc::clone(&bytes));
        Some(bytes)
    }

    /// A hint for a path that is not there.
    fn near(&self, path: &str) -> String {
        let directory = parent(path);
        let below = |file: &str| {
            let rest = file.strip_prefix(directory)?;
            Some(rest.trim_start_matches('/').to_owned())
        };
        let files = self.source.files.list(directory).unwrap_or_default();
        let files: Vec<String> = files.iter().filter_map(|file| below(file)).collect();
        let name = below(path).unwrap_or_default();
        let names = files.iter().map(String::as_str);
        match crate::domain::nearest_names(&name, names).first() {
            Some(near) => format!("did you mean `{}`?", join(directory, near)),
            None => "paths are relative to the suite's file".to_owned(),
        }
    }

    /// Reads a file of text.
    pub(super) fn text(&self, path: &str, at: &Node) -> Option<String> {
        let bytes = self.bytes(path, at)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()),
            Err(error) => {
                let message = format!("`{path}` is no UTF-8 at byte {}", error.valid_up_to());
                self.wrong(at, message, "save it as UTF-8");
                None
            }
        }
    }

    /// What `reference` (with or without `file://`) means: a path below the root.
    pub(super) fn path_of(&self, reference: &str, at: &Node) -> Option<String> {
        let reference = reference.strip_prefix(FILE).unwrap_or(reference);
        let path = resolve(&self.base, reference);
        if path.is_none() {
            let message = format!("`{reference}` leads out of the repository");
            self.wrong(at, message, "paths are relative to the suite's file");
        }
        path
    }

    /// The files that `reference` means, sorted: one, or those that fit its pattern. None is a problem.
    pub(super) fn paths_of(&self, reference: &str, at: &Node) -> Vec<String> {
        let Some(path) = self.path_of(reference, at) else {
            return Vec::new();
        };
        if !glob::is_pattern(&path) {
            return vec![path];
        }
        let listed = self.source.files.list(&glob::fixed_part(&path));
        let mut found = match listed {
            Ok(found) => found,
            Err(error) => {
                let message = format!("`{path}` cannot be looked through: {error:?}");
                self.wrong(at, message, "use a narrower pattern");
                return Vec::new();
            }
        };
        found.retain(|file| glob::matches(&path, file));
        if found.is_empty() {
            let message = format!("no file fits `{path}`");
            self.wrong(at, message, "paths are relative to the suite's file");
        }
        found
    }

    /// Reads and parses a YAML or JSON file, references in it resolved.
    pub(super) fn document(&self, path: &str, at: &Node) -> Option<Node> {
        self.parsed(path, at)
            .map(|node| self.with_references(&node))
    }

    /// Reads and parses a YAML or JSON file as it stands.
    pub(super) fn parsed(&self, path: &str, at: &Node) -> Option<Node> {
        let text = self.text(path, at)?;
        let parsed = if extension(path) == "json" {
            Node::json(&text, path)
        } else {
            Node::yaml(&text, path)
        };
        match parsed {
            Ok(node) => Some(node),
            Err(problem) => {
                self.problem(problem);
                None
            }
        }
    }

    /// Reads JavaScript: code as it stands, or `file://x.js[:function]`.
    pub(super) fn script(&self, node: &Node) -> Option<Script> {
        let Some(text) = node.text() else {
            let message = format!("code is wanted, and this is {}", node.type_name());
            self.wrong(node, message, "write JavaScript, or `file://x.js:function`");
            return None;
        };
        if text.starts_with("package:") {
            let message = format!("`{text}` is in a package, and packages are not read");
            self.wrong(
                node,
                message,
                "copy the function into a `.js` file of the suite",
            );
            return None;
        }
        if !text.starts_with(FILE) {
            return Some(Script {
                code: text.to_owned(),
                function: None,
                file: None,
            });
        }
        self.script_file(text, node)
    }

    /// Reads `file://x.js[:function]`.
    pub(super) fn script_file(&self, reference: &str, node: &Node) -> Option<Script> {
        let reference = reference.strip_prefix(FILE).unwrap_or(reference);
        let (reference, function) = match reference.rsplit_once(':') {
            Some((path, name)) if !name.contains('/') => (path, Some(name.to_owned())),
            _ => (reference, None),
        };
        if !is_javascript(reference) {
            self.refuse_code(reference, node);
            return None;
        }
        let path = self.path_of(reference, node)?;
        let code = self.text(&path, node)?;
        Some(Script {
            code,
            function,
            file: Some(path),
        })
    }

    /// Says why the code in `reference` is not run.
    pub(super) fn refuse_code(&self, reference: &str, node: &Node) {
        let what = match extension(reference).as_str() {
            "ts" | "tsx" | "mts" | "cts" => "TypeScript",
            "py" => "Python",
            "rb" => "Ruby",
            _ => "code of this kind",
        };
        let message = format!("`{reference}` is {what}, and only JavaScript is run (in a sandbox)");
        self.wrong(node, message, "write it as JavaScript in a `.js` file");
    }

    /// A place in the suite's file that stands for all of it.
    pub(super) fn anywhere(&self) -> Node {
        Node {
            file: self.path.into(),
            line: 0,
            column: 0,
            content: Content::Scalar(serde_json::Value::Null),
        }
    }
}

/// Whether a file holds JavaScript that is run.
pub(super) fn is_javascript(path: &str) -> bool {
    matches!(extension(path).as_str(), "js" | "cjs" | "mjs")
}

/// Whether a file holds code that is not run here.
pub(super) fn is_foreign_code(path: &str) -> bool {
    let endings = [
        "ts", "tsx", "mts", "cts", "py", "rb", "sh", "bash", "exe", "bat", "cmd", "ps1", "pl", "go",
    ];
    endings.contains(&extension(path).as_str())
}
