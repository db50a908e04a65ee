//! `$ref: '#/assertionTemplates/polite'`: a part of a file that stands somewhere else in it, or in another.

use crate::evals::suite::load::node::{Content, Field, Node};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::Loader;

/// References inside references.
const MAX_DEPTH: usize = 16;
/// Nodes that references may add to a file.
const MAX_NODES: usize = 200_000;
/// What stands below these is somebody else's: a JSON Schema has references of its own.
const FOREIGN: [&str; 7] = [
    "value",
    "schema",
    "parameters",
    "tools",
    "functions",
    "response_format",
    "input_schema",
];

struct Walk<'a> {
    root: &'a Node,
    added: usize,
    /// References that are being followed.
    open: Vec<String>,
    /// Whether the root is a file that was referred to: it refers to no others.
    is_referred: bool,
}

impl Loader<'_> {
    /// Puts in place of each reference what it stands for; keys beside it win.
    pub(super) fn with_references(&self, root: &Node) -> Node {
        let mut walk = Walk {
            root,
            added: 0,
            open: Vec::new(),
            is_referred: false,
        };
        let mut resolved = root.clone();
        self.resolve(&mut walk, &mut resolved, false);
        resolved
    }

    fn resolve(&self, walk: &mut Walk<'_>, node: &mut Node, is_foreign: bool) {
        if node.get("$ref").is_some() && !self.replace(walk, node, is_foreign) {
            return;
        }
        match &mut node.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                for item in items {
                    self.resolve(walk, item, is_foreign);
                }
            }
            Content::Map(fields) => {
                for field in fields {
                    let is_foreign = is_foreign || FOREIGN.contains(&field.name.as_str());
                    self.resolve(walk, &mut field.value, is_foreign);
                }
            }
        }
    }

    /// Replaces `node`, a reference, and what is in it. Returns whether there is anything left to walk.
    fn replace(&self, walk: &mut Walk<'_>, node: &mut Node, is_foreign: bool) -> bool {
        let Some(pointer) = node.get("$ref").and_then(Node::text).map(str::to_owned) else {
            return true;
        };
        let (file, path) = pointer.split_once('#').unwrap_or((&pointer, ""));
        let target = if file.is_empty() {
            find(walk.root, path).cloned()
        } else if is_foreign || walk.is_referred {
            None
        } else {
            match self.referred(file, node) {
                Some(root) => find(&root, path).cloned(),
                None => return false,
            }
        };
        let Some(target) = target else {
            if is_foreign {
                return true;
            }
            let place = if file.is_empty() {
                "in this file"
            } else {
                "there"
            };
            let message = format!("`$ref: {pointer}` leads nowhere {place}");
            let hint = "write `#/assertionTemplates/NAME`, and the assertion under that key";
            self.problem(Problem::new(node.place(), message).hint(hint));
            return false;
        };
        let fail = |message: String| {
            self.problem(Problem::new(node.place(), message));
            false
        };
        if walk.open.contains(&pointer) || MAX_DEPTH <= walk.open.len() {
            return fail(format!("`$ref: {pointer}` leads back to itself"));
        }
        let before = walk.added;
        walk.added = before.saturating_add(target.size());
        if MAX_NODES < before {
            // Said already, once.
            return false;
        }
        if MAX_NODES < walk.added {
            return fail(format!("references make more than {MAX_NODES} nodes"));
        }
        let mut replaced = target;
        if let (Content::Map(own), Content::Map(fields)) = (&node.content, &mut replaced.content) {
            let own = own.iter().filter(|field| field.name != "$ref");
            overlay(fields, own);
        }
        walk.open.push(pointer);
        self.resolve(walk, &mut replaced, is_foreign);
        walk.open.pop();
        *node = replaced;
        false
    }

    /// Reads a file that is referred to, the references within it resolved.
    fn referred(&self, file: &str, at: &Node) -> Option<Node> {
        let path = self.path_of(file, at)?;
        let root = self.parsed(&path, at)?;
        let mut walk = Walk {
            root: &root,
            added: 0,
            open: Vec::new(),
            is_referred: true,
        };
        let mut resolved = root.clone();
        self.resolve(&mut walk, &mut resolved, false);
        Some(resolved)
    }
}

/// Lays `own` over `fields`, in place or behind them.
pub(super) fn overlay<'a>(fields: &mut Vec<Field>, own: impl Iterator<Item = &'a Field>) {
    for field in own {
        match fields.iter_mut().find(|old| old.name == field.name) {
            Some(old) => *old = field.clone(),
            None => fields.push(field.clone()),
        }
    }
}

/// What a JSON pointer leads to.
fn find<'a>(root: &'a Node, pointer: &str) -> Option<&'a Node> {
    let mut node = root;
    if pointer.is_empty() || pointer == "/" {
        return Some(root);
    }
    for part in pointer.strip_prefix('/')?.split('/') {
        let part = part.replace("~1", "/").replace("~0", "~");
        node = match &node.content {
            Content::List(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => node.get(&part)?,
        };
    }
    Some(node)
}
