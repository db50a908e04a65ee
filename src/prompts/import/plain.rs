//! Templates that know variables and nothing else: `{{name}}`.

use crate::prompts::compile::{BLOCKS, HELPERS};
use crate::prompts::import::jinja::is_name;
use crate::prompts::import::jinja_tokens::Untranslatable;
use crate::prompts::import::template::Node;

/// Translates `text`, whose first line is `first_line` of its file. Braces around anything but a name
/// are text, as they are for those who fill such templates.
pub(super) fn translate(text: &str, first_line: usize) -> Result<Vec<Node>, Untranslatable> {
    let mut nodes = Vec::new();
    let mut plain = String::new();
    let (mut rest, mut line) = (text, first_line);
    while let Some((before, after)) = rest.split_once("{{") {
        line += before.matches('\n').count();
        plain.push_str(before);
        let tag = after.split_once("}}");
        let name = tag
            .map(|(inside, _)| inside.trim())
            .filter(|name| is_name(name));
        if let Some((inside, _)) = tag.filter(|(inside, _)| name.is_none() && may_be_name(inside)) {
            let message = format!("`{{{{{}}}}}` may be a variable or text", inside.trim());
            return Err(Untranslatable::new(line, message)
                .hint("name variables with letters, digits and `_`"));
        }
        let (Some(name), Some((_, behind))) = (name, tag) else {
            plain.push_str("{{");
            rest = after;
            continue;
        };
        if HELPERS.contains(&name) || BLOCKS.contains(&name) || matches!(name, "else" | "this") {
            let message = format!("`{name}` is the name of a helper of Dotprompt");
            return Err(Untranslatable::new(line, message));
        }
        if !plain.is_empty() {
            nodes.push(Node::Text(std::mem::take(&mut plain)));
        }
        nodes.push(Node::Print(name.to_owned()));
        rest = behind;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        nodes.push(Node::Text(plain));
    }
    Ok(nodes)
}

/// Whether some would take it for the name of a variable: words, and what joins them.
fn may_be_name(inside: &str) -> bool {
    let inside = inside.trim();
    let is_part = |c: char| c.is_alphanumeric() || " _-.".contains(c);
    inside.starts_with(char::is_alphabetic) && inside.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::translate;
    use crate::prompts::import::template::Node;

    #[test]
    fn only_names_are_variables() {
        let text = |text: &str| Node::Text(text.to_owned());
        let print = |name: &str| Node::Print(name.to_owned());
        for (source, wanted) in [
            ("a {{ b }} c", vec![text("a "), print("b"), text(" c")]),
            ("{{a}}{{b}}", vec![print("a"), print("b")]),
            ("{{#if a}} {{", vec![text("{{#if a}} {{")]),
            (
                "{{\"a\": 1}} {{c}}",
                vec![text("{{\"a\": 1}} "), print("c")],
            ),
        ] {
            assert_eq!(translate(source, 1).unwrap(), wanted, "{source}");
        }
        for refused in ["a\n{{history}}", "a\n{{ first name }}", "\n{{a-b}}"] {
            assert_eq!(translate(refused, 3).unwrap_err().line, 4);
        }
    }
}
