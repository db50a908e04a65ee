//! A compiled template: what the evaluator walks.
//!
//! The tree is ours, not the parser's, so that a marker (role, history, media, section) is a node
//! and never text: a value cannot be mistaken for one, whatever it contains.

use serde_json::Value;

/// A compiled template or partial.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) nodes: Vec<Node>,
}

/// One element of a template. Lines count from 1 in the file.
#[derive(Debug)]
pub(super) enum Node {
    /// Text that stands in the file as it is here, from `line` on.
    Text {
        text: String,
        line: usize,
    },
    Print {
        value: Expression,
        line: usize,
    },
    Role(Role),
    History,
    Section(Expression),
    Media {
        url: Expression,
        content_type: Option<Expression>,
        line: usize,
    },
    If(Box<Branch>),
    Equals {
        branch: Box<Branch>,
        other: Expression,
    },
    Each(Box<Loop>),
    With(Box<Loop>),
    Partial(Box<Inclusion>),
}

/// `{{#if}}`, `{{#unless}}`, `{{#ifEquals}}`, `{{#unlessEquals}}`.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) test: Expression,
    /// `includeZero=true`: zero counts as true.
    pub(super) include_zero: bool,
    /// Whether the body stands for the negative answer (`unless`).
    pub(super) negated: bool,
    pub(super) body: Program,
    pub(super) inverse: Program,
}

/// `{{#each}}` and `{{#with}}`.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) value: Expression,
    /// `as |item key|`.
    pub(super) names: Vec<String>,
    pub(super) body: Program,
    pub(super) inverse: Program,
}

/// `{{> name context key=value}}`.
#[derive(Debug)]
pub(super) struct Inclusion {
    pub(super) name: String,
    pub(super) context: Option<Expression>,
    pub(super) arguments: Vec<(String, Expression)>,
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) enum Expression {
    Literal(Value),
    Path(Path),
    /// `(lookup collection key)`
    Lookup(Box<(Self, Self)>),
    /// `{{json value indent=2}}`
    Json {
        value: Box<Self>,
        indent: usize,
    },
}

impl Expression {
    /// Returns the expression whose value `json` writes out, else the expression itself.
    pub(super) fn innermost(&self) -> &Self {
        match self {
            Self::Json { value, .. } => value.innermost(),
            Self::Literal(_) | Self::Path(_) | Self::Lookup(_) => self,
        }
    }

    /// Returns the expression as one writes it.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Literal(value) => value.to_string(),
            Self::Path(path) => path.text.clone(),
            Self::Lookup(pair) => format!("lookup {} {}", pair.0.written(), pair.1.written()),
            Self::Json { value, .. } => format!("json {}", value.written()),
        }
    }
}

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The current context.
    This,
    /// `@root`.
    Root,
    /// `@name`: a loop variable, or a key of the caller's context.
    Data(String),
}

/// A reference to a value: `name`, `../a.b`, `@index`, `@state.count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// As written, for messages.
    pub(super) text: String,
    pub(super) origin: Origin,
    /// How many `../`.
    pub(super) up: usize,
    pub(super) segments: Vec<String>,
}

impl Path {
    /// Reads a path that the parser has accepted.
    pub(super) fn parse(text: &str) -> Self {
        let mut rest = ["this.", "this/", "./"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let after_root = rest
            .strip_prefix("@root")
            .filter(|after| after.is_empty() || after.starts_with(['.', '/']));
        let is_data = after_root.is_none() && rest.starts_with('@');
        rest = after_root.map_or_else(
            || rest.strip_prefix('@').unwrap_or(rest),
            |after| after.trim_start_matches(['.', '/']),
        );
        let mut up = 0;
        while let Some(after) = rest
            .strip_prefix("../")
            .or_else(|| rest.strip_prefix("..."))
        {
            up += 1;
            rest = after;
        }
        let mut segments = split_segments(rest);
        let origin = if is_data && !segments.is_empty() {
            Origin::Data(segments.remove(0))
        } else if after_root.is_some() {
            Origin::Root
        } else {
            Origin::This
        };
        Self {
            text: text.to_owned(),
            origin,
            up,
            segments,
        }
    }

    /// Returns the only name of a path that is a name, as helpers without arguments are.
    pub(super) fn as_name(&self) -> Option<&str> {
        match (&self.origin, self.segments.as_slice()) {
            (Origin::This, [name]) if self.up == 0 && name == &self.text => Some(name),
            _ => None,
        }
    }
}

/// Splits `a.b/[c d]`; `this` stands for nothing.
fn split_segments(text: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut is_bracketed = false;
    for c in text.chars() {
        match c {
            ']' if is_bracketed => is_bracketed = false,
            '[' if !is_bracketed => is_bracketed = true,
            '.' | '/' if !is_bracketed => segments.push(String::new()),
            _ => {
                if let Some(last) = segments.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    segments.retain(|segment| !segment.is_empty() && segment != "this");
    segments
}

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions. `developer` in a template means this too.
    System,
    /// The person or program that asks.
    User,
    /// The model's own words. `assistant` in a template means this too.
    Model,
    /// The result of a tool.
    Tool,
}

impl Role {
    /// The names a template may use.
    pub(super) const NAMES: &str = "system, user, model (or assistant), tool, developer (= system)";

    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "system" | "developer" => Some(Self::System),
            "user" => Some(Self::User),
            "model" | "assistant" => Some(Self::Model),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }

    /// Returns the role's name in Dotprompt.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Model => "model",
            Self::Tool => "tool",
        }
    }

    /// Returns the role's name in OpenAI's API.
    #[must_use]
    pub const fn openai_name(self) -> &'static str {
        match self {
            Self::Model => "assistant",
            Self::System | Self::User | Self::Tool => self.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, Path};

    #[test]
    fn paths_read_as_handlebars_reads_them() {
        let data = |name: &str| Origin::Data(name.to_owned());
        for (text, origin, up, segments) in [
            ("name", Origin::This, 0, vec!["name"]),
            ("this", Origin::This, 0, vec![]),
            ("this.name", Origin::This, 0, vec!["name"]),
            ("./name", Origin::This, 0, vec!["name"]),
            ("../../a.b", Origin::This, 2, vec!["a", "b"]),
            ("../this", Origin::This, 1, vec![]),
            ("a/b", Origin::This, 0, vec!["a", "b"]),
            ("a.[b c].[0]", Origin::This, 0, vec!["a", "b c", "0"]),
            ("@root.a", Origin::Root, 0, vec!["a"]),
            ("@root", Origin::Root, 0, vec![]),
            ("@rooted", data("rooted"), 0, vec![]),
            ("@index", data("index"), 0, vec![]),
            ("@../index", data("index"), 1, vec![]),
            ("@state.count", data("state"), 0, vec!["count"]),
        ] {
            let path = Path::parse(text);
            assert_eq!(path.origin, origin, "{text}");
            assert_eq!(path.up, up, "{text}");
            assert_eq!(path.segments, segments, "{text}");
        }
    }
}
