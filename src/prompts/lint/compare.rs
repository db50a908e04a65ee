//! Rules that compare prompts with each other, and with what they were before.

use crate::domain::PromptKey;
use crate::prompts::files::{Shelves, Text};
use crate::prompts::lint::finding::{Finding, Sheet};
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::subject::Subject;
use crate::prompts::load::Loaded;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

/// Words in a shingle.
const SHINGLE: usize = 5;
/// Shingles below which a text is too short to be called a copy.
const MIN_SHINGLES: usize = 30;
/// The share of common shingles from which on two texts are nearly the same.
const SIMILARITY: f64 = 0.8;
/// Characters of a paragraph from which on it is worth a partial.
const MIN_PARAGRAPH: usize = 200;
/// A shingle that more prompts than this have is boilerplate, and says nothing.
const COMMON: usize = 50;

/// The state that a change is compared with.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) shelves: Shelves,
    pub(super) loaded: Loaded,
}

/// W106: a changed prompt that nothing covers. `has_eval` knows the evals' files.
pub(super) fn uncovered(
    subject: &Subject<'_>,
    base: &Base,
    has_eval: impl Fn(&PromptKey) -> bool,
    findings: &mut Vec<Finding>,
) {
    let Some(prompt) = subject.prompt else { return };
    let before = base.loaded.prompts.get(subject.key);
    let is_changed = before.is_none_or(|before| before.bundle.hash() != prompt.bundle.hash());
    if !is_changed || !prompt.samples.is_empty() || has_eval(subject.key) {
        return;
    }
    let old = base.shelves.prompts.get(subject.key);
    let place = first_change(old.map_or("", |text| &text.text), subject.sheet.text);
    let what = if before.is_some() { "changed" } else { "new" };
    let message = format!("the prompt is {what}, and no sample or eval covers it");
    let finding = subject.finding(Rule::UncoveredChange, &place, message);
    let (name, _) = subject
        .sheet
        .path
        .rsplit_once('.')
        .unwrap_or((subject.sheet.path, ""));
    findings.push(finding.hint(format!("add `{name}.samples.yaml`")));
}

/// W108: a file that differs from before in whitespace only.
pub(super) fn whitespace_only(shelves: &Shelves, base: &Base, findings: &mut Vec<Finding>) {
    let texts = |shelves: &Shelves| -> BTreeMap<String, Text> {
        let all = shelves.prompts.values().chain(shelves.partials.values());
        all.map(|text| (text.path.clone(), text.clone())).collect()
    };
    let before = texts(&base.shelves);
    for (path, text) in texts(shelves) {
        let Some(old) = before.get(&path) else {
            continue;
        };
        if old.text != text.text && words(&old.text).eq(words(&text.text)) {
            let sheet = Sheet {
                path: &path,
                text: &text.text,
            };
            let place = first_change(&old.text, &text.text);
            let message = "only whitespace differs from before";
            let finding = sheet.finding(Rule::WhitespaceOnly, &place, message);
            findings.push(finding.hint("take the change back, unless the whitespace is meant"));
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// The first line of `new` that differs from `old`.
fn first_change(old: &str, new: &str) -> Range<usize> {
    let mut start = 0;
    let mut before = old.split_inclusive('\n');
    for line in new.split_inclusive('\n') {
        if before.next() != Some(line) {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    start..start
}

/// W111: variants that want other variables than their base.
pub(super) fn variants(subjects: &[Subject<'_>], findings: &mut Vec<Finding>) {
    let by_key: BTreeMap<&str, &Subject<'_>> = subjects
        .iter()
        .map(|subject| (subject.key.as_str(), subject))
        .collect();
    for subject in subjects {
        let Some(base) = base_name(subject.key.as_str()).and_then(|name| by_key.get(name)) else {
            continue;
        };
        let (Some(prompt), Some(other)) = (subject.prompt, base.prompt) else {
            continue;
        };
        let (own, wanted): (BTreeSet<_>, BTreeSet<_>) = (
            prompt.bundle.variables().into_iter().collect(),
            other.bundle.variables().into_iter().collect(),
        );
        let shown = |(name, is_required): &(&str, bool)| {
            format!("`{name}`{}", if *is_required { "" } else { " (optional)" })
        };
        let list = |variables: Vec<String>| variables.join(", ");
        let more = list(own.difference(&wanted).map(shown).collect());
        let less = list(wanted.difference(&own).map(shown).collect());
        let message = match (more.is_empty(), less.is_empty()) {
            (true, true) => continue,
            (false, true) => format!("takes {more}, which `{}` does not", base.key),
            (true, false) => format!("does not take {less}, which `{}` does", base.key),
            (false, false) => format!("takes {more} where `{}` takes {less}", base.key),
        };
        let place = subject.yaml.at(&["input", "schema"]);
        let place = place.map_or(0..0, |entry| entry.key_range.clone());
        let finding = subject.finding(Rule::VariantDrift, &place, message);
        findings.push(finding.hint("declare the same variables in all variants of a prompt"));
    }
}

/// `a/b` of the variant `a/b.c`.
fn base_name(key: &str) -> Option<&str> {
    let start = key.rfind('/').map_or(0, |slash| slash + 1);
    let dot = key.get(start..)?.rfind('.')? + start;
    key.get(..dot)
}

/// A piece of a prompt's text, with its words joined by single spaces.
struct Piece<'a> {
    subject: &'a Subject<'a>,
    words: Vec<&'a str>,
    place: Range<usize>,
}

/// W109: texts that are there twice.
pub(super) fn repeated(subjects: &[Subject<'_>], findings: &mut Vec<Finding>) {
    let pieces: Vec<Piece<'_>> = subjects.iter().map(template).collect();
    let mut reported = copies(&pieces, findings);
    near_copies(&pieces, &mut reported, findings);
    paragraphs(subjects, &reported, findings);
}

fn template<'a>(subject: &'a Subject<'a>) -> Piece<'a> {
    let start = subject.document.template_start;
    let text = subject.sheet.text.get(start..).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    Piece {
        subject,
        words: text.split_whitespace().collect(),
        place: start..start + first.len(),
    }
}

type Pairs = HashSet<(usize, usize)>;

/// Texts that are equal but for whitespace.
fn copies(pieces: &[Piece<'_>], findings: &mut Vec<Finding>) -> Pairs {
    let mut reported = Pairs::new();
    let mut first: HashMap<&[&str], usize> = HashMap::new();
    for (index, piece) in pieces.iter().enumerate() {
        if piece.words.len() < SHINGLE {
            continue;
        }
        match first.get(piece.words.as_slice()) {
            None => {
                first.insert(&piece.words, index);
            }
            Some(other) => {
                reported.insert((*other, index));
                if let Some(before) = pieces.get(*other) {
                    let what = format!("the text is that of `{}`", before.subject.key);
                    findings.push(repeated_finding(piece, what));
                }
            }
        }
    }
    reported
}

fn repeated_finding(piece: &Piece<'_>, message: String) -> Finding {
    let finding = piece
        .subject
        .finding(Rule::RepeatedText, &piece.place, message);
    finding.hint("move what they share into a partial, `_name.prompt`")
}

/// Texts that have most of their shingles in common; variants of one prompt are meant to.
fn near_copies(pieces: &[Piece<'_>], reported: &mut Pairs, findings: &mut Vec<Finding>) {
    let shingles: Vec<HashSet<u64>> = pieces.iter().map(|piece| shingles(&piece.words)).collect();
    let mut owners: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, own) in shingles.iter().enumerate() {
        for shingle in own {
            owners.entry(*shingle).or_default().push(index);
        }
    }
    let mut common: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for indices in owners.values().filter(|indices| indices.len() <= COMMON) {
        for (place, later) in indices.iter().enumerate() {
            for earlier in indices.iter().take(place) {
                *common.entry((*earlier, *later)).or_default() += 1;
            }
        }
    }
    for ((earlier, later), count) in common {
        let (Some(a), Some(b)) = (shingles.get(earlier), shingles.get(later)) else {
            continue;
        };
        let (Some(before), Some(piece)) = (pieces.get(earlier), pieces.get(later)) else {
            continue;
        };
        let is_short = a.len().min(b.len()) < MIN_SHINGLES;
        let is_sibling = family(before.subject) == family(piece.subject);
        let share = share(count, a.len() + b.len() - count);
        if is_short || is_sibling || share < SIMILARITY || !reported.insert((earlier, later)) {
            continue;
        }
        let percent = format!("{:.0}", share * 100.0);
        let what = format!(
            "the text is to {percent} % that of `{}`",
            before.subject.key
        );
        findings.push(repeated_finding(piece, what));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are small")]
pub(super) fn share(common: usize, all: usize) -> f64 {
    common as f64 / all.max(1) as f64
}

pub(super) fn family<'a>(subject: &Subject<'a>) -> &'a str {
    let name = subject.key.as_str();
    base_name(name).unwrap_or(name)
}

fn shingles(words: &[&str]) -> HashSet<u64> {
    words
        .windows(SHINGLE)
        .map(|window| {
            let mut hasher = DefaultHasher::new();
            window.hash(&mut hasher);
            hasher.finish()
        })
        .collect()
}

/// Long paragraphs that two prompts have word for word, variants of one prompt included.
fn paragraphs(subjects: &[Subject<'_>], reported: &Pairs, findings: &mut Vec<Finding>) {
    let mut first: HashMap<Vec<&str>, usize> = HashMap::new();
    for (index, subject) in subjects.iter().enumerate() {
        let mut start = subject.document.template_start;
        let text = subject.sheet.text.get(start..).unwrap_or_default();
        for paragraph in text.split("\n\n") {
            let lead = paragraph.len() - paragraph.trim_start().len();
            let place = start + lead;
            start += paragraph.len() + 2;
            if paragraph.trim().chars().count() < MIN_PARAGRAPH {
                continue;
            }
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            let other = *first.entry(words.clone()).or_insert(index);
            if other == index || reported.contains(&(other, index)) {
                continue;
            }
            let line = paragraph.trim_start().lines().next().unwrap_or_default();
            let piece = Piece {
                subject,
                words,
                place: place..place + line.len(),
            };
            if let Some(before) = subjects.get(other) {
                let what = format!("the paragraph is also in `{}`", before.key);
                findings.push(repeated_finding(&piece, what));
            }
        }
    }
}
