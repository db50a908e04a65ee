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
            ("{{a b}} {{c}}", vec![text("{{a b}} "), print("c")]),
        ] {
            assert_eq!(translate(source, 1).unwrap(), wanted, "{source}");
        }
        assert_eq!(translate("a\n{{history}}", 3).unwrap_err().line, 4);
    }
}
