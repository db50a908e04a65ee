//! Patterns of paths: `*`, `?`, `[a-z]` and `{a,b}` inside a name, `**` for any directories.

/// Alternatives that a pattern may have.
const MAX_ALTERNATIVES: usize = 64;

/// Whether `text` is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// Returns the directories before the first pattern: all that has to be looked through.
pub(super) fn fixed_part(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').collect();
    let directories = parts.len().saturating_sub(1);
    let fixed = parts
        .iter()
        .take(directories)
        .take_while(|part| !is_pattern(part));
    fixed.copied().collect::<Vec<_>>().join("/")
}

/// Whether `path` is one of those that `pattern` means.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    alternatives(pattern).iter().any(|pattern| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        matches_parts(&pattern, &path)
    })
}

/// `{a,b}` written out.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut open = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = open.pop() {
        let braces = pattern.find('{').and_then(|start| {
            let end = start + pattern.get(start..)?.find('}')?;
            Some((start, end))
        });
        let Some((start, end)) = braces.filter(|_| open.len() + done.len() < MAX_ALTERNATIVES)
        else {
            done.push(pattern);
            continue;
        };
        let part = |from: usize, to: usize| pattern.get(from..to).unwrap_or_default();
        let (before, after) = (part(0, start), part(end + 1, pattern.len()));
        for choice in part(start + 1, end).split(',') {
            open.push([before, choice, after].concat());
        }
    }
    done
}

/// Row by row of a table (pattern against path), so that many `**` cost no more than one.
fn matches_parts(pattern: &[&str], path: &[&str]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        let mut is_open = false;
        for (index, cell) in next.iter_mut().enumerate() {
            let here = reached.get(index).copied().unwrap_or(false);
            if *part == "**" {
                is_open |= here;
                *cell = is_open;
            } else {
                let before = index.checked_sub(1);
                let came = before.and_then(|index| reached.get(index)).copied();
                let name = before.and_then(|index| path.get(index));
                *cell = came == Some(true) && name.is_some_and(|name| matches_name(part, name));
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut place) = (0, 0);
    // Where to go on when what follows the last `*` does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while place < name.len() {
        let step = one(
            pattern.get(at..).unwrap_or_default(),
            name.get(place).copied(),
        );
        if pattern.get(at) == Some(&'*') {
            retry = Some((at + 1, place));
            at += 1;
        } else if let Some(length) = step {
            at += length;
            place += 1;
        } else if let Some((star, start)) = retry {
            retry = Some((star, start + 1));
            (at, place) = (star, start + 1);
        } else {
            return false;
        }
    }
    pattern
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == '*')
}

/// How long the pattern of one character is, when `c` fits it.
fn one(pattern: &[char], c: Option<char>) -> Option<usize> {
    let c = c?;
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let end = rest.iter().position(|c| *c == ']')?;
            let set = rest.get(..end)?;
            let (is_not, set) = match set {
                ['!' | '^', set @ ..] => (true, set),
                set => (false, set),
            };
            (contains(set, c) != is_not).then_some(end + 2)
        }
        [other, ..] => (*other == c).then_some(1),
        [] => None,
    }
}

fn contains(set: &[char], c: char) -> bool {
    match set {
        [first, '-', last, rest @ ..] => (*first..=*last).contains(&c) || contains(rest, c),
        [one, rest @ ..] => *one == c || contains(rest, c),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{fixed_part, matches};

    #[test]
    fn patterns_mean_what_they_do_in_a_shell() {
        for (pattern, path, is_match) in [
            ("a/*.yaml", "a/b.yaml", true),
            ("a/*.yaml", "a/b/c.yaml", false),
            ("a/**/*.yaml", "a/c.yaml", true),
            ("a/**/*.yaml", "a/b/d/c.yaml", true),
            ("**", "a/b", true),
            ("a/t?st.{csv,jsonl}", "a/test.jsonl", true),
            ("a/t?st.{csv,jsonl}", "a/test.json", false),
            ("[a-c]x[!0-9]", "bxy", true),
            ("[a-c]x[!0-9]", "bx1", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*c", "xaxbx", false),
            ("a", "a", true),
            ("[", "[", false),
            ("**/**/**/**/z", "a/b/c/d/e/f/g/h", false),
        ] {
            assert_eq!(matches(pattern, path), is_match, "{pattern} {path}");
        }
        assert_eq!(fixed_part("a/b/*.yaml"), "a/b");
        assert_eq!(fixed_part("*.yaml"), "");
        assert_eq!(fixed_part("a/{b,c}/d.yaml"), "a");
    }

    #[test]
    fn a_pattern_cannot_take_long() {
        let pattern = "{a,b}".repeat(64);
        assert!(!matches(&pattern, "z"));
        assert!(!matches(&"*a".repeat(200), &"a".repeat(150)));
    }
}
