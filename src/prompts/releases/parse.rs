//! Reads `releases.yaml` strictly: every slip is a problem with its line, all of them together.

use crate::domain::{PromptKey, Selector, Timestamp, nearest_names};
use crate::prompts::problem::Problem;
use crate::prompts::releases::rules::{
    Canary, Guard, Placed, Releases, Rule, Scope, Shadow, Share, Sticky, Until,
};
use crate::prompts::releases::tree::{Content, Field, Node};
use serde_json::Value;
use std::collections::BTreeMap;
use std::str::FromStr as _;

/// What stands before an id of `OpenAI`'s dashboard.
pub(super) const ALIAS_PREFIX: &str = "pmpt_";

/// Reads the file; all problems together.
pub(in crate::prompts) fn parse(text: &str) -> Result<Releases, Vec<Problem>> {
    let root = Node::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader::default();
    let releases = reader.releases(&root);
    if reader.problems.is_empty() {
        Ok(releases)
    } else {
        Err(reader.problems)
    }
}

/// Reads a point in time: a day, which begins at midnight UTC, or a time with its zone.
pub(in crate::prompts) fn point_in_time(text: &str) -> Option<Timestamp> {
    let at = match text.parse::<jiff::civil::Date>() {
        Ok(day) => day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
        Err(_) => text.parse::<jiff::Timestamp>().ok()?,
    };
    Some(Timestamp(at.as_microsecond()))
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn refuse(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(Problem::new(message).at(line));
    }

    /// The fields of a mapping, each of which must be one of `known` (when there are any).
    fn fields<'a>(&mut self, node: &'a Node, what: &str, known: &[&str]) -> &'a [Field] {
        match &node.content {
            Content::Map(fields) => {
                for field in fields {
                    self.check_name(field, what, known);
                }
                fields
            }
            Content::Scalar(Value::Null) => &[],
            Content::Scalar(_) | Content::List => {
                let found = node.type_name();
                self.refuse(node.line, format!("`{what}` is {found}, not a mapping"));
                &[]
            }
        }
    }

    fn check_name(&mut self, field: &Field, what: &str, known: &[&str]) {
        let name = field.name.as_str();
        if known.is_empty() || known.contains(&name) {
            return;
        }
        let near = nearest_names(name, known.iter().copied());
        let hint = near.first().map_or_else(
            || format!("the keys are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let problem = Problem::new(format!("`{what}` has no key `{name}`"));
        self.problems.push(problem.at(field.line).hint(hint));
    }

    fn releases(&mut self, root: &Node) -> Releases {
        let mut releases = Releases::default();
        let known = ["labels", "shadow", "aliases"];
        for field in self.fields(root, "releases.yaml", &known) {
            match field.name.as_str() {
                "labels" => {
                    for label in self.fields(&field.value, "labels", &[]) {
                        self.label(label, &mut releases);
                    }
                }
                "shadow" => {
                    for entry in self.fields(&field.value, "shadow", &[]) {
                        self.general_shadow(entry, &mut releases);
                    }
                }
                "aliases" => {
                    for alias in self.fields(&field.value, "aliases", &[]) {
                        self.alias(alias, &mut releases);
                    }
                }
                _ => {}
            }
        }
        releases
    }

    fn label(&mut self, field: &Field, releases: &mut Releases) {
        let name = &field.name;
        if !matches!(Selector::from_str(name), Ok(Selector::Label(_))) {
            let problem = Problem::new(format!("`{name}` cannot be a label"));
            let hint = "a label is a small letter and up to 35 small letters, digits, `.`, `_`, `-`, \
                        and looks like no `latest`, `vN`, `sha-HEX`, `git:REF` or `pr-N`";
            self.problems.push(problem.at(field.line).hint(hint));
        }
        let mut rules = BTreeMap::new();
        for entry in self.fields(&field.value, &format!("labels.{name}"), &[]) {
            let Some(scope) = self.scope(entry) else {
                continue;
            };
            if let Some(rule) = self.rule(&entry.value, &format!("labels.{name}.{scope}")) {
                let line = entry.line;
                rules.insert(scope, Placed { line, value: rule });
            }
        }
        releases.labels.insert(name.clone(), rules);
    }

    fn scope(&mut self, field: &Field) -> Option<Scope> {
        if field.name == "*" {
            return Some(Scope::All);
        }
        if let Ok(key) = PromptKey::parse(&field.name) {
            return Some(Scope::Prompt(key));
        }
        let problem = Problem::new(format!("`{}` is no name of a prompt", field.name));
        let hint = "write the prompt's name, or `\"*\"` for all that have no entry of their own";
        self.problems.push(problem.at(field.line).hint(hint));
        None
    }

    fn rule(&mut self, node: &Node, what: &str) -> Option<Rule> {
        let Content::Map(_) = &node.content else {
            return Some(Rule {
                stable: self.selector(node, what)?,
                canary: None,
                shadow: None,
            });
        };
        let (mut stable, mut canary, mut shadow) = (None, None, None);
        for field in self.fields(node, what, &["stable", "canary", "shadow"]) {
            let what = format!("{what}.{}", field.name);
            match field.name.as_str() {
                "stable" => stable = self.selector(&field.value, &what),
                "canary" => canary = self.canary(&field.value, &what),
                "shadow" => shadow = self.shadow(&field.value, &what),
                _ => {}
            }
        }
        if stable.is_none() && !self.has_problem_in(node) {
            let message = format!("`{what}` does not say which version is `stable`");
            self.refuse(node.line, message);
        }
        Some(Rule {
            stable: stable?,
            canary,
            shadow,
        })
    }

    /// Whether a key of the mapping is refused already, so that its lack needs no word.
    fn has_problem_in(&self, node: &Node) -> bool {
        let Content::Map(fields) = &node.content else {
            return false;
        };
        let is_at = |line: usize| self.problems.iter().any(|it| it.line == Some(line));
        fields.iter().any(|field| is_at(field.line))
    }

    /// A version; a whole number is one too.
    fn selector(&mut self, node: &Node, what: &str) -> Option<Selector> {
        let text = match &node.content {
            Content::Scalar(Value::String(text)) => text.clone(),
            Content::Scalar(Value::Number(number)) => number.to_string(),
            Content::Scalar(_) | Content::List | Content::Map(_) => {
                let found = node.type_name();
                self.refuse(node.line, format!("`{what}` is {found}, not a version"));
                return None;
            }
        };
        let hint = "write `latest`, `vN`, `sha-HEX` or `git:REF`";
        let problem = match Selector::from_str(&text) {
            Ok(
                selector @ (Selector::Latest
                | Selector::Number(_)
                | Selector::Hash(_)
                | Selector::GitRef(_)),
            ) => return Some(selector),
            Ok(Selector::Label(label)) => {
                format!("`{what}` is the label `{label}`; a label cannot mean another")
            }
            Ok(Selector::PullRequest(number)) => {
                format!("`{what}` is pull request {number}, which is not released")
            }
            Ok(Selector::Default) | Err(_) => format!("`{what}` is `{text}`, which is no version"),
        };
        let problem = Problem::new(problem).at(node.line).hint(hint);
        self.problems.push(problem);
        None
    }

    fn canary(&mut self, node: &Node, what: &str) -> Option<Canary> {
        let known = ["to", "percent", "sticky", "seed", "guard", "until"];
        let (mut to, mut share, mut sticky) = (None, None, Sticky::default());
        let (mut seed, mut guard, mut until) = (None, None, None);
        for field in self.fields(node, what, &known) {
            let (value, what) = (&field.value, format!("{what}.{}", field.name));
            match field.name.as_str() {
                "to" => to = self.selector(value, &what),
                "percent" => share = self.share(value, &what),
                "sticky" => sticky = self.sticky(value, &what),
                "seed" => seed = self.text(value, &what),
                "guard" => guard = Some(self.guard(value, &what)),
                "until" => until = self.until(value, &what),
                _ => {}
            }
        }
        self.require(node, what, &["to", "percent"]);
        Some(Canary {
            to: to?,
            share: share?,
            sticky,
            seed,
            guard,
            until,
        })
    }

    fn shadow(&mut self, node: &Node, what: &str) -> Option<Shadow> {
        let (mut to, mut share) = (None, None);
        for field in self.fields(node, what, &["to", "percent"]) {
            let (value, what) = (&field.value, format!("{what}.{}", field.name));
            match field.name.as_str() {
                "to" => to = self.selector(value, &what),
                "percent" => share = self.share(value, &what),
                _ => {}
            }
        }
        self.require(node, what, &["to", "percent"]);
        Some(Shadow {
            to: to?,
            share: share?,
        })
    }

    fn general_shadow(&mut self, field: &Field, releases: &mut Releases) {
        let Some(scope) = self.scope(field) else {
            return;
        };
        let what = format!("shadow.{scope}");
        if let Some(value) = self.shadow(&field.value, &what) {
            let line = field.line;
            releases.shadows.insert(scope, Placed { line, value });
        }
    }

    fn require(&mut self, node: &Node, what: &str, keys: &[&str]) {
        let Content::Map(fields) = &node.content else {
            if matches!(node.content, Content::Scalar(Value::Null)) {
                self.refuse(node.line, format!("`{what}` is empty"));
            }
            return;
        };
        for key in keys {
            if fields.iter().all(|field| field.name != *key) {
                self.refuse(node.line, format!("`{what}` has no `{key}`"));
            }
        }
    }

    fn number(&mut self, node: &Node, what: &str) -> Option<f64> {
        let number = match &node.content {
            Content::Scalar(Value::Number(number)) => number.as_f64(),
            Content::Scalar(_) | Content::List | Content::Map(_) => None,
        };
        if number.is_none() {
            let found = node.type_name();
            self.refuse(node.line, format!("`{what}` is {found}, not a number"));
        }
        number
    }

    fn share(&mut self, node: &Node, what: &str) -> Option<Share> {
        let percent = self.number(node, what)?;
        let share = Share::of_percent(percent);
        if share.is_none() {
            let problem = Problem::new(format!("`{what}` is {percent}"));
            let hint = "write 0 to 100, with at most two digits behind the point";
            self.problems.push(problem.at(node.line).hint(hint));
        }
        share
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.content {
            Content::Scalar(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Content::Scalar(Value::Number(number)) => Some(number.to_string()),
            Content::Scalar(_) | Content::List | Content::Map(_) => {
                let found = node.type_name();
                self.refuse(node.line, format!("`{what}` is {found}, not text"));
                None
            }
        }
    }

    fn sticky(&mut self, node: &Node, what: &str) -> Sticky {
        let text = self.text(node, what).unwrap_or_default();
        let known = Sticky::ALL.iter().find(|(name, _)| *name == text);
        if let Some((_, sticky)) = known {
            return *sticky;
        }
        if !text.is_empty() {
            let names = Sticky::ALL.map(|(name, _)| format!("`{name}`")).join(", ");
            let problem = Problem::new(format!("`{what}` is `{text}`")).at(node.line);
            self.problems
                .push(problem.hint(format!("write one of {names}")));
        }
        Sticky::default()
    }

    fn until(&mut self, node: &Node, what: &str) -> Option<Until> {
        let text = self.text(node, what)?;
        let at = point_in_time(&text);
        if at.is_none() {
            let problem = Problem::new(format!("`{what}` is `{text}`, which is no date"));
            let hint = "write `2026-12-15` (midnight UTC) or `2026-12-15T18:00:00Z`";
            self.problems.push(problem.at(node.line).hint(hint));
        }
        Some(Until { at: at?, text })
    }

    fn guard(&mut self, node: &Node, what: &str) -> Guard {
        let known = [
            "suite",
            "min_pass",
            "max_cost_ratio",
            "max_latency_ratio",
            "max_error_rate",
        ];
        let mut guard = Guard::default();
        for field in self.fields(node, what, &known) {
            let (value, what) = (&field.value, format!("{what}.{}", field.name));
            match field.name.as_str() {
                "suite" => guard.suite = self.text(value, &what),
                "min_pass" => guard.min_pass = self.within(value, &what, 1.0),
                "max_error_rate" => guard.max_error_rate = self.within(value, &what, 1.0),
                "max_cost_ratio" => guard.max_cost_ratio = self.within(value, &what, 1e6),
                "max_latency_ratio" => guard.max_latency_ratio = self.within(value, &what, 1e6),
                _ => {}
            }
        }
        guard
    }

    fn within(&mut self, node: &Node, what: &str, most: f64) -> Option<f64> {
        let number = self.number(node, what)?;
        if (0.0..=most).contains(&number) {
            return Some(number);
        }
        self.refuse(node.line, format!("`{what}` is not within 0 to {most}"));
        None
    }

    fn alias(&mut self, field: &Field, releases: &mut Releases) {
        let (id, line) = (&field.name, field.line);
        if !id.starts_with(ALIAS_PREFIX) || PromptKey::parse(id).is_err() || id.contains('/') {
            let problem = Problem::new(format!("`{id}` is no id of a dashboard"));
            let hint = format!("an alias is an id that begins with `{ALIAS_PREFIX}`");
            self.problems.push(problem.at(line).hint(hint));
            return;
        }
        let Some(text) = self.text(&field.value, &format!("aliases.{id}")) else {
            return;
        };
        match PromptKey::parse(&text) {
            Ok(value) => {
                let placed = Placed { line, value };
                releases.aliases.insert(id.clone(), placed);
            }
            Err(_) => {
                let problem = Problem::new(format!("`aliases.{id}` is `{text}`"));
                let hint = "an alias is the name of a prompt, without a version";
                self.problems.push(problem.at(line).hint(hint));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, point_in_time};
    use crate::domain::PromptKey;
    use crate::prompts::releases::rules::{Scope, Sticky};

    const FULL: &str = "labels:\n  staging: {\"*\": latest}\n  production:\n    \"*\": latest\n    support/refund: 7\n    \
        support/triage: {stable: v11, canary: {to: v12, percent: 10, sticky: session, guard: {suite: triage, \
        min_pass: 0.95, max_cost_ratio: 1.2}, until: 2026-12-15}, shadow: {to: sha-abcd, percent: 0.5}}\n\
        shadow:\n  sales/outreach: {to: git:main, percent: 5}\naliases:\n  pmpt_abc123: support/refund\n";

    #[test]
    fn everything_that_can_be_said_is_read() {
        let releases = parse(FULL).unwrap();
        let words = releases.in_words();
        assert_eq!(words["staging"]["*"], "latest");
        assert_eq!(words["production"]["support/refund"], "v7");
        assert_eq!(
            words["production"]["support/triage"],
            "v11, canary v12 10 % until 2026-12-15, shadow sha-abcd 0.5 %"
        );
        let key = |name| PromptKey::parse(name).unwrap();
        let rule = releases.rule("production", &key("support/triage")).unwrap();
        let canary = rule.value.canary.as_ref().unwrap();
        assert_eq!(canary.sticky, Sticky::Session);
        let guard = canary.guard.as_ref().unwrap();
        assert_eq!(
            (guard.suite.as_deref(), guard.min_pass),
            (Some("triage"), Some(0.95))
        );
        assert_eq!(canary.until.as_ref().unwrap().at.0, 1_797_292_800_000_000);
        assert_eq!(
            releases
                .rule("production", &key("other"))
                .unwrap()
                .value
                .to_string(),
            "latest"
        );
        assert_eq!(releases.rule("nothing", &key("other")), None);
        assert!(releases.shadow(&key("sales/outreach")).is_some());
        assert_eq!(releases.shadow(&key("other")), None);
        assert_eq!(releases.aliases["pmpt_abc123"].value, key("support/refund"));
        assert!(releases.has_numbers());
        assert_eq!(
            releases.labels["production"][&Scope::Prompt(key("support/refund"))].line,
            5
        );
        assert_eq!(parse("").unwrap(), super::Releases::default());
        assert!(!parse("labels: {a: {\"*\": latest}}").unwrap().has_numbers());
    }

    const SLIPS: [(&str, usize, &str, &str); 25] = [
        ("lables: {}", 1, "no key `lables`", "did you mean `labels`?"),
        (
            "x: {}",
            1,
            "no key `x`",
            "the keys are labels, shadow, aliases",
        ),
        ("labels: []", 1, "`labels` is a list", ""),
        (
            "labels:\n  UPPER: {}",
            2,
            "cannot be a label",
            "small letter",
        ),
        (
            "labels:\n  latest: {}",
            2,
            "cannot be a label",
            "looks like no",
        ),
        ("labels:\n  v7: {}", 2, "cannot be a label", ""),
        (
            "labels:\n  a:\n    b c: latest",
            3,
            "no name of a prompt",
            "`\"*\"`",
        ),
        (
            "labels:\n  a:\n    b: staging",
            3,
            "the label `staging`",
            "`vN`",
        ),
        ("labels:\n  a:\n    b: pr-7", 3, "pull request 7", ""),
        ("labels:\n  a:\n    b: v0", 3, "no version", ""),
        ("labels:\n  a:\n    b: true", 3, "a boolean", ""),
        (
            "labels:\n  a:\n    b:\n      canry: {}",
            4,
            "no key `canry`",
            "`canary`",
        ),
        (
            "labels:\n  a:\n    b:\n      canary: {to: v2, percent: 1}",
            4,
            "which version is `stable`",
            "",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, canary: {to: v2}}",
            3,
            "has no `percent`",
            "",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, canary: {to: v2, percent: 101}}",
            3,
            "is 101",
            "0 to 100",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, canary: {to: v2, percent: ten}}",
            3,
            "not a number",
            "",
        ),
        (
            "labels:\n  a:\n    b:\n      stable: v1\n      canary:\n        to: v2\n        percent: 1\n        sticky: usr",
            8,
            "`usr`",
            "`user`",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, canary: {to: v2, percent: 1, until: soon}}",
            3,
            "no date",
            "2026-12-15",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, canary: {to: v2, percent: 1, guard: {min_pas: 1}}}",
            3,
            "no key `min_pas`",
            "`min_pass`",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, canary: {to: v2, percent: 1, guard: {min_pass: 2}}}",
            3,
            "0 to 1",
            "",
        ),
        (
            "labels:\n  a:\n    b: {stable: v1, shadow: }",
            3,
            "is empty",
            "",
        ),
        ("shadow:\n  b: {percent: 1}", 2, "has no `to`", ""),
        ("aliases:\n  x: b", 2, "no id", "pmpt_"),
        ("aliases:\n  pmpt_x: b@v1", 2, "`b@v1`", "without a version"),
        ("aliases:\n  pmpt_x: b\n  pmpt_x: c", 3, "broken YAML", ""),
    ];

    #[test]
    fn every_slip_is_a_problem_with_its_line() {
        for (text, line, words, hint) in SLIPS {
            let problems = parse(text).unwrap_err();
            let found = &problems[0];
            assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
            assert!(found.message.contains(words), "{text}: {found:?}");
            assert_eq!(found.line, Some(line), "{text}: {found:?}");
            assert!(
                found.hint.clone().unwrap_or_default().contains(hint),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(point_in_time("1970-01-02").unwrap().0, 86_400_000_000);
        assert_eq!(point_in_time("1970-01-01T01:00:00+01:00").unwrap().0, 0);
        assert_eq!(point_in_time("tomorrow"), None);
    }
}
