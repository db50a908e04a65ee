//! How code becomes a function: the body of inline code, and what kind of module a file is.

use crate::evals::script::Purpose;

/// The kinds of files that are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `module.exports = ...`
    CommonJs,
    /// `export default ...`
    Module,
    /// TypeScript and the like.
    Foreign,
}

/// Returns the body of the function that inline `code` stands for: several lines are a body already; one
/// line is an expression, in assertions with declarations before it.
pub(super) fn function_body(code: &str, purpose: Purpose) -> String {
    if purpose != Purpose::Assertion {
        return if code.contains('\n') {
            code.to_owned()
        } else {
            format!("return {code}")
        };
    }
    let code = code.trim_end();
    if code.contains('\n') {
        return code.to_owned();
    }
    let code = without_final_semicolons(code.trim());
    if !begins_with_declaration(code) {
        return format!("return {code}");
    }
    let split = last_statement_end(code).and_then(|end| code.split_at_checked(end));
    match split {
        Some((statements, expression)) if !expression.trim().is_empty() => {
            format!("{statements} return {}", expression.trim())
        }
        _ => code.to_owned(),
    }
}

/// Returns what kind of file it is: by its ending, else by whether a line imports or exports.
pub(super) fn file_kind(file: &str, code: &str) -> FileKind {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "ts" | "mts" | "cts" | "tsx" | "jsx" | "py" | "rb" => FileKind::Foreign,
        "mjs" => FileKind::Module,
        "cjs" => FileKind::CommonJs,
        _ if code.lines().any(is_module_line) => FileKind::Module,
        _ => FileKind::CommonJs,
    }
}

fn is_module_line(line: &str) -> bool {
    let line = line.trim_start();
    let after = |word: &str| line.strip_prefix(word).and_then(|rest| rest.chars().next());
    after("export").is_some_and(|next| next.is_whitespace() || next == '{' || next == '*')
        || after("import")
            .is_some_and(|next| next.is_whitespace() || matches!(next, '{' | '*' | '"' | '\''))
}

/// Cuts what promptfoo cuts: semicolons at the end, and white space after them.
fn without_final_semicolons(code: &str) -> &str {
    let trimmed = code.trim_end();
    let bare = trimmed.trim_end_matches(';');
    if bare.len() < trimmed.len() {
        bare
    } else {
        code
    }
}

fn begins_with_declaration(code: &str) -> bool {
    ["const", "let", "var"].iter().any(|word| {
        let rest = code.strip_prefix(word);
        rest.is_some_and(|rest| rest.starts_with(char::is_whitespace))
    })
}

/// Returns where the last statement that is followed by another ends: behind the last semicolon outside
/// of quotes.
fn last_statement_end(code: &str) -> Option<usize> {
    let (mut quote, mut is_escaped, mut end) = (None, false, None);
    for (place, c) in code.char_indices() {
        match c {
            _ if is_escaped => {}
            '\'' | '"' | '`' if quote == Some(c) => quote = None,
            '\'' | '"' | '`' if quote.is_none() => quote = Some(c),
            _ => {}
        }
        if c == ';' && quote.is_none() {
            end = Some(place + 1);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::{FileKind, Purpose, file_kind, function_body};

    #[test]
    fn bodies_are_made_as_promptfoo_makes_them() {
        for (code, expected) in [
            ("output === 'test'", "return output === 'test'"),
            ("output;;  ", "return output"),
            ("const s = output; s > 1", "const s = output; return s > 1"),
            (
                "const s = 'a;b'; s === \"a;b\"",
                "const s = 'a;b'; return s === \"a;b\"",
            ),
            ("let x = 1", "let x = 1"),
            ("constant > 1", "return constant > 1"),
            ("a\nreturn b", "a\nreturn b"),
            ("output > 1\n", "return output > 1"),
            (
                "const s = 'it\\'s; ok'; s",
                "const s = 'it\\'s; ok'; return s",
            ),
        ] {
            assert_eq!(function_body(code, Purpose::Assertion), expected, "{code}");
        }
        assert_eq!(function_body("a;", Purpose::Transform), "return a;");
        assert_eq!(function_body("a\n", Purpose::TransformVars), "a\n");
    }

    #[test]
    fn kinds_of_files_are_told_apart() {
        for (file, code, kind) in [
            ("a.js", "module.exports = 1", FileKind::CommonJs),
            ("a.js", "  export default 1", FileKind::Module),
            ("a.js", "export{a}", FileKind::Module),
            ("a.js", "import x from 'y'", FileKind::Module),
            ("a.js", "exports.a = 1; // export it", FileKind::CommonJs),
            ("a.js", "importance = 1", FileKind::CommonJs),
            ("a.cjs", "export default 1", FileKind::CommonJs),
            ("a.mjs", "", FileKind::Module),
            ("a.TS", "", FileKind::Foreign),
        ] {
            assert_eq!(file_kind(file, code), kind, "{file} {code}");
        }
    }
}
