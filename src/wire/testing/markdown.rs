//! Whether a comment keeps its structure, whatever is in it.

#![expect(
    clippy::string_slice,
    reason = "places of backticks, which are one byte"
)]

const TAGS: [&str; 7] = [
    "<details>",
    "</details>",
    "<summary>",
    "</summary>",
    "<code>",
    "</code>",
    "<br>",
];

/// Checks a comment: code closed, only our tags and as many ends as beginnings, whole rows, no mention.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut fence: Option<String> = None;
    let mut depth = 0_i32;
    let mut cells = None;
    for (index, line) in text.lines().enumerate() {
        let run: String = line.chars().take_while(|c| *c == '`').collect();
        if let Some(open) = &fence {
            if line.starts_with(open.as_str()) && line.trim_start_matches('`').is_empty() {
                fence = None;
            }
            continue;
        }
        if 3 <= run.len() && !line.trim_start_matches('`').contains('`') {
            fence = Some(run);
            continue;
        }
        if index == 0 && line.starts_with("<!-- promptgate-") && line.ends_with(" -->") {
            continue;
        }
        let bare = without_code(line);
        depth += tags(&bare)?;
        if bare.contains("@t") {
            return Err(format!("a mention: {line}"));
        }
        cells = row(line, cells)?;
    }
    match (fence, depth) {
        (None, 0) => Ok(()),
        other => Err(format!("left open: {other:?}")),
    }
}

/// Takes what stands in backticks out of a line, as Markdown pairs them.
fn without_code(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let run: String = after.chars().take_while(|c| *c == '`').collect();
        let inside = &after[run.len()..];
        // A backtick behind a backslash opens nothing.
        let slashes = before.len() - before.trim_end_matches('\\').len();
        if slashes % 2 == 1 && run.len() == 1 {
            rest = inside;
            continue;
        }
        let mut place = 0;
        let end = loop {
            let Some(next) = inside[place..].find('`') else {
                break None;
            };
            let at = place + next;
            let length = inside[at..].chars().take_while(|c| *c == '`').count();
            if length == run.len() {
                break Some(at);
            }
            place = at + length;
        };
        rest = end.map_or(inside, |end| &inside[end + run.len()..]);
    }
    out.push_str(rest);
    out
}

fn tags(line: &str) -> Result<i32, String> {
    let mut depth = 0;
    for piece in line.split('<').skip(1) {
        let tag = format!("<{}>", piece.split('>').next().unwrap_or_default());
        if !TAGS.contains(&tag.as_str()) {
            return Err(format!("{tag} is no tag of ours: {line}"));
        }
        depth += match tag.as_str() {
            "<details>" => 1,
            "</details>" => -1,
            _ => 0,
        };
    }
    Ok(depth)
}

/// Counts the cells of a row; all rows of a table have as many.
fn row(line: &str, before: Option<usize>) -> Result<Option<usize>, String> {
    if !line.starts_with("| ") {
        return Ok(None);
    }
    // A backslash right before a bar keeps it in its cell, whatever stands before that.
    let plain = line.replace("\\|", "");
    let cells = plain.matches('|').count();
    if before.is_some_and(|before| before != cells) {
        return Err(format!("{cells} cells, not {before:?}: {line}"));
    }
    Ok(Some(cells))
}
