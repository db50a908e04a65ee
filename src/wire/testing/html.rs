//! Whether a page is whole: every tag closed, and nothing in it that loads or runs.

const VOID: [&str; 6] = ["meta", "path", "circle", "rect", "input", "use"];

/// Checks a whole page: tags in order, every attribute quoted, nothing that loads or runs.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut rest = text
        .strip_prefix("<!doctype html>")
        .ok_or("there is no doctype")?;
    let mut open: Vec<String> = Vec::new();
    let mut scripts = 0;
    while let Some((words, after)) = rest.split_once('<') {
        entities(words)?;
        let (tag, after) = after.split_once('>').ok_or("a tag has no end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last.as_deref() != Some(name) {
                return Err(format!("`{name}` ends inside {last:?}"));
            }
            continue;
        }
        let name = element(tag)?;
        if name == "script" || name == "style" {
            scripts += usize::from(name == "script");
            let (_, after) = rest
                .split_once(&format!("</{name}>"))
                .ok_or("a script has no end")?;
            rest = after;
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    entities(rest)?;
    if !open.is_empty() || scripts != 2 {
        return Err(format!(
            "{open:?} have no end, or there are {scripts} scripts"
        ));
    }
    Ok(())
}

fn entities(words: &str) -> Result<(), String> {
    if words.contains('>') {
        return Err(format!("{words:?} has a bare `>`"));
    }
    for piece in words.split('&').skip(1) {
        let name = piece.split_once(';').map(|(name, _)| name);
        if !matches!(name, Some("amp" | "lt" | "gt" | "quot" | "#39")) {
            return Err(format!("a bare `&` before {piece:?}"));
        }
    }
    Ok(())
}

fn element(tag: &str) -> Result<&str, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let name = name.trim_end_matches('/');
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("<{tag}> is no tag of ours"));
    }
    while !rest.trim_matches([' ', '/']).is_empty() {
        rest = rest.trim_start();
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (attribute, after) = rest.split_at(end);
        // What leads to a place in the page asks nobody.
        let is_inside = attribute == "href" && after.starts_with("=\"#");
        if attribute.starts_with("on")
            || (["src", "href", "style", "srcset", "action"].contains(&attribute) && !is_inside)
        {
            return Err(format!("`{attribute}` in <{tag}>"));
        }
        rest = after;
        if let Some(value) = after.strip_prefix('=') {
            let value = value
                .strip_prefix('"')
                .ok_or_else(|| format!("{attribute} is not quoted in <{tag}>"))?;
            let (value, after) = value.split_once('"').ok_or("an attribute has no end")?;
            entities(value)?;
            rest = after;
        }
    }
    Ok(name)
}
