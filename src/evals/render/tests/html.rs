//! Whether a page is whole, asks nobody for anything, and runs nothing but its own script.

use super::super::{fixtures, page};

const VOID: [&str; 5] = ["meta", "path", "circle", "rect", "input"];

/// Checks a whole page: tags in order, every attribute quoted, nothing that loads or runs.
pub(super) fn check(text: &str) -> Result<(), String> {
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
        if attribute.starts_with("on")
            || ["src", "href", "style", "srcset", "action"].contains(&attribute)
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

#[test]
fn every_page_is_whole_and_alone() {
    for (name, report) in fixtures::all() {
        let text = page(&report);
        check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{name}"
        );
        assert!(text.len() < 12_000_000, "{name}: {}", text.len());
    }
    for wrong in [
        "<p>",
        "<p onclick=\"x\"></p>",
        "<script>1</script>",
        "<img src=\"x\">",
        "a & b",
        "<p a=b></p>",
    ] {
        let text = page(&fixtures::head_only()).replacen("<main>", &format!("{wrong}<main>"), 1);
        assert!(check(&text).is_err(), "{wrong}");
    }
}

/// The policy names the style and the script that are there.
#[test]
fn the_policy_fits_what_is_in_the_page() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let text = page(&fixtures::head_only());
    for name in ["style", "script"] {
        let (_, inside) = text.split_once(&format!("<{name}>")).unwrap();
        let (inside, _) = inside.split_once(&format!("</{name}>")).unwrap();
        let digest = sha2::Sha256::digest(inside.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(
            text.contains(&format!("{name}-src 'sha256-{hash}'")),
            "{name}"
        );
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn the_words_of_a_page_are_stable() {
    for (name, report) in [
        ("counterfactual", fixtures::counterfactual()),
        ("findings", fixtures::safety(true)),
    ] {
        let text = page(&report);
        let (_, body) = text.split_once("<body>").unwrap();
        let (body, _) = body.split_once("<h2>All cases").unwrap();
        insta::assert_snapshot!(format!("html_{name}"), body.replace("</tr>", "</tr>\n"));
    }
}
