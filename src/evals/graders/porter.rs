//! The stem of an English word: M. F. Porter, "An algorithm for suffix stripping", 1980.

/// Endings of step 2, with what stands for them where the stem has a measure above 0.
const STEP_2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("abli", "able"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
];

/// Endings of step 3.
const STEP_3: [(&str, &str); 7] = [
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

/// Endings of step 4, which go where the stem has a measure above 1; the longer before the shorter.
const STEP_4: [&str; 18] = [
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous",
    "ive", "ize", "al", "er", "ic", "ou",
];

/// Returns the stem of a lowercase word; what is no such word is left as it is.
pub(super) fn stem(word: &str) -> String {
    if word.len() < 3 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let word = plurals(word);
    let word = past_and_gerund(&word);
    let word = match word.strip_suffix('y') {
        Some(stem) if has_vowel(stem) => format!("{stem}i"),
        _ => word,
    };
    let word = replaced(word, &STEP_2);
    let word = replaced(word, &STEP_3);
    let word = without_suffix(word);
    without_final_e(word)
}

/// Step 1a.
fn plurals(word: &str) -> String {
    for (ending, with) in [("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")] {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{with}");
        }
    }
    word.to_owned()
}

/// Step 1b.
fn past_and_gerund(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("eed") {
        return if 0 < measure(stem) {
            format!("{stem}ee")
        } else {
            word.to_owned()
        };
    }
    let stem = ["ed", "ing"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending));
    let Some(stem) = stem.filter(|stem| has_vowel(stem)) else {
        return word.to_owned();
    };
    if ["at", "bl", "iz"]
        .iter()
        .any(|ending| stem.ends_with(ending))
    {
        return format!("{stem}e");
    }
    if ends_doubled(stem) && !stem.ends_with(['l', 's', 'z']) {
        return stem.get(..stem.len() - 1).unwrap_or(stem).to_owned();
    }
    if measure(stem) == 1 && ends_short(stem) {
        return format!("{stem}e");
    }
    stem.to_owned()
}

/// Steps 2 and 3: the first ending that fits decides.
fn replaced(word: String, endings: &[(&str, &str)]) -> String {
    for (ending, with) in endings {
        if let Some(stem) = word.strip_suffix(ending) {
            return if 0 < measure(stem) {
                format!("{stem}{with}")
            } else {
                word
            };
        }
    }
    word
}

/// Step 4.
fn without_suffix(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ion") {
        let goes = stem.ends_with(['s', 't']) && 1 < measure(stem);
        return if goes { stem.to_owned() } else { word };
    }
    for ending in STEP_4 {
        if let Some(stem) = word.strip_suffix(ending) {
            return if 1 < measure(stem) {
                stem.to_owned()
            } else {
                word
            };
        }
    }
    word
}

/// Steps 5a and 5b.
fn without_final_e(word: String) -> String {
    let word = match word.strip_suffix('e') {
        Some(stem) if 1 < measure(stem) || (measure(stem) == 1 && !ends_short(stem)) => {
            stem.to_owned()
        }
        _ => word,
    };
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && 1 < measure(&word) => stem.to_owned(),
        _ => word,
    }
}

/// Whether each letter is a consonant; `y` is one at the start and behind a vowel.
fn consonants(word: &str) -> Vec<bool> {
    let mut found: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        let is_consonant = match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => !found.last().copied().unwrap_or(false),
            _ => true,
        };
        found.push(is_consonant);
    }
    found
}

/// How often a vowel is followed by a consonant.
fn measure(stem: &str) -> usize {
    let letters = consonants(stem);
    letters
        .windows(2)
        .filter(|pair| matches!(pair, [false, true]))
        .count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

fn ends_doubled(stem: &str) -> bool {
    let mut back = stem.bytes().rev();
    let (last, before) = (back.next(), back.next());
    last.is_some() && last == before && consonants(stem).last() == Some(&true)
}

/// Consonant, vowel, consonant, the last none of `w`, `x`, `y`.
fn ends_short(stem: &str) -> bool {
    let letters = consonants(stem);
    letters.ends_with(&[true, false, true]) && !stem.ends_with(['w', 'x', 'y'])
}

#[cfg(test)]
mod tests {
    use super::stem;
    use proptest::prelude::*;

    /// Porter's own examples, as the stemmer that promptfoo uses stems them.
    #[test]
    fn words_have_the_stems_of_the_paper() {
        let pairs = "caresses caress|ponies poni|ties ti|caress caress|cats cat|feed feed|agreed agre|plastered plaster|\
            bled bled|motoring motor|sing sing|conflated conflat|troubled troubl|sized size|hopping hop|tanned tan|\
            falling fall|hissing hiss|fizzed fizz|failing fail|filing file|happy happi|sky sky|relational relat|\
            conditional condit|rational ration|valenci valenc|hesitanci hesit|digitizer digit|conformabli conform|\
            radicalli radic|differentli differ|vileli vile|analogousli analog|vietnamization vietnam|predication predic|\
            operator oper|feudalism feudal|decisiveness decis|hopefulness hope|callousness callous|formaliti formal|\
            sensitiviti sensit|sensibiliti sensibl|triplicate triplic|formative form|formalize formal|electriciti electr|\
            electrical electr|hopeful hope|goodness good|revival reviv|allowance allow|inference infer|airliner airlin|\
            gyroscopic gyroscop|adjustable adjust|defensible defens|irritant irrit|replacement replac|adjustment adjust|\
            dependent depend|adoption adopt|homologou homolog|communism commun|activate activ|angulariti angular|\
            homologous homolog|effective effect|bowdlerize bowdler|probate probat|rate rate|cease ceas|controll control|\
            roll roll|sitting sit|running run|easily easili|flying fly|dying dy|yes ye|is is|be be|university univers|\
            generalization gener|oscillators oscil|crying cry|owed ow|eed eed|inged ing|yoyo yoyo";
        for pair in pairs.split('|') {
            let (word, expected) = pair.trim().split_once(' ').unwrap();
            assert_eq!(stem(word), expected, "{word}");
        }
    }

    proptest! {
        #[test]
        fn stems_are_never_longer_by_more_than_a_letter(word in "[a-z]{0,12}|\\PC{0,6}") {
            prop_assert!(stem(&word).len() <= word.len() + 1);
        }
    }
}
