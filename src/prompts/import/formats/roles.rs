//! Texts in which lines open messages: `system:` on a line of its own, or `System: text`.

use crate::prompts::syntax::Role;

/// A message's text, and the line of its file that it starts at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) line: usize,
    /// What stands in brackets behind the role.
    pub(super) attributes: Option<String>,
}

/// Splits at lines that hold a role and a colon and nothing else, as Prompty does. What stands before
/// the first is the system's. Line breaks around a text are left out.
pub(super) fn by_lines(text: &str, first_line: usize) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut open = Section {
        role: Role::System,
        text: String::new(),
        line: first_line,
        attributes: None,
    };
    let mut is_implicit = true;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match marker(line) {
            None => open.text.push_str(line),
            Some((role, attributes)) => {
                let next = Section {
                    role,
                    text: String::new(),
                    line: first_line + index + 1,
                    attributes,
                };
                let before = std::mem::replace(&mut open, next);
                if !(is_implicit && before.text.trim().is_empty()) {
                    sections.push(before);
                }
                is_implicit = false;
            }
        }
    }
    sections.push(open);
    for section in &mut sections {
        let trimmed = section.text.trim_start_matches(['\n', '\r']);
        section.line += section.text.len() - trimmed.len();
        section.text = trimmed.trim_end_matches(['\n', '\r']).to_owned();
    }
    sections
}

/// Reads `system:`, `# user:` and `user[name="x"]:`.
fn marker(line: &str) -> Option<(Role, Option<String>)> {
    let line = line.trim().trim_start_matches('#').trim_start();
    let words = line.strip_suffix(':')?.trim_end();
    let (name, attributes) = match words.split_once('[') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(']')?.to_owned())),
        None => (words, None),
    };
    let name = name.to_ascii_lowercase();
    let is_role = matches!(name.as_str(), "system" | "user" | "assistant" | "developer");
    let role = Role::parse(&name).filter(|_| is_role)?;
    Some((role, attributes))
}

/// Splits at lines that begin with `System:`, `User:` or `Assistant:`, as `LiteLLM` does, which takes
/// the white space around every line away. A text without such a line is the user's.
pub(super) fn by_prefixes(text: &str, first_line: usize) -> Vec<Section> {
    let prefixes = [
        ("System:", Role::System),
        ("User:", Role::User),
        ("Assistant:", Role::Model),
        ("Developer:", Role::System),
    ];
    let mut sections: Vec<Section> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let opened = prefixes
            .iter()
            .find_map(|(prefix, role)| Some((line.strip_prefix(prefix)?, *role)));
        match (opened, sections.last_mut()) {
            (Some((rest, role)), _) => sections.push(Section {
                role,
                text: rest.trim().to_owned(),
                line: first_line + index,
                attributes: None,
            }),
            (None, Some(section)) => {
                section.text.push('\n');
                section.text.push_str(line);
            }
            (None, None) => sections.push(Section {
                role: Role::User,
                text: line.to_owned(),
                line: first_line + index,
                attributes: None,
            }),
        }
    }
    for section in &mut sections {
        section.text = section.text.trim().to_owned();
    }
    sections.retain(|section| !section.text.is_empty());
    sections
}
