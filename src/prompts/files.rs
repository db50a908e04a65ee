//! Sorts the files of a registry by what they are, by name and place.

use crate::domain::PromptKey;
use crate::git::File;
use crate::prompts::front_matter::with_lf_endings;
use crate::prompts::lint::Rule;
use crate::prompts::problem::Problem;
use std::collections::{BTreeMap, HashMap};

/// Bytes of one file.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;
/// Files of a registry.
pub(super) const MAX_FILES: usize = 20_000;
/// Bytes of all files of a registry.
pub(super) const MAX_TOTAL_BYTES: usize = 64 << 20;

/// A file with its text, LF endings.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) path: String,
    pub(super) text: String,
}

/// The files of a registry, sorted.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    pub(super) prompts: BTreeMap<PromptKey, Text>,
    /// By root-relative name: `support/policy` for `support/_policy.prompt`.
    pub(super) partials: BTreeMap<String, Text>,
    pub(super) schemas: BTreeMap<String, Text>,
    pub(super) tools: BTreeMap<String, Text>,
    pub(super) samples: BTreeMap<PromptKey, Text>,
    /// `releases.yaml` and `registry.yaml`, which say what is served under which label.
    pub(super) policies: BTreeMap<String, Text>,
    pub(super) problems: Vec<Problem>,
}

/// What a file is, by its path, with the name that other files know it by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Prompt(String),
    Partial(String),
    Schema(String),
    Tool(String),
    Samples(String),
    Policy,
    /// A README, a test, a picture: none of ours.
    Foreign,
}

pub(super) fn kind_of(path: &str) -> Kind {
    if path.split('/').any(|part| part.starts_with('.')) {
        return Kind::Foreign;
    }
    if matches!(path, "releases.yaml" | "registry.yaml") {
        return Kind::Policy;
    }
    let data = |path: &str| {
        [".yaml", ".yml", ".json"]
            .iter()
            .find_map(|extension| path.strip_suffix(extension))
            .map(str::to_owned)
    };
    if let Some(name) = path.strip_prefix("schemas/").and_then(data) {
        return Kind::Schema(name);
    }
    if let Some(name) = path.strip_prefix("tools/").and_then(data) {
        return Kind::Tool(name);
    }
    if let Some(name) = path.strip_suffix(".samples.yaml") {
        return Kind::Samples(name.to_owned());
    }
    let Some(name) = path.strip_suffix(".prompt") else {
        return Kind::Foreign;
    };
    let (directory, base) = name
        .rsplit_once('/')
        .map_or(("", name), |(directory, base)| (directory, base));
    match base.strip_prefix('_') {
        Some(base) if directory.is_empty() => Kind::Partial(base.to_owned()),
        Some(base) => Kind::Partial(format!("{directory}/{base}")),
        None => Kind::Prompt(name.to_owned()),
    }
}

/// Whether what lies at `path` could matter: one of our files, or a link to a directory of them.
pub(super) fn is_ours(path: &str) -> bool {
    let base = path.rsplit('/').next().unwrap_or(path);
    !matches!(kind_of(path), Kind::Foreign) || !base.contains('.')
}

/// Sorts `files`; what cannot be used is a problem.
pub(super) fn sort(files: &[File]) -> Shelves {
    let mut shelves = Shelves::default();
    let mut seen: HashMap<String, &str> = HashMap::new();
    if MAX_FILES < files.len() {
        let problem = Problem::new(format!("{} files, the limit is {MAX_FILES}", files.len()));
        shelves.problems.push(problem.in_file("."));
        return shelves;
    }
    for file in files {
        let kind = kind_of(&file.path);
        if matches!(kind, Kind::Foreign) {
            continue;
        }
        if let Some(other) = seen.insert(file.path.to_lowercase(), &file.path) {
            shelves.problems.push(
                Problem::new(format!("the name differs from `{other}` in case only"))
                    .rule(Rule::BadName)
                    .in_file(&file.path)
                    .hint("rename one; some file systems cannot hold both"),
            );
            continue;
        }
        match text_of(file) {
            Ok(text) => shelves.put(kind, text),
            Err(problem) => shelves.problems.push(problem.in_file(&file.path)),
        }
    }
    shelves
}

pub(super) fn text_of(file: &File) -> Result<Text, Problem> {
    if MAX_FILE_BYTES < file.bytes.len() {
        let size = file.bytes.len();
        return Err(Problem::new(format!(
            "has {size} bytes, the limit is {MAX_FILE_BYTES}"
        )));
    }
    let text = std::str::from_utf8(&file.bytes).map_err(|error| {
        let good = file.bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Problem::new("is not UTF-8").at(line)
    })?;
    if text.starts_with('\u{feff}') {
        return Err(Problem::new("the file starts with a byte order mark")
            .at(1)
            .hint("save it as UTF-8 without BOM"));
    }
    Ok(Text {
        path: file.path.clone(),
        text: with_lf_endings(text).into_owned(),
    })
}

impl Shelves {
    fn put(&mut self, kind: Kind, text: Text) {
        match kind {
            Kind::Prompt(name) => self.put_named(&name, text, |shelves| &mut shelves.prompts),
            Kind::Samples(name) => self.put_named(&name, text, |shelves| &mut shelves.samples),
            Kind::Partial(name) => {
                if PromptKey::parse(&name).is_err() {
                    self.bad_name(&text.path);
                } else {
                    self.partials.insert(name, text);
                }
            }
            Kind::Schema(name) => self.put_once(name, text, |shelves| &mut shelves.schemas),
            Kind::Tool(name) => self.put_once(name, text, |shelves| &mut shelves.tools),
            Kind::Policy => {
                self.policies.insert(text.path.clone(), text);
            }
            Kind::Foreign => {}
        }
    }

    fn put_named(
        &mut self,
        name: &str,
        text: Text,
        shelf: fn(&mut Self) -> &mut BTreeMap<PromptKey, Text>,
    ) {
        match PromptKey::parse(name) {
            Ok(key) => {
                shelf(self).insert(key, text);
            }
            Err(_) => self.bad_name(&text.path),
        }
    }

    fn put_once(
        &mut self,
        name: String,
        text: Text,
        shelf: fn(&mut Self) -> &mut BTreeMap<String, Text>,
    ) {
        if PromptKey::parse(&name).is_err() {
            self.bad_name(&text.path);
        } else if let Some(other) = shelf(self).get(&name) {
            let message = format!("`{name}` is defined by `{}` too", other.path);
            self.problems.push(
                Problem::new(message)
                    .rule(Rule::BadName)
                    .in_file(&text.path),
            );
        } else {
            shelf(self).insert(name, text);
        }
    }

    fn bad_name(&mut self, path: &str) {
        self.problems.push(
            Problem::new("the path is no name for a prompt")
                .rule(Rule::BadName)
                .in_file(path)
                .hint("use up to 200 letters, digits, `_`, `-`, `.`, and `/` between parts"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_FILE_BYTES, sort};
    use crate::git::File;

    fn file(path: &str, bytes: &[u8]) -> File {
        File {
            path: path.to_owned(),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn files_are_told_by_name_and_place() {
        let paths = [
            "a.prompt",
            "support/refund.terse.prompt",
            "_tone.prompt",
            "support/_policy.prompt",
            "schemas/Customer.yaml",
            "schemas/deep/Order.json",
            "tools/find.yaml",
            "support/refund.samples.yaml",
            "releases.yaml",
            "registry.yaml",
            "README.md",
            ".git/x.prompt",
            "support/refund.eval.yaml",
        ];
        let files: Vec<_> = paths.iter().map(|path| file(path, b"x")).collect();
        let shelves = sort(&files);
        assert!(shelves.problems.is_empty());
        let prompts: Vec<_> = shelves.prompts.keys().map(|key| key.as_str()).collect();
        assert_eq!(prompts, ["a", "support/refund.terse"]);
        let names = |shelf: &std::collections::BTreeMap<String, super::Text>| {
            shelf.keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&shelves.partials), "support/policy tone");
        assert_eq!(names(&shelves.schemas), "Customer deep/Order");
        assert_eq!(names(&shelves.tools), "find");
        assert_eq!(names(&shelves.policies), "registry.yaml releases.yaml");
        assert_eq!(shelves.samples.len(), 1);
    }

    #[test]
    fn what_cannot_be_used_is_a_problem() {
        let large = vec![b'x'; MAX_FILE_BYTES + 1];
        let files = [
            file("A.prompt", b"x"),
            file("a.prompt", b"x"),
            file("b c.prompt", b"x"),
            file("_b@c.prompt", b"x"),
            file("latin.prompt", b"ok\n\xe9"),
            file("bom.prompt", b"\xef\xbb\xbfx"),
            file("large.prompt", &large),
            file("tools/t.json", b"{}"),
            file("tools/t.yaml", b"{}"),
        ];
        let problems: Vec<_> = sort(&files)
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        let wanted = [
            "a.prompt: the name differs from `A.prompt` in case only",
            "b c.prompt: the path is no name for a prompt",
            "_b@c.prompt: the path is no name for a prompt",
            "latin.prompt:2: is not UTF-8",
            "bom.prompt:1: the file starts with a byte order mark",
            "large.prompt: has 1048577 bytes, the limit is 1048576",
            "tools/t.yaml: `t` is defined by `tools/t.json` too",
        ];
        assert_eq!(problems, wanted);
    }
}
