//! Penn treebank tokens, as the tokenizer that promptfoo's ROUGE stands on makes them.

/// Words that are two: `(whole, where it is split)`.
const TWO_WORDS: [(&str, usize); 10] = [
    ("cannot", 3),
    ("d'ye", 1),
    ("gimme", 3),
    ("gonna", 3),
    ("gotta", 3),
    ("lemme", 3),
    ("more'n", 4),
    ("wanna", 3),
    ("'tis", 2),
    ("'twas", 2),
];

/// Endings that are words of their own.
const ENDINGS: [&str; 7] = ["'s", "'m", "'d", "'ll", "'re", "'ve", "n't"];

/// Splits lowercase text into tokens: punctuation stands alone, contractions are split.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let spaced = with_spaces(&words.join(" "));
    let mut tokens = Vec::new();
    for word in spaced.split(' ').filter(|word| !word.is_empty()) {
        push_word(word, &mut tokens);
    }
    tokens
}

/// Puts spaces around what is a token by itself.
fn with_spaces(text: &str) -> String {
    let end_dot = final_dot(text);
    let mut spaced = String::with_capacity(text.len() + text.len() / 4);
    let (mut rest, mut before) = (text, None);
    while let Some(c) = rest.chars().next() {
        let place = text.len() - rest.len();
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let (length, token) = match c {
            '"' => (1, Some(quote_mark(before))),
            '`' if rest.starts_with("``") => (2, Some("``")),
            '\'' if rest.starts_with("''") => (2, Some("''")),
            '.' if rest.starts_with("...") => (3, Some("...")),
            '.' if Some(place) == end_dot => (1, rest.get(..1)),
            ':' | ',' if !after.starts_with(char::is_numeric) => (1, rest.get(..1)),
            '-' if rest.starts_with("--") => (2, Some("--")),
            ';' | '@' | '#' | '$' | '%' | '&' | '?' | '!' | ']' | '[' | '(' | ')' | '{' | '}'
            | '<' | '>' => (1, rest.get(..1)),
            _ => (c.len_utf8(), None),
        };
        match token {
            Some(token) => spaced.extend([" ", token, " "]),
            None => spaced.push(c),
        }
        before = Some(c);
        rest = rest.get(length..).unwrap_or_default();
    }
    spaced
}

/// A quote opens at the start, behind a space and behind an opening bracket.
fn quote_mark(before: Option<char>) -> &'static str {
    match before {
        None | Some(' ' | '(' | '[' | '{' | '<') => "``",
        Some(_) => "''",
    }
}

/// Returns the place of the dot that ends the text; closing brackets and quotes may follow it.
fn final_dot(text: &str) -> Option<usize> {
    let end = text.trim_end_matches([']', ')', '}', '>', '\'', ' ']);
    let before = end.strip_suffix('.')?;
    let mut back = before.chars().rev();
    let (last, dot, first) = (back.next()?, back.next(), back.next());
    let is_initials = last.is_ascii_alphabetic()
        && dot == Some('.')
        && first.is_some_and(|c| c.is_ascii_alphabetic());
    (last != '.' && !is_initials).then_some(before.len())
}

fn push_word(word: &str, tokens: &mut Vec<String>) {
    if let Some(bare) = word.strip_suffix('\'')
        && !bare.is_empty()
        && !bare.ends_with('\'')
    {
        push_word(bare, tokens);
        tokens.push("'".to_owned());
        return;
    }
    let ending = ENDINGS
        .iter()
        .find_map(|ending| Some((word.strip_suffix(ending)?, *ending)));
    if let Some((stem, ending)) = ending {
        if !stem.is_empty() {
            push_word(stem, tokens);
        }
        tokens.push(ending.to_owned());
        return;
    }
    let split = TWO_WORDS.iter().find(|(whole, _)| *whole == word);
    match split.and_then(|(_, place)| word.split_at_checked(*place)) {
        Some((first, second)) => tokens.extend([first.to_owned(), second.to_owned()]),
        None => tokens.push(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::tokens;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_those_of_the_treebank() {
        for (text, expected) in [
            ("the cat sat on the mat.", "the cat sat on the mat ."),
            ("it's 1,000.50, isn't it?", "it 's 1,000.50 , is n't it ?"),
            ("he said \"no\".", "he said `` no '' ."),
            ("(e.g. this) -- or that...", "( e.g. this ) -- or that ..."),
            ("cannot wanna", "can not wan na"),
            (
                "the dogs' bowl at 10:30: $5",
                "the dogs ' bowl at 10:30 : $ 5",
            ),
            ("a.b.c.", "a.b.c."),
            ("  ", ""),
        ] {
            assert_eq!(tokens(text).join(" "), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn tokens_are_never_empty(text in any::<String>()) {
            prop_assert!(tokens(&text).iter().all(|token| !token.is_empty()));
        }
    }
}
