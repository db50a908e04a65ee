//! What made each part of a rendered prompt: a line of a file, or a value.
//!
//! A recorder sits beside the evaluator and is told of everything that it pushes. The recorder of calls
//! does nothing, and is compiled away. Values are known by their addresses: a printed value is one inside
//! the variables, so where it lies says which variable it is, through every loop and partial.

use crate::prompts::bundle::{Rendered, RenderedMessage};
use crate::prompts::evaluate::Piece;
use crate::prompts::syntax::Expression;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Is told what the evaluator pushes. `piece` is how many pieces there are, the touched one last.
pub(super) trait Recorder {
    /// Whether anybody listens to values.
    const LISTENS: bool;

    /// Text of the template, which starts in `line`.
    fn text(&mut self, piece: usize, text: &str, line: usize);

    /// The `text` of a value; `value` is the one that was printed or written as JSON.
    fn value(
        &mut self,
        piece: usize,
        text: &str,
        expression: &Expression,
        value: Option<&Value>,
        line: usize,
    );

    /// A partial begins.
    fn enter(&mut self, name: &str);

    /// The partial ends.
    fn leave(&mut self);
}

/// Records nothing, at no cost.
#[derive(Debug)]
pub(super) struct NoRecorder;

impl Recorder for NoRecorder {
    const LISTENS: bool = false;

    fn text(&mut self, _: usize, _: &str, _: usize) {}

    fn value(&mut self, _: usize, _: &str, _: &Expression, _: Option<&Value>, _: usize) {}

    fn enter(&mut self, _: &str) {}

    fn leave(&mut self) {}
}

/// A part of a rendered text, and what made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The part. Put together, the spans of a text are the text.
    pub text: String,
    /// Where the template has it, or the tag that printed it.
    #[serde(flatten)]
    pub place: Place,
    /// What was printed; absent when the text stands in the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueSource>,
}

/// A line of a prompt's own file, or of a partial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The partial; absent for the prompt's own file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// The line, from 1.
    pub line: usize,
}

impl Place {
    /// Returns the path of the file, below the directory of the prompts; `path` is the prompt's own.
    #[must_use]
    pub fn file(&self, path: &str) -> String {
        match &self.partial {
            Some(name) => crate::prompts::includes::file_of(name),
            None => path.to_owned(),
        }
    }
}

/// A value that was printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueSource {
    /// The tag's words: `customer`, `this.name`, `json order`.
    pub expression: String,
    /// Which value it is, as a JSON pointer into the variables: `/order/id`. Absent for what is made
    /// while rendering (`@index`, a whole context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
}

impl ValueSource {
    /// Returns the variable that the value is or lies in.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let name = self.pointer.as_ref()?.split('/').nth(1)?;
        Some(name.replace("~1", "/").replace("~0", "~"))
    }
}

/// Who gave a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// The call.
    Call,
    /// The options of the call.
    Options,
    /// The default of the prompt's file.
    Default,
    /// The context, `@name`.
    Context,
}

/// A filled prompt, and what made each part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The prompt, filled.
    pub rendered: Rendered,
    /// For each message, for each of its parts, its spans; none for the client's messages. The spans of
    /// a medium make its URL.
    pub spans: Vec<Vec<Vec<Span>>>,
}

impl Traced {
    /// Gives each part its spans: what reaches the messages are the pieces that are not blank, in order.
    pub(super) fn new(rendered: Rendered, spans: Vec<Vec<Span>>) -> Self {
        let mut spans = spans.into_iter();
        let messages = rendered.messages.iter().map(|message| match message {
            RenderedMessage::Client(_) => Vec::new(),
            RenderedMessage::Prompt { content, .. } => spans.by_ref().take(content.len()).collect(),
        });
        Self {
            spans: messages.collect(),
            rendered,
        }
    }
}

/// A span whose value is still an address.
#[derive(Debug)]
struct Raw {
    text: String,
    place: Place,
    value: Option<(String, Option<usize>)>,
}

/// Records every span.
#[derive(Debug, Default)]
pub(super) struct SpanRecorder {
    /// By piece.
    pieces: Vec<Vec<Raw>>,
    /// The partials that are open.
    partials: Vec<String>,
}

impl Recorder for SpanRecorder {
    const LISTENS: bool = true;

    fn text(&mut self, piece: usize, text: &str, line: usize) {
        for (index, text) in text.split_inclusive('\n').enumerate() {
            self.push(piece, text, line + index, None);
        }
    }

    fn value(
        &mut self,
        piece: usize,
        text: &str,
        expression: &Expression,
        value: Option<&Value>,
        line: usize,
    ) {
        let source = (expression.written(), value.map(address));
        self.push(piece, text, line, Some(source));
    }

    fn enter(&mut self, name: &str) {
        self.partials.push(name.to_owned());
    }

    fn leave(&mut self) {
        self.partials.pop();
    }
}

/// Where a value lies. Only compared, never followed.
fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

impl SpanRecorder {
    fn push(
        &mut self,
        piece: usize,
        text: &str,
        line: usize,
        value: Option<(String, Option<usize>)>,
    ) {
        if text.is_empty() {
            return;
        }
        let place = Place {
            partial: self.partials.last().cloned(),
            line,
        };
        self.pieces
            .resize_with(self.pieces.len().max(piece), Vec::new);
        let Some(spans) = piece.checked_sub(1).and_then(|at| self.pieces.get_mut(at)) else {
            return;
        };
        match spans.last_mut() {
            Some(last) if last.value.is_none() && value.is_none() && last.place == place => {
                last.text.push_str(text);
            }
            _ => spans.push(Raw {
                text: text.to_owned(),
                place,
                value,
            }),
        }
    }

    /// Returns the spans of the pieces that reach messages. `values` are those of the call, its
    /// options, the file's defaults, and the context.
    pub(super) fn finish(
        self,
        pieces: &[Piece],
        values: [Option<&Map<String, Value>>; 4],
    ) -> Vec<Vec<Span>> {
        let known = addresses(values);
        let span = |raw: Raw| Span {
            text: raw.text,
            place: raw.place,
            value: raw.value.map(|(expression, address)| {
                let found = address.and_then(|address| known.get(&address));
                ValueSource {
                    expression,
                    pointer: found.map(|(_, pointer)| pointer.clone()),
                    given: found.map(|(given, _)| *given),
                }
            }),
        };
        let rest = std::iter::repeat_with(Vec::new);
        let recorded = self.pieces.into_iter().chain(rest).zip(pieces);
        let kept = recorded.filter(|(_, piece)| match piece {
            Piece::Text(text) => !text.trim().is_empty(),
            Piece::Media { .. } => true,
            Piece::Role(_) | Piece::History | Piece::Section(_) => false,
        });
        kept.map(|(spans, _)| spans.into_iter().map(span).collect())
            .collect()
    }
}

type Known = HashMap<usize, (Given, String)>;

fn addresses(values: [Option<&Map<String, Value>>; 4]) -> Known {
    let given = [Given::Call, Given::Options, Given::Default, Given::Context];
    let mut known = Known::new();
    for (given, values) in given.into_iter().zip(values) {
        for (name, value) in values.into_iter().flatten() {
            note(&mut known, given, format!("/{}", escaped(name)), value);
        }
    }
    known
}

fn note(known: &mut Known, given: Given, pointer: String, value: &Value) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                note(known, given, format!("{pointer}/{index}"), item);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                note(known, given, format!("{pointer}/{}", escaped(name)), field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    known.insert(address(value), (given, pointer));
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::{Given, Traced};
    use crate::prompts::bundle::tests::bundle;
    use crate::prompts::bundle::{RenderInput, RenderedMessage};
    use crate::prompts::messages::Part;
    use proptest::prelude::{Strategy, prop, proptest};
    use serde_json::{Value, json};

    fn trace(source: &str, variables: &Value) -> Traced {
        let variables = variables.as_object().unwrap();
        let input = RenderInput::new(variables);
        let bundle = bundle(source);
        let traced = bundle.trace(&input).unwrap();
        assert_eq!(traced.rendered, bundle.render(&input).unwrap());
        traced
    }

    /// The spans of each text are the text, byte for byte.
    fn check(traced: &Traced) {
        assert_eq!(traced.spans.len(), traced.rendered.messages.len());
        for (message, parts) in traced.rendered.messages.iter().zip(&traced.spans) {
            let RenderedMessage::Prompt { content, .. } = message else {
                assert!(parts.is_empty());
                continue;
            };
            assert_eq!(content.len(), parts.len());
            for (part, spans) in content.iter().zip(parts) {
                let joined: String = spans.iter().map(|span| span.text.as_str()).collect();
                match part {
                    Part::Text(text) => assert_eq!(joined, *text),
                    Part::Media { url, .. } => assert_eq!(joined, *url),
                }
            }
        }
    }

    /// `file:line text <- what`, a span a line.
    fn shown(traced: &Traced) -> Vec<String> {
        let spans = traced.spans.iter().flatten().flatten();
        let show = |span: &super::Span| {
            let place = format!("{}:{}", span.place.file("p.prompt"), span.place.line);
            let value = span.value.as_ref().map_or_else(String::new, |value| {
                let given = value.given.map(|given| format!(" {given:?}"));
                let pointer = value.pointer.clone().unwrap_or_default();
                let given = given.unwrap_or_default();
                format!(" <- {} {pointer}{given}", value.expression)
            });
            format!("{place} {:?}{value}", span.text)
        };
        spans.map(show).collect()
    }

    #[test]
    fn every_span_says_which_line_or_which_value_made_it() {
        let source = "---\ninput:\n  default: {tone: warm}\n---\n{{role \"system\"}}\nBe {{tone}}.\n\
            {{! a\ncomment}}\n{{#each items as |item|}}\n- {{item.name}} #{{@index}}\n{{/each}}\n\
            {{> echo value=who.name}}\n{{role \"user\"}}{{json who}} {{> pass inner=who.name}}{{media url=pic}}";
        let variables = json!({"items": [{"name": "a"}, {"name": "b"}], "pic": "http://x/y",
            "who": {"name": "Ada"}});
        let traced = trace(source, &variables);
        check(&traced);
        let wanted = [
            "p.prompt:5 \"\\n\"",
            "p.prompt:6 \"Be \"",
            "p.prompt:6 \"warm\" <- tone /tone Default",
            "p.prompt:6 \".\\n\"",
            "p.prompt:10 \"- \"",
            "p.prompt:10 \"a\" <- item.name /items/0/name Call",
            "p.prompt:10 \" #\"",
            "p.prompt:10 \"0\" <- @index ",
            "p.prompt:10 \"\\n- \"",
            "p.prompt:10 \"b\" <- item.name /items/1/name Call",
            "p.prompt:10 \" #\"",
            "p.prompt:10 \"1\" <- @index ",
            "p.prompt:10 \"\\n\"",
            "_echo.prompt:1 \"<\"",
            "_echo.prompt:1 \"Ada\" <- value /who/name Call",
            "_echo.prompt:1 \">\"",
            "p.prompt:13 \"{\\\"name\\\":\\\"Ada\\\"}\" <- json who /who Call",
            "p.prompt:13 \" \"",
            "_echo.prompt:1 \"<\"",
            "_echo.prompt:1 \"Ada\" <- value /who/name Call",
            "_echo.prompt:1 \">\"",
            "p.prompt:13 \"http://x/y\" <- pic /pic Call",
        ];
        let shown = shown(&traced);
        assert_eq!(shown, wanted, "{shown:#?}");
        let first = traced.spans[0][0][2].value.as_ref().unwrap();
        assert_eq!(first.variable().as_deref(), Some("tone"));
        assert_eq!(first.given, Some(Given::Default));
    }

    /// A line of a template; `§` is the number of the line, which the text then tells.
    fn line() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "text L§",
            "  indented L§",
            "",
            "   ",
            "L§ {{v}} and L§",
            "{{v}}",
            "{{#if v}}\nL§\n{{/if}}",
            "  {{#if w}}\n\nL§\n{{else}}\n  L§\n\n  {{/if}}",
            "L§{{~v~}}  L§",
            "{{#each l}}\n  L§ {{this}}\n{{/each}}",
            "{{#each l}}L§{{~/each}}",
            "{{! over\nlines }}",
            "L§ {{!-- over\nlines --}} L§",
            "{{role \"user\"}}",
            "{{role \"model\"}}L§",
            "{{> list items=l}}",
            "L§ {{> echo value=v}}L§",
            "L§ \\{{v}} L§",
            "{{media url=u}}",
        ])
    }

    proptest! {
        #[test]
        fn spans_put_together_are_the_text_and_know_their_lines(
            lines in prop::collection::vec(line(), 1..14),
            value in "[a-z<{} \n]{0,6}",
            has_front_matter in proptest::bool::ANY,
        ) {
            let mut source = String::new();
            if has_front_matter {
                source.push_str("---\nmodel: m\n---\n");
            }
            let text = lines.join("\n");
            let first = 1 + source.matches('\n').count();
            for (index, line) in text.split('\n').enumerate() {
                source.push_str(&line.replace('§', &format!("{}.", first + index)));
                source.push('\n');
            }
            let traced = trace(&source, &json!({"v": value, "l": ["x", "y\nz"], "w": 0, "u": "http://u"}));
            check(&traced);
            for span in traced.spans.iter().flatten().flatten() {
                if span.value.is_some() || span.place.partial.is_some() {
                    continue;
                }
                for told in span.text.split('L').skip(1) {
                    let told: String = told.chars().take_while(char::is_ascii_digit).collect();
                    assert_eq!(told, span.place.line.to_string(), "{source:?} {span:?}");
                }
            }
        }
    }
}
