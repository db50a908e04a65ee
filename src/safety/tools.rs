//! Which tools a model may call, with which arguments.
//!
//! A policy is checked against the calls a model asks for, before anybody makes them. What it does not
//! name is forbidden once it names anything that is allowed.

use crate::domain::matches_glob;
use crate::safety::finding::{Detector, Severity};
use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::Value;

/// The most memory a pattern may take when it is compiled, in bytes.
const PATTERN_SIZE: usize = 1 << 18;

/// A call that a model asks for.
#[derive(Debug, Clone, Copy)]
pub struct ToolCall<'a> {
    /// The tool.
    pub name: &'a str,
    /// Its arguments.
    pub arguments: &'a Value,
}

/// What may be called. Names are globs in which `*` stands for anything.
#[derive(Debug, Clone, Default)]
pub struct ToolPolicy {
    /// What may be called; empty means everything that is not denied.
    pub allow: Vec<String>,
    /// What may not be called, whatever else is said.
    pub deny: Vec<String>,
    /// What the arguments may be.
    pub arguments: Vec<ArgumentRule>,
}

/// What an argument may be.
#[derive(Debug, Clone)]
pub struct ArgumentRule {
    /// The tools it is about, a glob.
    pub tool: String,
    /// The argument, a JSON pointer (RFC 6901) such as `/path`.
    pub pointer: String,
    /// What it may be.
    pub allowed: Allowed,
    /// Whether a call without the argument is a finding.
    pub is_required: bool,
}

/// The values an argument may have.
#[derive(Debug, Clone)]
pub enum Allowed {
    /// One of these.
    Values(Vec<Value>),
    /// Text that matches from end to end.
    Pattern(Pattern),
}

/// A pattern that the whole of a text must match; its time is linear in the text's length.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a pattern was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be compiled, or it would be too large.
    #[error("pattern `{pattern}` of a tool policy: {message}")]
    Pattern {
        /// The pattern as it was written.
        pattern: String,
        /// What is wrong with it, on one line.
        message: String,
    },
}

impl Error {
    /// Returns the stable code.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Pattern { .. } => "invalid_tool_pattern",
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Pattern { .. } => {
                "write it without look-around and back-references, or list the allowed values"
            }
        }
    }
}

impl Pattern {
    /// Returns the compiled pattern.
    ///
    /// # Errors
    ///
    /// `Error::Pattern` when it is not a pattern, needs look-around or back-references, or is too large.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        RegexBuilder::new(&format!("^(?:{pattern})$"))
            .size_limit(PATTERN_SIZE)
            .dfa_size_limit(PATTERN_SIZE)
            .build()
            .map(Self)
            .map_err(|error| Error::Pattern {
                pattern: pattern.to_owned(),
                message: last_line(&error.to_string()),
            })
    }
}

/// The library draws the pattern over several lines and says in the last what is wrong with it.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// A call that the policy forbids. It does not hold the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolFinding {
    /// Which rule.
    pub detector: Detector,
    /// The number of the call, from 0.
    pub call: usize,
    /// The argument, when it is about one.
    pub pointer: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

impl ToolPolicy {
    /// Returns what `calls` do that the policy forbids, in the order of the calls.
    #[must_use]
    pub fn check(&self, calls: &[ToolCall<'_>]) -> Vec<ToolFinding> {
        let mut findings = Vec::new();
        for (number, call) in calls.iter().enumerate() {
            if !self.may_call(call.name) {
                findings.push(finding(Detector::ForbiddenTool, number, None));
                continue;
            }
            let broken = self
                .arguments
                .iter()
                .filter(|rule| matches_glob(&rule.tool, call.name) && !rule.accepts(call.arguments))
                .map(|rule| finding(Detector::ForbiddenArgument, number, Some(&rule.pointer)));
            findings.extend(broken);
        }
        findings
    }

    fn may_call(&self, name: &str) -> bool {
        let is_in = |globs: &[String]| globs.iter().any(|glob| matches_glob(glob, name));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

impl ArgumentRule {
    fn accepts(&self, arguments: &Value) -> bool {
        let Some(value) = arguments.pointer(&self.pointer) else {
            return !self.is_required;
        };
        match (&self.allowed, value) {
            (Allowed::Values(values), value) => values.contains(value),
            (Allowed::Pattern(pattern), Value::String(text)) => pattern.0.is_match(text),
            (Allowed::Pattern(pattern), Value::Number(number)) => {
                pattern.0.is_match(&number.to_string())
            }
            (Allowed::Pattern(_), _) => false,
        }
    }
}

fn finding(detector: Detector, call: usize, pointer: Option<&str>) -> ToolFinding {
    ToolFinding {
        detector,
        call,
        pointer: pointer.map(str::to_owned),
        severity: detector.severity(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowed, ArgumentRule, Pattern, ToolCall, ToolPolicy};
    use serde_json::{Value, json};

    fn policy() -> ToolPolicy {
        ToolPolicy {
            allow: vec!["read_*".to_owned(), "refund".to_owned()],
            deny: vec!["read_secret".to_owned()],
            arguments: vec![
                ArgumentRule {
                    tool: "read_*".to_owned(),
                    pointer: "/path".to_owned(),
                    allowed: Allowed::Pattern(Pattern::new("src/[a-z/]+[.]rs").unwrap()),
                    is_required: true,
                },
                ArgumentRule {
                    tool: "refund".to_owned(),
                    pointer: "/order/currency".to_owned(),
                    allowed: Allowed::Values(vec![json!("EUR"), json!("USD")]),
                    is_required: false,
                },
            ],
        }
    }

    fn check(name: &str, arguments: &Value) -> Vec<String> {
        let call = ToolCall { name, arguments };
        let findings = policy().check(&[call]).into_iter();
        findings
            .map(|found| format!("{} {}", found.detector, found.pointer.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn calls_are_held_against_the_policy() {
        let none: [&str; 0] = [];
        for (name, arguments, expected) in [
            ("read_file", json!({"path": "src/main.rs"}), &none[..]),
            ("refund", json!({"order": {"currency": "EUR"}}), &none),
            ("refund", json!({}), &none),
            (
                "read_secret",
                json!({"path": "src/main.rs"}),
                &["tool-policy/tool "],
            ),
            ("delete_file", json!({}), &["tool-policy/tool "]),
            (
                "read_file",
                json!({"path": "src/../etc/passwd"}),
                &["tool-policy/argument /path"],
            ),
            (
                "read_file",
                json!({"path": "src/main.rs\n"}),
                &["tool-policy/argument /path"],
            ),
            (
                "read_file",
                json!({"path": ["src/main.rs"]}),
                &["tool-policy/argument /path"],
            ),
            ("read_file", json!({}), &["tool-policy/argument /path"]),
            (
                "refund",
                json!({"order": {"currency": "eur"}}),
                &["tool-policy/argument /order/currency"],
            ),
        ] {
            assert_eq!(check(name, &arguments), expected, "{name} {arguments}");
        }
        assert!(
            ToolPolicy::default()
                .check(&[ToolCall {
                    name: "x",
                    arguments: &Value::Null
                }])
                .is_empty()
        );
    }

    #[test]
    fn bad_patterns_say_what_is_wrong() {
        for (pattern, message) in [
            ("a(", "unclosed group"),
            (
                "(?=a)",
                "look-around, including look-ahead and look-behind, is not supported",
            ),
            (
                "(?:a{1000}){1000}",
                "Compiled regex exceeds size limit of 262144 bytes.",
            ),
        ] {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(error.to_string().ends_with(message), "{error}");
            assert_eq!(error.kind(), "invalid_tool_pattern");
            assert!(!error.hint().is_empty());
        }
    }
}
