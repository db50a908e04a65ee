//! Whether a text is well-formed XML 1.0, and what Jenkins' xUnit plugin takes for JUnit (its schema junit-10).

/// An element that may occur: its name, the attributes it may have, those it must have, and its children.
type Rule = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const RULES: [Rule; 8] = [
    (
        "testsuites",
        &["name", "time", "tests", "failures", "errors"],
        &[],
        &["testsuite"],
    ),
    (
        "testsuite",
        &[
            "name",
            "tests",
            "failures",
            "errors",
            "group",
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
        ],
        &["name", "tests", "failures", "errors"],
        &[
            "testsuite",
            "properties",
            "testcase",
            "system-out",
            "system-err",
        ],
    ),
    ("properties", &[], &[], &["property"]),
    ("property", &["name", "value"], &["name", "value"], &[]),
    (
        "testcase",
        &["name", "time", "classname", "group"],
        &["name"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("failure", &["type", "message"], &[], &[]),
    ("error", &["type", "message"], &[], &[]),
    ("skipped", &["type", "message"], &[], &[]),
];

/// Checks a whole document.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| !is_character(*c)) {
        return Err(format!("{c:?} is no character of XML"));
    }
    let mut rest = text
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .ok_or("there is no declaration")?;
    let mut open: Vec<String> = Vec::new();
    let mut roots = 0;
    while let Some((words, tag)) = rest.split_once('<') {
        characters(words, open.last().map(String::as_str))?;
        let (tag, after) = tag.split_once('>').ok_or("a tag has no end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last.as_deref() != Some(name) {
                return Err(format!("`{name}` ends inside {last:?}"));
            }
            continue;
        }
        let (tag, is_empty) = tag
            .strip_suffix('/')
            .map_or((tag, false), |tag| (tag, true));
        let name = element(tag, open.last().map(String::as_str))?;
        roots += usize::from(open.is_empty());
        if !is_empty {
            open.push(name);
        }
    }
    characters(rest, None)?;
    if open.is_empty() && roots == 1 {
        Ok(())
    } else {
        Err(format!("{open:?} have no end, or there are {roots} roots"))
    }
}

const fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn characters(words: &str, inside: Option<&str>) -> Result<(), String> {
    entities(words)?;
    if words.contains("]]>") || words.contains('>') {
        return Err(format!("{words:?} has a bare `>`"));
    }
    let may_have_words = matches!(inside, Some("failure" | "error" | "skipped"));
    if words.trim().is_empty() || may_have_words {
        Ok(())
    } else {
        Err(format!("{words:?} stands inside {inside:?}"))
    }
}

fn entities(words: &str) -> Result<(), String> {
    for piece in words.split('&').skip(1) {
        let (name, _) = piece
            .split_once(';')
            .ok_or_else(|| format!("a bare `&` before {piece:?}"))?;
        if !["amp", "lt", "gt", "quot", "#9", "#10"].contains(&name) {
            return Err(format!("`&{name};` is not known"));
        }
    }
    Ok(())
}

fn element(tag: &str, inside: Option<&str>) -> Result<String, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let rule = RULES.iter().find(|rule| rule.0 == name);
    let (_, may, must, _) = rule.ok_or_else(|| format!("`{name}` is not known"))?;
    let parent = inside.and_then(|inside| RULES.iter().find(|rule| rule.0 == inside));
    let is_welcome = parent.map_or(name == "testsuites", |parent| parent.3.contains(&name));
    if !is_welcome {
        return Err(format!("`{name}` stands inside {inside:?}"));
    }
    let mut found = Vec::new();
    while !rest.trim().is_empty() {
        let (attribute, value) = rest
            .trim_start()
            .split_once("=\"")
            .ok_or_else(|| format!("{rest:?} is no attribute"))?;
        let (value, after) = value.split_once('"').ok_or("an attribute has no end")?;
        entities(value)?;
        if value.contains('<')
            || value.contains('\n')
            || !may.contains(&attribute)
            || found.contains(&attribute)
        {
            return Err(format!("`{name}` may not have {attribute}={value:?}"));
        }
        if attribute == "time" && value.parse::<f64>().is_err() {
            return Err(format!("{value:?} is no time"));
        }
        found.push(attribute);
        rest = after;
    }
    match must.iter().find(|attribute| !found.contains(attribute)) {
        Some(missing) => Err(format!("`{name}` has no `{missing}`")),
        None => Ok(name.to_owned()),
    }
}

#[test]
fn the_check_sees_what_it_looks_for() {
    let whole = |body: &str| format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    let suite = "<testsuite name=\"a\" tests=\"0\" failures=\"0\" errors=\"0\"/>";
    assert_eq!(
        check(&whole(&format!("<testsuites>{suite}</testsuites>"))),
        Ok(())
    );
    for wrong in [
        "<testsuites skipped=\"1\"/>",
        "<testsuites><testsuite name=\"a\"/></testsuites>",
        "<testsuites>words</testsuites>",
        "<testsuites name=\"a & b\"/>",
        "<testsuites name=\"\u{1}\"/>",
        "<testsuites>",
        "<testsuites/><testsuites/>",
        "<testsuites><failure/></testsuites>",
    ] {
        assert!(check(&whole(wrong)).is_err(), "{wrong}");
    }
}
