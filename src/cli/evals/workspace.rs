//! Where suites and the prompts that they test are: in the files as they are, or in a commit.

use crate::app::{self, Config};
use crate::cli::output::{self, Failure};
use crate::cli::prompts::failure;
use crate::domain::{Caller, PromptReference, Selector};
use crate::evals::planner::ResolvedVersion;
use crate::evals::suite::{Files, Ground, PromptSource, Source, Suite, below};
use crate::git::Repository;
use crate::prompts::Prompts;
use crate::prompts::diff::{Revision, Tree};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

/// A tree of files with suites in it.
pub(crate) struct Workspace {
    /// The root that paths are below: the work tree, else the working directory.
    root: PathBuf,
    /// The directory of suites, below the root.
    directory: String,
    commit: Option<String>,
    files: Files,
}

impl Workspace {
    /// Finds the root of the files, in which `evals` is the directory of suites.
    pub(crate) fn open(evals: &Path) -> Result<Self, Failure> {
        let ground = Ground::find(evals).map_err(|error| {
            Failure::usage(format!("`{}` cannot be read: {error}", evals.display()))
        })?;
        Ok(Self {
            root: ground.root,
            directory: ground.directory,
            commit: None,
            files: ground.files,
        })
    }

    /// Returns the same tree as it is at a commit, read without a checkout.
    pub(crate) fn at(&self, reference: &str) -> Result<Self, Failure> {
        let repository = Repository::discover(&self.root)
            .map_err(|error| Failure::usage(error.to_string()).with_hint(error.hint()))?;
        let commit = repository
            .resolve(reference)
            .map_err(|error| Failure::usage(error.to_string()).with_hint(error.hint()))?;
        Ok(Self {
            root: self.root.clone(),
            directory: self.directory.clone(),
            commit: Some(commit.to_string()),
            files: Files::commit(repository, commit),
        })
    }

    /// The root that paths are below.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The commit; `None` for files as they are.
    pub(crate) fn commit(&self) -> Option<String> {
        self.commit.clone()
    }

    /// Where suites are loaded from.
    pub(crate) fn source<'a>(&'a self, environment: &'a BTreeMap<String, String>) -> Source<'a> {
        Source {
            files: &self.files,
            environment,
            directory: &self.directory,
        }
    }

    /// The paths of the suites that are named, below the root; all there are when none is.
    pub(crate) fn suites(
        &self,
        named: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Failure> {
        let source = self.source(environment);
        let known = || crate::evals::suite::find(&source);
        if named.is_empty() {
            let found = known().map_err(|problem| Failure::usage(problem.to_string()))?;
            if found.is_empty() {
                let hint = format!("write one to `{}/NAME.yaml`", self.directory);
                return Err(Failure::usage("there are no suites").with_hint(Some(hint)));
            }
            return Ok(found);
        }
        named
            .iter()
            .map(|name| {
                let path = Path::new(name);
                if path.is_file() {
                    return self.below_root(path);
                }
                let known = known().unwrap_or_default();
                let stem = |path: &str| path.rsplit_once('.').map(|(stem, _)| stem.to_owned());
                let wanted = format!("{}/{name}", self.directory);
                let found = known.iter().find(|path| {
                    stem(path).is_some_and(|stem| stem == wanted) || path.as_str() == name
                });
                found.cloned().ok_or_else(|| {
                    let near =
                        crate::domain::nearest_names(&wanted, known.iter().map(String::as_str));
                    let hint = near.first().map(|near| format!("did you mean `{near}`?"));
                    Failure::usage(format!("there is no suite `{name}`")).with_hint(hint)
                })
            })
            .collect()
    }

    /// `path` below the root.
    pub(crate) fn below_root(&self, path: &Path) -> Result<String, Failure> {
        let real = std::fs::canonicalize(path).map_err(|error| {
            Failure::usage(format!("`{}` cannot be read: {error}", path.display()))
        })?;
        below(&self.root, &real).ok_or_else(|| {
            let (path, root) = (path.display(), self.root.display());
            let hint = "run the command in the directory that the suite belongs to";
            Failure::usage(format!("`{path}` is outside of `{root}`"))
                .with_hint(Some(hint.to_owned()))
        })
    }
}

/// The versions that suites refer to, found once.
pub(crate) type Versions = BTreeMap<String, Result<ResolvedVersion, String>>;

/// Finds the versions that `suites` refer to. A reference without a label, and `latest`, mean what the
/// tree of `revision` has; all others what the registry says.
pub(crate) async fn versions(
    suites: &[Suite],
    config: &Config,
    revision: &Revision,
) -> Result<Versions, Failure> {
    let mut found = Versions::new();
    let references = suites.iter().flat_map(|suite| &suite.prompts);
    let references: Vec<&PromptReference> = references
        .filter_map(|entry| match &entry.source {
            PromptSource::Registry(reference) => Some(reference),
            PromptSource::Text(_) | PromptSource::Chat(_) => None,
        })
        .collect();
    if references.is_empty() {
        return Ok(found);
    }
    let archive = app::read_only_archive(config);
    let prompts = Prompts::archived(config.prompts.clone(), archive);
    if let Err(error) = prompts.number_all() {
        output::say(&format!("warning: {error}\n"));
    }
    let tree = prompts.tree(revision).map_err(failure)?;
    for reference in references {
        let name = reference.to_string();
        if let Entry::Vacant(place) = found.entry(name) {
            place.insert(version(&prompts, &tree, reference).await);
        }
    }
    Ok(found)
}

async fn version(
    prompts: &Prompts,
    tree: &Tree,
    reference: &PromptReference,
) -> Result<ResolvedVersion, String> {
    let side = match reference.selector {
        Selector::Default | Selector::Latest => match tree.side(&reference.key) {
            Some(side) => side,
            None => return Err(absent(tree, reference)),
        },
        _ => {
            prompts.reload().map_err(|error| error.to_string())?;
            let resolved = prompts.resolve(reference, &Caller::local()).await;
            prompts.side_of(resolved.map_err(|error| error.to_string())?)
        }
    };
    ResolvedVersion::of(&side.key, &side.bundle, side.version())
}

fn absent(tree: &Tree, reference: &PromptReference) -> String {
    let keys = tree.keys();
    if keys.contains(&reference.key) {
        return "the prompt has problems, which `promptgate check` names".to_owned();
    }
    let names = keys.iter().map(crate::domain::PromptKey::as_str);
    let near = crate::domain::nearest_names(reference.key.as_str(), names);
    match near.first() {
        Some(near) => format!("there is no such prompt; did you mean `{near}`?"),
        None => "there is no such prompt".to_owned(),
    }
}
