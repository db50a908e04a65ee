//! From template text to a [`Program`]: the `handlebars` crate parses, this file checks and keeps
//! only what Dotprompt has.

use crate::domain::nearest_names;
use crate::prompts::lint::Rule;
use crate::prompts::problem::Problem;
use crate::prompts::segments::{self, COMMENT};
use crate::prompts::syntax::{Branch, Expression, Inclusion, Loop, Node, Path, Program, Role};
use handlebars::template::{
    BlockParam, DecoratorTemplate, HelperTemplate, Parameter, Subexpression, Template,
    TemplateElement, TemplateMapping,
};
use handlebars::{Handlebars, Path as ParsedPath};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) const BLOCKS: [&str; 6] = ["if", "unless", "each", "with", "ifEquals", "unlessEquals"];
pub(super) const HELPERS: [&str; 6] = ["role", "history", "media", "section", "json", "lookup"];

/// The widest indentation that `{{json indent=N}}` may ask for.
const MAX_INDENT: u64 = 16;

/// Compiles `text`, whose first line is line `first_line` of its file.
pub(super) fn compile(text: &str, first_line: usize) -> Result<Program, Vec<Problem>> {
    let segments = segments::cut(text, first_line)
        .map_err(|problem| vec![problem.rule(Rule::NotDotprompt)])?;
    let mut program = Program::default();
    let mut problems = Vec::new();
    let mut parser = parser();
    for segment in segments {
        if segment.tags == 0 {
            let (text, line) = (segment.text.to_owned(), segment.line);
            append(&mut program, Node::Text { text, line });
            continue;
        }
        match compile_segment(&mut parser, &segment.without_comments(), segment.line) {
            Ok(compiled) => {
                for node in compiled.nodes {
                    append(&mut program, node);
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(program)
    } else {
        Err(problems)
    }
}

/// Texts that stand side by side are one, unless lines lie between them (of a comment): the lines of a
/// text are counted from its first.
fn append(program: &mut Program, node: Node) {
    match (program.nodes.last_mut(), node) {
        (Some(Node::Text { text: last, line }), Node::Text { text, line: next })
            if *line + last.matches('\n').count() == next =>
        {
            last.push_str(&text);
        }
        (_, node) => program.nodes.push(node),
    }
}

fn parser() -> Handlebars<'static> {
    let mut parser = Handlebars::new();
    parser.set_prevent_indent(true);
    parser
}

fn compile_segment(
    parser: &mut Handlebars<'static>,
    text: &str,
    first_line: usize,
) -> Result<Program, Vec<Problem>> {
    let template = parse(parser, text, first_line).map_err(|problem| vec![problem])?;
    let mut compiler = Compiler {
        source: text,
        first_line,
        problems: Vec::new(),
    };
    let program = compiler.program(&template, first_line);
    if compiler.problems.is_empty() {
        Ok(program)
    } else {
        Err(compiler.problems)
    }
}

fn parse(
    parser: &mut Handlebars<'static>,
    text: &str,
    first_line: usize,
) -> Result<Template, Problem> {
    // The parser has panicked on odd input in past versions; a bad file must not end the process.
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        parser.register_template_string("prompt", text)?;
        Ok(parser.get_template("prompt").cloned())
    }));
    match parsed {
        Ok(Ok(Some(template))) => Ok(template),
        Ok(Err(error)) => Err(syntax_problem(&error, first_line)),
        Ok(Ok(None)) | Err(_) => Err(Problem::new("the template cannot be parsed")
            .rule(Rule::NotDotprompt)
            .at(first_line)),
    }
}

fn syntax_problem(error: &handlebars::TemplateError, first_line: usize) -> Problem {
    let reason = error.reason().to_string();
    let line = error.pos().map_or(1, |(line, _)| line) - 1 + first_line;
    let problem = Problem::new(format!("broken template: {}", reason.trim()))
        .rule(Rule::NotDotprompt)
        .at(line);
    if reason.contains("expected") {
        problem.hint(
            "check that every `{{#block}}` is closed and every `}}` is there; write `{{this}}` for \
             `{{.}}`, and use `{{#if}}` or `{{#each}}` in place of `{{#name}}` and `{{^name}}`",
        )
    } else {
        problem
    }
}

struct Compiler<'a> {
    /// What was parsed.
    source: &'a str,
    first_line: usize,
    problems: Vec<Problem>,
}

/// Returns what stands in `source` from a place on, which counts lines and characters from 1.
fn rest_of(source: &str, line: usize, column: usize) -> Option<&str> {
    let mut rest = source;
    for _ in 1..line {
        rest = rest.split_once('\n')?.1;
    }
    let (start, _) = rest.char_indices().nth(column.checked_sub(1)?)?;
    rest.get(start..)
}

/// What a refused construct becomes; the program is thrown away once there are problems.
const fn nothing() -> Expression {
    Expression::Literal(Value::Null)
}

impl Compiler<'_> {
    fn program(&mut self, template: &Template, line: usize) -> Program {
        let mut nodes = Vec::with_capacity(template.elements.len());
        for (index, element) in template.elements.iter().enumerate() {
            let line = template
                .mapping
                .get(index)
                .map_or(line, |place| place.0 - 1 + self.first_line);
            match element {
                TemplateElement::RawString(text) if text.is_empty() => {}
                TemplateElement::RawString(text) => nodes.push(Node::Text {
                    line: self.line_of_text(text, template.mapping.get(index), line),
                    text: text.clone(),
                }),
                TemplateElement::Comment(_) => {}
                TemplateElement::Expression(helper) | TemplateElement::HtmlExpression(helper) => {
                    nodes.extend(self.expression(helper, line));
                }
                TemplateElement::HelperBlock(helper) => nodes.extend(self.block(helper, line)),
                TemplateElement::PartialExpression(partial) => {
                    nodes.extend(self.partial(partial, line));
                }
                TemplateElement::PartialBlock(_) => {
                    self.refuse(
                        line,
                        "block partials `{{#> name}}` are not part of Dotprompt",
                    );
                }
                TemplateElement::DecoratorExpression(decorator)
                    if parameter_text(&decorator.name) == Some(COMMENT) => {}
                TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                    self.refuse(line, "decorators `{{* name}}` are not part of Dotprompt");
                }
                _ => self.refuse(line, "the construct is not part of Dotprompt"),
            }
        }
        Program { nodes }
    }

    /// Returns the line in which `text` starts. The parser says where its first character that is no
    /// space is, or, when there is none, where the next tag begins (at the end: the last one ends).
    fn line_of_text(&self, text: &str, place: Option<&TemplateMapping>, line: usize) -> usize {
        let blank = text.len() - text.trim_start().len();
        let lines_before = text
            .get(..blank)
            .map_or(0, |blank| blank.matches('\n').count());
        let rest = place.and_then(|place| rest_of(self.source, place.0, place.1));
        let is_start = rest.is_some_and(|rest| {
            rest == text || (blank < text.len() && rest.starts_with(char::is_whitespace))
        });
        if is_start {
            return line;
        }
        line.saturating_sub(lines_before).max(1)
    }

    fn refuse(&mut self, line: usize, message: impl Into<String>) {
        let problem = Problem::new(message).rule(Rule::NotDotprompt).at(line);
        self.problems.push(problem);
    }

    fn refuse_helper(&mut self, line: usize, name: &str, known: &[&str]) {
        let problem = Problem::new(format!("`{name}` is no helper of Dotprompt"))
            .rule(Rule::NotDotprompt)
            .at(line);
        let near = nearest_names(name, known.iter().copied());
        self.problems.push(match (name, near.first()) {
            ("eq", _) => problem.hint("compare with `{{#ifEquals a b}}`"),
            ("ne", _) => problem.hint("compare with `{{#unlessEquals a b}}`"),
            (_, Some(near)) => problem.hint(format!("did you mean `{near}`?")),
            (_, None) => problem.hint(format!("the helpers are {}", known.join(", "))),
        });
    }

    fn expression(&mut self, helper: &HelperTemplate, line: usize) -> Option<Node> {
        let is_name_only = helper.params.is_empty() && helper.hash.is_empty();
        let Some(name) = parameter_text(&helper.name) else {
            let value = self.value(&helper.name, line);
            return Some(Node::Print { value, line });
        };
        let path = Path::parse(name);
        let is_helper = path
            .as_name()
            .is_some_and(|name| HELPERS.contains(&name) || BLOCKS.contains(&name));
        if is_name_only && !is_helper {
            let value = self.path(path, line);
            return Some(Node::Print { value, line });
        }
        match (name, helper.params.as_slice()) {
            ("history", []) if is_name_only => Some(Node::History),
            ("role", [Parameter::Literal(Value::String(role))]) => match Role::parse(role) {
                Some(role) => Some(Node::Role(role)),
                None => {
                    let message = format!("`{role}` is no role; roles are {}", Role::NAMES);
                    self.problems
                        .push(Problem::new(message).rule(Rule::BadRole).at(line));
                    None
                }
            },
            ("role", _) => {
                self.refuse(
                    line,
                    "`{{role}}` needs one quoted name, so that no value can choose it",
                );
                None
            }
            ("section", [name]) => Some(Node::Section(self.value(name, line))),
            ("media", []) => self.media(helper, line),
            ("json" | "lookup", _) => {
                let value = self.helper_value(name, helper, line);
                Some(Node::Print { value, line })
            }
            ("history" | "section" | "media", _) => {
                self.refuse(line, format!("`{{{{{name}}}}}` has the wrong arguments"));
                None
            }
            _ => {
                self.refuse_helper(line, name, &HELPERS);
                None
            }
        }
    }

    fn media(&mut self, helper: &HelperTemplate, line: usize) -> Option<Node> {
        for key in helper.hash.keys() {
            if key != "url" && key != "contentType" {
                self.refuse(line, format!("`{{{{media}}}}` has no argument `{key}`"));
            }
        }
        let Some(url) = helper.hash.get("url") else {
            self.refuse(line, "`{{media}}` needs `url=`");
            return None;
        };
        Some(Node::Media {
            url: self.value(url, line),
            content_type: helper
                .hash
                .get("contentType")
                .map(|kind| self.value(kind, line)),
            line,
        })
    }

    /// Compiles `json` or `lookup`, printed or as an argument.
    fn helper_value(&mut self, name: &str, helper: &HelperTemplate, line: usize) -> Expression {
        match (name, helper.params.as_slice()) {
            ("json", [value]) => Expression::Json {
                value: Box::new(self.value(value, line)),
                indent: self.indent(helper, line),
            },
            ("lookup", [collection, key]) => Expression::Lookup(Box::new((
                self.value(collection, line),
                self.value(key, line),
            ))),
            ("json" | "lookup", _) => {
                self.refuse(line, format!("`{name}` has the wrong number of arguments"));
                nothing()
            }
            _ => {
                self.refuse_helper(line, name, &["json", "lookup"]);
                nothing()
            }
        }
    }

    fn indent(&mut self, helper: &HelperTemplate, line: usize) -> usize {
        match helper.hash.get("indent") {
            None => 0,
            Some(Parameter::Literal(value)) => {
                let width = value.as_u64().filter(|width| *width <= MAX_INDENT);
                if width.is_none() {
                    self.refuse(line, format!("`indent` is a number from 0 to {MAX_INDENT}"));
                }
                width
                    .and_then(|width| usize::try_from(width).ok())
                    .unwrap_or(0)
            }
            Some(_) => {
                self.refuse(line, "`indent` must be a number, not a variable");
                0
            }
        }
    }

    fn block(&mut self, helper: &HelperTemplate, line: usize) -> Option<Node> {
        let name = parameter_text(&helper.name).unwrap_or_default();
        if !BLOCKS.contains(&name) {
            self.refuse_helper(line, name, &BLOCKS);
            return None;
        }
        let body = helper
            .template
            .as_ref()
            .map(|body| self.program(body, line))
            .unwrap_or_default();
        let inverse = helper
            .inverse
            .as_ref()
            .map(|other| self.program(other, line))
            .unwrap_or_default();
        let wanted = if name.ends_with("Equals") { 2 } else { 1 };
        let mut values = Vec::with_capacity(2);
        for parameter in &helper.params {
            values.push(self.value(parameter, line));
        }
        if values.len() != wanted {
            self.refuse(
                line,
                format!("`{{{{#{name}}}}}` takes {wanted} argument(s)"),
            );
            return None;
        }
        let other = if wanted == 2 { values.pop() } else { None };
        let test = values.pop()?;
        if matches!(name, "each" | "with") {
            let block = Box::new(Loop {
                value: test,
                names: self.names(helper),
                body,
                inverse,
            });
            return Some(if name == "each" {
                Node::Each(block)
            } else {
                Node::With(block)
            });
        }
        let branch = Box::new(Branch {
            test,
            include_zero: matches!(
                helper.hash.get("includeZero"),
                Some(Parameter::Literal(Value::Bool(true)))
            ),
            negated: name.starts_with("unless"),
            body,
            inverse,
        });
        Some(match other {
            Some(other) => Node::Equals { branch, other },
            None => Node::If(branch),
        })
    }

    fn names(&mut self, helper: &HelperTemplate) -> Vec<String> {
        let text = |parameter: &Parameter| parameter_text(parameter).unwrap_or_default().to_owned();
        match &helper.block_param {
            None => Vec::new(),
            Some(BlockParam::Single(name)) => vec![text(name)],
            Some(BlockParam::Pair((first, second))) => vec![text(first), text(second)],
            Some(_) => {
                self.refuse(self.first_line, "a block takes at most two names");
                Vec::new()
            }
        }
    }

    fn partial(&mut self, partial: &DecoratorTemplate, line: usize) -> Option<Node> {
        let name = match &partial.name {
            Parameter::Name(name) => name.as_str(),
            Parameter::Path(_) | Parameter::Literal(_) | Parameter::Subexpression(_) => "",
            _ => "",
        };
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .or_else(|| {
                name.strip_prefix('\'')
                    .and_then(|name| name.strip_suffix('\''))
            })
            .unwrap_or(name);
        if name.is_empty() || name.starts_with('@') {
            self.problems.push(
                Problem::new("the partial's name is computed; dynamic partials are not allowed")
                    .rule(Rule::NotDotprompt)
                    .at(line)
                    .hint("name the partial, or choose between two with `{{#if}}`"),
            );
            return None;
        }
        if 1 < partial.params.len() {
            self.refuse(line, format!("partial `{name}` takes at most one context"));
            return None;
        }
        let context = partial
            .params
            .first()
            .map(|context| self.value(context, line));
        let mut arguments: Vec<(String, Expression)> = Vec::with_capacity(partial.hash.len());
        for (key, value) in &partial.hash {
            arguments.push((key.clone(), self.value(value, line)));
        }
        arguments.sort_by(|a, b| a.0.cmp(&b.0));
        Some(Node::Partial(Box::new(Inclusion {
            name: name.to_owned(),
            context,
            arguments,
            line,
        })))
    }

    fn value(&mut self, parameter: &Parameter, line: usize) -> Expression {
        match parameter {
            Parameter::Literal(value) => Expression::Literal(value.clone()),
            Parameter::Subexpression(inner) => self.subexpression(inner, line),
            Parameter::Name(_) | Parameter::Path(_) => {
                let text = parameter_text(parameter).unwrap_or_default();
                self.path(Path::parse(text), line)
            }
            _ => {
                self.refuse(line, "the argument is not part of Dotprompt");
                nothing()
            }
        }
    }

    fn subexpression(&mut self, inner: &Subexpression, line: usize) -> Expression {
        match inner.as_element() {
            TemplateElement::Expression(helper)
                if helper.params.is_empty() && helper.hash.is_empty() =>
            {
                self.value(&helper.name, line)
            }
            TemplateElement::Expression(helper) => {
                let name = parameter_text(&helper.name).unwrap_or_default();
                self.helper_value(name, helper, line)
            }
            _ => {
                self.refuse(line, "the argument is not part of Dotprompt");
                nothing()
            }
        }
    }

    fn path(&mut self, path: Path, line: usize) -> Expression {
        if path.text.starts_with("@partial-block") {
            self.refuse(line, "`@partial-block` is not part of Dotprompt");
        }
        Expression::Path(path)
    }
}

/// Returns the text of a name or a path.
fn parameter_text(parameter: &Parameter) -> Option<&str> {
    match parameter {
        Parameter::Name(name) => Some(name),
        Parameter::Path(ParsedPath::Relative((_, text)) | ParsedPath::Local((_, _, text))) => {
            Some(text)
        }
        Parameter::Literal(_) | Parameter::Subexpression(_) => None,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{compile, compile_segment, parser};
    use crate::prompts::problem::Problem;
    use crate::prompts::segments::{self, Segment};
    use crate::prompts::syntax::{Node, Program};
    use proptest::prelude::{Strategy as _, prop, proptest};

    #[test]
    fn what_is_not_dotprompt_is_refused_with_its_line() {
        for (text, words) in [
            ("a\n{{eq a b}}", "`eq` is no helper"),
            ("a\n{{len a}}", "`len` is no helper"),
            ("a\n{{#if (eq a b)}}x{{/if}}", "`eq` is no helper"),
            (
                "a\n{{#if (role \"system\")}}x{{/if}}",
                "`role` is no helper",
            ),
            ("a\n{{#name}}x{{/name}}", "`name` is no helper"),
            ("a\n{{> (lookup this 'w')}}", "dynamic partials"),
            ("a\n{{> @partial-block}}", "dynamic partials"),
            ("a\n{{#> p}}x{{/p}}", "block partials"),
            ("a\n{{#*inline \"x\"}}y{{/inline}}", "decorators"),
            ("a\n{{{{raw}}}}x{{{{/raw}}}}", "raw blocks"),
            ("a\n{{role \"boss\"}}", "`boss` is no role"),
            ("a\n{{role who}}", "quoted name"),
            ("a\n{{role}}", "quoted name"),
            ("a\n{{media contentType=x}}", "needs `url=`"),
            ("a\n{{json}}", "wrong number"),
            ("a\n{{json a indent=b}}", "not a variable"),
            ("a\n{{log \"x\"}}", "`log` is no helper"),
            ("a\n{{#each}}x{{/each}}", "takes 1 argument"),
            ("a\n{{#if a}}x", "broken template"),
            ("a\n{{#if a}}x{{/each}}", "broken template"),
        ] {
            let problems = compile(text, 10).unwrap_err();
            let problem = problems.first().unwrap();
            assert!(problem.message.contains(words), "{text:?}: {problem:?}");
            assert_eq!(problem.line, Some(11), "{text:?}");
        }
    }

    #[test]
    fn all_problems_of_a_template_are_reported() {
        let problems = compile("{{eq a b}}\n{{ne a b}}\n{{#x}}{{/x}}", 1).unwrap_err();
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| problem.line.unwrap())
            .collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    #[test]
    fn nesting_cannot_overflow_the_stack() {
        for text in [
            "{{#if a}}".repeat(50_000),
            format!("{}{}", "{{#if a}}".repeat(200), "{{/if}}".repeat(200)),
            format!("{{{{json {}", "(json ".repeat(50_000)),
            format!("{{{{json {}", "[".repeat(50_000)),
        ] {
            assert!(compile(&text, 1).is_err());
        }
    }

    /// Text that is long enough to be cut in.
    const LONG: &str =
        "some words that go on and on and on and on, and then some more of them, and an end";

    /// Compiles a template without cutting it.
    fn whole(text: &str) -> Result<Program, Vec<Problem>> {
        segments::cut(text, 3).map_err(|problem| vec![problem])?;
        let segment = Segment {
            text,
            line: 3,
            tags: 1,
        };
        compile_segment(&mut parser(), &segment.without_comments(), segment.line)
    }

    #[test]
    fn trimming_ends_at_comments() {
        for (text, wanted) in [
            ("{{x~}} a{{! c}} b", "a b"),
            ("{{x~}} a{{!-- c --}} {{! d}} b", "a  b"),
            ("{{x~}} a\n  {{!-- c\nc --}}  \n b", "a\n b"),
            ("{{x~}} {{! c}} b", " b"),
        ] {
            let shown = show(&compile(text, 1).unwrap());
            assert_eq!(shown[1..].concat(), wanted, "{text}");
        }
        let problems = compile("{{! c\n\n}}\n{{eq a b}}", 1).unwrap_err();
        assert_eq!(problems[0].line, Some(4));
    }

    /// Shows a program with texts that stand side by side joined.
    fn show(program: &Program) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        let mut is_after_text = false;
        for node in &program.nodes {
            match (node, shown.last_mut()) {
                (Node::Text { text, .. }, Some(last)) if is_after_text => last.push_str(text),
                (Node::Text { text, .. }, _) => shown.push(text.clone()),
                _ => shown.push(format!("{node:?}")),
            }
            is_after_text = matches!(node, Node::Text { .. });
        }
        shown
    }

    proptest! {
        #[test]
        fn pieces_mean_what_the_whole_means(
            parts in prop::collection::vec(prop::sample::select(vec![
                "a", "b c", LONG, LONG, "\n", "\n\n", " ", "  ", "\\", "}", "{{x}}", "{{~x}}", "{{x~}}", "{{> p}}",
                "{{#if y}}", "{{else}}", "{{/if}}", "{{!-- no\nno --}}", "{{! no}}", "\\{{z}}",
                "{{role \"user\"}}",
            ]), 0..24).prop_map(|parts| parts.concat())
        ) {
            let (pieces, whole) = (compile(&parts, 3), whole(&parts));
            assert_eq!(pieces.is_ok(), whole.is_ok(), "{parts:?}");
            if let (Ok(pieces), Ok(whole)) = (pieces, whole) {
                assert_eq!(show(&pieces), show(&whole), "{parts:?}");
            }
        }
    }
}
