//! Which files of the evals directory are suites.

use crate::evals::suite::Place;
use crate::evals::suite::load::Source;
use crate::evals::suite::load::files::extension;
use crate::evals::suite::load::node::Node;
use crate::evals::suite::load::problem::Problem;

/// Directories of what belongs to suites and is none.
const OTHERS: [&str; 5] = ["datasets", "judges", "baselines", "history", "packs"];
/// One of these makes a file a suite.
const KEYS: [&str; 5] = ["prompts", "providers", "targets", "tests", "scenarios"];
/// Bytes of a file that is looked into.
const MAX_BYTES: usize = 4 << 20;

pub(super) fn find(source: &Source<'_>) -> Result<Vec<String>, Problem> {
    let place = |file: &str| Place {
        file: file.to_owned(),
        ..Place::default()
    };
    let listed = source.files.list(source.directory).map_err(|error| {
        let message = format!("the directory of suites cannot be read: {error:?}");
        Problem::new(place(source.directory), message)
    })?;
    let candidates = listed.into_iter().filter(|path| {
        let below = path.strip_prefix(source.directory).unwrap_or(path);
        let is_other = below.split('/').any(|part| OTHERS.contains(&part));
        matches!(extension(path).as_str(), "yaml" | "yml" | "json") && !is_other
    });
    Ok(candidates.filter(|path| is_suite(source, path)).collect())
}

/// A file that cannot be read as YAML may be one: what is wrong with it is said when it is loaded.
fn is_suite(source: &Source<'_>, path: &str) -> bool {
    let Ok(bytes) = source.files.read(path, MAX_BYTES) else {
        return false;
    };
    let text = String::from_utf8_lossy(&bytes);
    match Node::yaml(&text, path) {
        Ok(root) => KEYS.iter().any(|key| root.get(key).is_some()),
        Err(_) => extension(path) != "json",
    }
}
