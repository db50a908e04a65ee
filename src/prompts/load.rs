//! From files to checked prompts; all problems of all files together.

use crate::domain::{PromptKey, nearest_names};
use crate::git::File;
use crate::prompts::bundle::{Bundle, Parts};
use crate::prompts::compile::compile;
use crate::prompts::contract::Tool;
use crate::prompts::evaluate::{Partial, Partials};
use crate::prompts::files::{self, Shelves, Text};
use crate::prompts::front_matter::{Document, parse_yaml, with_lf_endings};
use crate::prompts::includes;
use crate::prompts::lint::Rule;
use crate::prompts::metadata::{Metadata, Registry};
use crate::prompts::picoschema;
use crate::prompts::problem::Problem;
use crate::prompts::releases::{self, Releases};
use crate::prompts::samples::{self, Sample};
use crate::prompts::syntax::Program;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, available_parallelism};

/// So many prompts are worth a thread.
const PROMPTS_A_THREAD: usize = 64;

/// A prompt of a registry.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The version that the files hold.
    pub bundle: Arc<Bundle>,
    /// The file, below the registry's root.
    pub path: String,
    /// Sample inputs, from `NAME.samples.yaml`.
    pub samples: Arc<[Sample]>,
    /// All files that the version is made from.
    pub(super) files: BTreeSet<String>,
}

impl Prompt {
    /// Returns a version whose files are not known any more.
    pub(super) fn of_bundle(bundle: Arc<Bundle>) -> Self {
        Self {
            bundle,
            path: String::new(),
            samples: Arc::new([]),
            files: BTreeSet::new(),
        }
    }
}

/// What the files of a registry hold.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) prompts: BTreeMap<PromptKey, Prompt>,
    /// Invariant: sorted by path and line.
    pub(super) problems: Vec<Problem>,
    /// Prompts that are there but have problems.
    pub(super) failed: BTreeSet<PromptKey>,
    /// What labels should mean; `None` without the file, or with one that has problems.
    pub(super) releases: Option<Releases>,
}

/// Parses and checks everything.
pub(super) fn load(files: &[File]) -> Loaded {
    let mut shelves = files::sort(files);
    let mut loaded = Loaded {
        problems: std::mem::take(&mut shelves.problems),
        ..Loaded::default()
    };
    let partials = compile_partials(&shelves, &mut loaded.problems);
    Library::new(&shelves).check(&mut loaded.problems);
    for ((key, text), prompt) in prompts(&shelves, &partials) {
        match prompt {
            Ok(prompt) => {
                loaded.prompts.insert(key.clone(), prompt);
            }
            Err(problems) => {
                loaded.failed.insert(key.clone());
                let problems = problems
                    .into_iter()
                    .map(|problem| problem.in_file(&text.path));
                loaded.problems.extend(problems);
            }
        }
    }
    samples::attach(&shelves, &mut loaded);
    for (name, text) in &shelves.policies {
        let problems = if name == releases::FILE {
            let parsed = releases::parse(&text.text);
            parsed.map(|found| loaded.releases = Some(found)).err()
        } else {
            let parsed = parse_yaml::<Value>(&text.text);
            parsed.err().map(|problem| vec![problem])
        };
        let problems = problems.into_iter().flatten();
        loaded
            .problems
            .extend(problems.map(|problem| problem.in_file(name)));
    }
    locate(files, &mut loaded.problems);
    loaded.problems.sort();
    loaded.problems.dedup();
    loaded
}

/// Gives every problem its column.
fn locate(files: &[File], problems: &mut [Problem]) {
    for problem in problems {
        let file = files.iter().find(|file| file.path == problem.path);
        let Some(text) = file.and_then(|file| std::str::from_utf8(&file.bytes).ok()) else {
            continue;
        };
        // What is well-formed there and refused nevertheless names something that is not.
        if problem.path == "releases.yaml" && parse_yaml::<Value>(text).is_ok() {
            problem.code = Rule::BadRelease;
        }
        problem.locate(&with_lf_endings(text));
    }
}

fn compile_partials(shelves: &Shelves, problems: &mut Vec<Problem>) -> Partials {
    let mut partials = Partials::new();
    for (name, text) in &shelves.partials {
        match compile(&text.text, 1) {
            Ok(program) => {
                let text = text.text.clone();
                partials.insert(name.clone(), Arc::new(Partial { text, program }));
            }
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| problem.in_file(&text.path)));
            }
        }
    }
    let mut bad = Vec::new();
    for (name, partial) in &partials {
        if let Err(found) = includes::closure(&partial.program, &partials) {
            let path = shelves
                .partials
                .get(name)
                .map_or(name.as_str(), |text| text.path.as_str());
            problems.extend(found.into_iter().map(|problem| problem.in_file(path)));
            bad.push(name.clone());
        }
    }
    partials.retain(|name, _| !bad.contains(name));
    partials
}

/// A prompt's file, parsed; what it needs of other files is not looked up yet.
pub(super) struct Draft {
    document: Document,
    /// The template, compiled, if it can be.
    pub(super) program: Result<Program, Vec<Problem>>,
}

impl Draft {
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let document = Document::parse(text).map_err(|problem| vec![problem])?;
        let program = compile(&document.template, document.template_line);
        Ok(Self { document, program })
    }

    /// Builds the version, with what it needs from `partials` and `registry`; all problems together.
    pub(super) fn finish(
        self,
        partials: &Partials,
        registry: &mut dyn Registry,
    ) -> Result<Bundle, Vec<Problem>> {
        let Self { document, program } = self;
        let metadata = Metadata::read(&document, registry);
        let needed = match &program {
            Ok(program) => includes::closure(program, partials),
            Err(_) => Ok(Partials::new()),
        };
        let (metadata, program, needed) = match (metadata, program, needed) {
            (Ok(metadata), Ok(program), Ok(needed)) => (metadata, program, needed),
            (metadata, program, needed) => {
                let lists = [metadata.err(), program.err(), needed.err()];
                return Err(lists.into_iter().flatten().flatten().collect());
            }
        };
        Bundle::build(Parts {
            template: document.template,
            template_line: document.template_line,
            program,
            metadata,
            partials: needed,
        })
    }
}

/// A prompt's file.
type Entry<'a> = (&'a PromptKey, &'a Text);
/// What a file holds, or what is wrong with it.
type Parsed<'a> = (Entry<'a>, Result<Prompt, Vec<Problem>>);

/// Parses and checks all prompts, in their order. Many are shared out, since a start waits for them.
fn prompts<'a>(shelves: &'a Shelves, partials: &Partials) -> Vec<Parsed<'a>> {
    let entries: Vec<Entry<'a>> = shelves.prompts.iter().collect();
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let share = entries.len().div_ceil(cores).max(PROMPTS_A_THREAD);
    if entries.len() <= share {
        return some_prompts(&entries, shelves, partials);
    }
    thread::scope(|scope| {
        let threads: Vec<_> = entries
            .chunks(share)
            .map(|some| {
                let work = move || some_prompts(some, shelves, partials);
                let thread = thread::Builder::new().spawn_scoped(scope, work);
                thread.map_err(|_| work)
            })
            .collect();
        let ended = threads.into_iter().map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // No further thread is to be had.
            Err(work) => work(),
        });
        ended.flatten().collect()
    })
}

fn some_prompts<'a>(
    entries: &[Entry<'a>],
    shelves: &'a Shelves,
    partials: &Partials,
) -> Vec<Parsed<'a>> {
    let mut library = Library::new(shelves);
    let parse = |entry: &Entry<'a>| {
        library.take_used();
        (*entry, prompt(entry.1, partials, &mut library, shelves))
    };
    entries.iter().map(parse).collect()
}

fn prompt(
    text: &Text,
    partials: &Partials,
    library: &mut Library<'_>,
    shelves: &Shelves,
) -> Result<Prompt, Vec<Problem>> {
    let bundle = Draft::parse(&text.text)?.finish(partials, library)?;
    let mut files = library.take_used();
    files.insert(text.path.clone());
    let included = bundle
        .partials()
        .filter_map(|(name, _)| shelves.partials.get(name));
    files.extend(included.map(|text| text.path.clone()));
    Ok(Prompt {
        bundle: Arc::new(bundle),
        path: text.path.clone(),
        samples: Arc::new([]),
        files,
    })
}

/// Schemas and tools, parsed once and expanded when they are asked for.
pub(super) struct Library<'a> {
    shelves: &'a Shelves,
    /// A schema, expanded, with all files it comes from.
    schemas: HashMap<String, Result<(Value, BTreeSet<String>), String>>,
    /// Schemas that are being expanded, to find circles.
    open: Vec<String>,
    /// Files that were used since it was last cleared.
    used: BTreeSet<String>,
}

impl<'a> Library<'a> {
    pub(super) fn new(shelves: &'a Shelves) -> Self {
        Self {
            shelves,
            schemas: HashMap::new(),
            open: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    /// Returns the files that were used since this was last called.
    pub(super) fn take_used(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.used)
    }

    /// Reports what is wrong with schemas and tools that nobody may use yet.
    fn check(&mut self, problems: &mut Vec<Problem>) {
        let shelves = self.shelves;
        for (name, text) in &shelves.schemas {
            let parsed = parse_yaml::<Value>(&text.text);
            match parsed {
                Err(problem) => problems.push(problem.in_file(&text.path)),
                Ok(_) => {
                    if let Err(message) = self.schema(name) {
                        let problem = Problem::new(message).rule(Rule::BadSchema);
                        problems.push(problem.in_file(&text.path));
                    }
                }
            }
        }
        for (name, text) in &shelves.tools {
            match parse_yaml::<Value>(&text.text) {
                Err(problem) => problems.push(problem.in_file(&text.path)),
                Ok(_) => {
                    if let Err(message) = self.tool(name) {
                        let problem = Problem::new(message).rule(Rule::BadSchema);
                        problems.push(problem.in_file(&text.path));
                    }
                }
            }
        }
    }

    fn expand(&mut self, name: &str) -> Result<Option<(Value, BTreeSet<String>)>, String> {
        if let Some(known) = self.schemas.get(name) {
            return known.clone().map(Some);
        }
        let shelves = self.shelves;
        let Some(text) = shelves.schemas.get(name) else {
            return Ok(None);
        };
        if self.open.iter().any(|open| open == name) {
            return Err(format!("schema `{name}` refers to itself"));
        }
        let outer = std::mem::take(&mut self.used);
        self.open.push(name.to_owned());
        let expanded = parse_yaml::<Value>(&text.text)
            .map_err(|problem| format!("schema `{name}`: {}", problem.message))
            .and_then(|schema| picoschema::expand(&schema, &mut |inner| self.schema(inner)));
        self.open.pop();
        let mut files = std::mem::replace(&mut self.used, outer);
        files.insert(text.path.clone());
        let outcome = expanded.map(|schema| (schema, files));
        self.schemas.insert(name.to_owned(), outcome.clone());
        outcome.map(Some)
    }
}

impl Registry for Library<'_> {
    fn schema(&mut self, name: &str) -> Result<Option<Value>, String> {
        Ok(self.expand(name)?.map(|(schema, files)| {
            self.used.extend(files);
            schema
        }))
    }

    fn tool(&mut self, name: &str) -> Result<Tool, String> {
        let shelves = self.shelves;
        let Some(text) = shelves.tools.get(name) else {
            let near = nearest_names(name, shelves.tools.keys().map(String::as_str));
            return Err(match near.first() {
                Some(near) => format!("there is no tool `{name}`; did you mean `{near}`?"),
                None => format!("there is no tool `{name}` in `tools/`"),
            });
        };
        let value = parse_yaml::<Value>(&text.text)
            .map_err(|problem| format!("tool `{name}`: {}", problem.message))?;
        let tool = Tool::parse(&value, Some(name), &mut |inner| self.schema(inner))
            .map_err(|message| format!("tool `{name}`: {message}"))?;
        self.used.insert(text.path.clone());
        Ok(tool)
    }
}
