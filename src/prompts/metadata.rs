//! What the front matter says, by Dotprompt's rules, and our extensions of it.

use crate::domain::{Timestamp, nearest_names};
use crate::prompts::contract::{OutputFormat, Tool};
use crate::prompts::front_matter::Document;
use crate::prompts::lint::Rule;
use crate::prompts::messages::MessagesMode;
use crate::prompts::picoschema;
use crate::prompts::problem::Problem;
use crate::prompts::releases::point_in_time;
use serde_json::{Map, Value};

/// Keys of Dotprompt.
pub(super) const KEYS: [&str; 12] = [
    "config",
    "description",
    "ext",
    "input",
    "metadata",
    "model",
    "name",
    "output",
    "toolDefs",
    "tools",
    "variant",
    "version",
];

/// Keys of the namespace `promptgate` that change what a call does, and so a version's identity.
const BEHAVIOUR: [&str; 5] = ["messages", "locked", "strict", "enforce_output", "bind"];
/// The others: they are said about a prompt.
const REMARKS: [&str; 5] = [
    "owner",
    "retire_after",
    "replaced_by",
    "cache_prefix",
    "trusted",
];

/// The namespace of our extensions.
const NAMESPACE: &str = "promptgate";

/// The resolved front matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Metadata {
    pub(super) description: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) model: Option<String>,
    pub(super) config: Map<String, Value>,
    pub(super) defaults: Map<String, Value>,
    pub(super) input_schema: Option<Value>,
    pub(super) output: Option<OutputFormat>,
    pub(super) tool_definitions: Vec<Tool>,
    pub(super) ext: Map<String, Value>,
    pub(super) extensions: Extensions,
    pub(super) retirement: Option<Retirement>,
}

/// From when on a prompt is not served any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retirement {
    pub(super) at: Timestamp,
    /// As written.
    pub(super) since: String,
    /// What to use instead.
    pub(super) replacement: Option<String>,
}

/// Our extensions that change behaviour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// As written, for the identity.
    pub(super) written: Map<String, Value>,
    pub(super) messages: MessagesMode,
    pub(super) locked: Vec<String>,
    pub(super) is_strict: bool,
    pub(super) enforces_output: bool,
    /// Variables that the proxy fills: name and source.
    pub(super) bindings: Vec<(String, String)>,
}

/// Finds what a front matter names.
pub(super) trait Registry {
    /// Returns the schema called `name`, expanded.
    fn schema(&mut self, name: &str) -> Result<Option<Value>, String>;
    /// Returns the tool called `name`.
    fn tool(&mut self, name: &str) -> Result<Tool, String>;
}

/// Looks schemas up, and remembers whether one was not there.
struct Lookup<'a> {
    registry: &'a mut dyn Registry,
    has_missed: bool,
}

impl<'a> Lookup<'a> {
    const fn new(registry: &'a mut dyn Registry) -> Self {
        Self {
            registry,
            has_missed: false,
        }
    }

    fn schema(&mut self, name: &str) -> Result<Option<Value>, String> {
        let found = self.registry.schema(name)?;
        self.has_missed |= found.is_none();
        Ok(found)
    }

    /// What it means that a schema cannot be expanded.
    const fn rule(&self) -> Rule {
        if self.has_missed {
            Rule::MissingReference
        } else {
            Rule::BadSchema
        }
    }
}

impl Metadata {
    /// Reads the front matter of `document`; all problems together.
    pub(super) fn read(
        document: &Document,
        registry: &mut dyn Registry,
    ) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader {
            document,
            problems: Vec::new(),
        };
        let metadata = reader.read(registry);
        if reader.problems.is_empty() {
            Ok(metadata)
        } else {
            Err(reader.problems)
        }
    }
}

struct Reader<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.refuse_as(Rule::UnknownKey, key, message);
    }

    fn refuse_as(&mut self, rule: Rule, key: &str, message: impl Into<String>) {
        let line = self.document.line_of(key);
        self.problems
            .push(Problem::new(message).rule(rule).at(line));
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.document.raw.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.refuse(key, format!("`{key}` is not text"));
                None
            }
        }
    }

    fn map(&mut self, key: &str) -> Map<String, Value> {
        match self.document.raw.get(key) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => {
                self.refuse(key, format!("`{key}` is no mapping"));
                Map::new()
            }
        }
    }

    fn read(&mut self, registry: &mut dyn Registry) -> Metadata {
        self.check_keys();
        let input = self.map("input");
        let input_schema = self.schema("input", &input, registry);
        let defaults = match input.get("default") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => {
                self.refuse("input", "`input.default` is no mapping");
                Map::new()
            }
        };
        let output = self.map("output");
        let output = (!output.is_empty()).then(|| OutputFormat {
            format: output
                .get("format")
                .and_then(Value::as_str)
                .map(str::to_owned),
            schema: self.schema("output", &output, registry),
        });
        let ext = self.ext();
        let extensions = self.extensions(&ext);
        let tool_definitions = self.tools(registry);
        Metadata {
            description: self.text("description"),
            owner: remark(&ext, "owner"),
            retirement: self.retirement(&ext),
            model: self.text("model"),
            config: self.map("config"),
            defaults,
            input_schema,
            output,
            tool_definitions,
            ext,
            extensions,
        }
    }

    /// A key that is nearly a known one is a slip of the pen; other unknown keys belong to others.
    fn check_keys(&mut self) {
        for key in self.document.raw.keys() {
            if KEYS.contains(&key.as_str()) || key.contains('.') {
                continue;
            }
            let near = nearest_names(key, KEYS.into_iter());
            let close = near
                .first()
                .filter(|near| near.len().abs_diff(key.len()) <= 1);
            if let Some(near) = close {
                let line = self.document.line_of(key);
                self.problems.push(
                    Problem::new(format!("`{key}` is no key of Dotprompt"))
                        .rule(Rule::UnknownKey)
                        .at(line)
                        .hint(format!(
                            "did you mean `{near}`? (own keys need a namespace: `team.{key}`)"
                        )),
                );
            }
        }
    }

    fn schema(
        &mut self,
        key: &str,
        map: &Map<String, Value>,
        registry: &mut dyn Registry,
    ) -> Option<Value> {
        let schema = map.get("schema").filter(|schema| !schema.is_null())?;
        let mut lookup = Lookup::new(registry);
        match picoschema::expand(schema, &mut |name| lookup.schema(name)) {
            Ok(schema) => Some(schema),
            Err(message) => {
                let rule = lookup.rule();
                self.refuse_as(rule, key, format!("`{key}.schema`: {message}"));
                None
            }
        }
    }

    /// `a.b.c: v` becomes `ext["a.b"].c = v`.
    fn ext(&mut self) -> Map<String, Value> {
        let mut ext = self.map("ext");
        for (key, value) in &self.document.raw {
            let Some((namespace, name)) = key.rsplit_once('.') else {
                continue;
            };
            let fields = ext
                .entry(namespace)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Some(fields) = fields.as_object_mut() {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        ext
    }

    fn tools(&mut self, registry: &mut dyn Registry) -> Vec<Tool> {
        let mut tools = Vec::new();
        let listed = |key: &str| match self.document.raw.get(key) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(items)) => Some(items.clone()),
            Some(_) => None,
        };
        let (definitions, wanted) = (listed("toolDefs"), listed("tools"));
        for (key, list) in [("toolDefs", &definitions), ("tools", &wanted)] {
            if list.is_none() {
                self.refuse(key, format!("`{key}` is no list"));
            }
        }
        for definition in definitions.unwrap_or_default() {
            let mut lookup = Lookup::new(registry);
            match Tool::parse(&definition, None, &mut |name| lookup.schema(name)) {
                Ok(tool) => tools.push(tool),
                Err(message) => self.refuse_as(lookup.rule(), "toolDefs", message),
            }
        }
        for name in wanted.unwrap_or_default() {
            let Some(name) = name.as_str() else {
                self.refuse("tools", "a tool is named by text");
                continue;
            };
            match registry.tool(name) {
                Ok(tool) => tools.push(tool),
                Err(message) => self.refuse_as(Rule::MissingReference, "tools", message),
            }
        }
        tools
    }

    fn extensions(&mut self, ext: &Map<String, Value>) -> Extensions {
        let mut extensions = Extensions::default();
        let fields = ext
            .get(NAMESPACE)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        for (key, value) in &fields {
            let known = BEHAVIOUR.iter().chain(&REMARKS).copied();
            if BEHAVIOUR.contains(&key.as_str()) {
                extensions.written.insert(key.clone(), value.clone());
            } else if !REMARKS.contains(&key.as_str()) {
                let near = nearest_names(key, known.clone());
                let choice = near.first().map_or_else(
                    || known.collect::<Vec<_>>().join(", "),
                    |near| format!("did you mean `{NAMESPACE}.{near}`?"),
                );
                self.refuse(
                    &format!("{NAMESPACE}.{key}"),
                    format!("`{NAMESPACE}.{key}` is unknown; {choice}"),
                );
            }
        }
        let bind = format!("{NAMESPACE}.bind");
        let bound = ext
            .get(&bind)
            .or_else(|| fields.get("bind"))
            .and_then(Value::as_object);
        if let Some(bound) = bound {
            extensions
                .written
                .insert("bind".to_owned(), Value::Object(bound.clone()));
        }
        for (name, source) in bound.into_iter().flatten() {
            match source.as_str() {
                Some("last_user_message") => {
                    extensions
                        .bindings
                        .push((name.clone(), "last_user_message".to_owned()));
                }
                _ => self.refuse(
                    &format!("{bind}.{name}"),
                    "a binding is `last_user_message`",
                ),
            }
        }
        self.behaviour(&fields, &mut extensions);
        extensions
    }

    fn retirement(&mut self, ext: &Map<String, Value>) -> Option<Retirement> {
        ext.get(NAMESPACE)?.get("retire_after")?;
        let since = remark(ext, "retire_after").unwrap_or_default();
        let Some(at) = point_in_time(&since) else {
            self.refuse(
                "promptgate.retire_after",
                "`promptgate.retire_after` is no date, as in `2026-12-15` or `2026-12-15T18:00:00Z`",
            );
            return None;
        };
        Some(Retirement {
            at,
            since,
            replacement: remark(ext, "replaced_by"),
        })
    }

    fn behaviour(&mut self, fields: &Map<String, Value>, extensions: &mut Extensions) {
        match fields.get("messages").map(Value::as_str) {
            None | Some(Some("history")) => {}
            Some(Some("append")) => extensions.messages = MessagesMode::Append,
            Some(Some("forbid")) => extensions.messages = MessagesMode::Forbid,
            Some(_) => self.refuse(
                "promptgate.messages",
                "`promptgate.messages` is `history`, `append` or `forbid`",
            ),
        }
        match fields.get("locked") {
            None => {}
            Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
                extensions.locked = names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect();
            }
            Some(_) => self.refuse(
                "promptgate.locked",
                "`promptgate.locked` is a list of names",
            ),
        }
        for key in ["strict", "enforce_output"] {
            match fields.get(key) {
                None => {}
                Some(Value::Bool(value)) if key == "strict" => extensions.is_strict = *value,
                Some(Value::Bool(value)) => extensions.enforces_output = *value,
                Some(_) => self.refuse(
                    &format!("{NAMESPACE}.{key}"),
                    format!("`{NAMESPACE}.{key}` is true or false"),
                ),
            }
        }
    }
}

fn remark(ext: &Map<String, Value>, name: &str) -> Option<String> {
    let remark = ext.get(NAMESPACE)?.get(name)?;
    remark.as_str().map(str::to_owned)
}

impl Extensions {
    /// Reads extensions as [`Extensions::written`] has them.
    pub(super) fn from_written(written: &Map<String, Value>) -> Result<Self, String> {
        let document = Document::parse("").map_err(|problem| problem.message)?;
        let mut reader = Reader {
            document: &document,
            problems: Vec::new(),
        };
        let ext = Map::from_iter([(NAMESPACE.to_owned(), Value::Object(written.clone()))]);
        let extensions = reader.extensions(&ext);
        match reader.problems.first() {
            None => Ok(extensions),
            Some(problem) => Err(problem.message.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Metadata, Registry};
    use crate::prompts::contract::Tool;
    use crate::prompts::front_matter::Document;
    use crate::prompts::messages::MessagesMode;
    use serde_json::Value;

    struct Nothing;

    impl Registry for Nothing {
        fn schema(&mut self, _: &str) -> Result<Option<Value>, String> {
            Ok(None)
        }

        fn tool(&mut self, _: &str) -> Result<Tool, String> {
            Err("no tools here".to_owned())
        }
    }

    #[test]
    fn extensions_are_read() {
        let source = "---\npromptgate.messages: forbid\npromptgate.locked: [model]\n\
                      promptgate.bind.question: last_user_message\npromptgate.owner: payments\n\
                      promptgate.strict: true\n---\nx";
        let document = Document::parse(source).unwrap();
        let metadata = Metadata::read(&document, &mut Nothing).unwrap();
        assert_eq!(metadata.owner.as_deref(), Some("payments"));
        let extensions = metadata.extensions;
        assert_eq!(extensions.messages, MessagesMode::Forbid);
        assert_eq!(extensions.locked, ["model"]);
        assert!(extensions.is_strict);
        assert_eq!(extensions.bindings[0].0, "question");
        let again = super::Extensions::from_written(&extensions.written).unwrap();
        assert_eq!(again, extensions);
    }

    #[test]
    fn every_slip_is_reported_with_its_line() {
        let source = "---\nmodle: x\nconfig: 7\npromptgate.mesages: append\n\
                      promptgate.locked: model\npromptgate.bind.q: first\ntools: a\n\
                      input: {schema: {a: strng}}\n---\nx";
        let document = Document::parse(source).unwrap();
        let problems = Metadata::read(&document, &mut Nothing).unwrap_err();
        let mut lines: Vec<_> = problems
            .iter()
            .map(|problem| problem.line.unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8], "{problems:?}");
    }
}
