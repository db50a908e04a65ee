//! Prompts that mean nearly the same in other words. What they mean somebody else has to find out: here is
//! the text that is compared, and what comes of the pairs that were found.

use crate::prompts::files::{self, Shelves};
use crate::prompts::lint::compare::{family, share};
use crate::prompts::lint::finding::{Finding, Sheet};
use crate::prompts::lint::read::Lint;
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::subject::Subject;
use crate::prompts::lint::{Material, policy_of};
use std::collections::BTreeSet;

/// Words below which a text says too little to be like another.
pub const FEWEST_WORDS: usize = 8;

/// What a prompt says, without its syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptText {
    /// The prompt's name.
    pub prompt: String,
    /// Its text: the names of variables in place of them, and nothing of its partials, which are shared already.
    pub text: String,
}

/// Two prompts that mean nearly the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Alike {
    /// The names of both.
    pub prompts: (String, String),
    /// How alike they are: a cosine.
    pub similarity: f64,
    /// From where on two are called alike.
    pub threshold: f64,
}

impl Lint {
    /// Returns what each prompt says, by name; and the names of those whose words are too few to compare.
    #[must_use]
    pub fn texts(&self) -> (Vec<PromptText>, Vec<String>) {
        let shelves = files::sort(&self.material().files);
        let texts = subjects(&shelves).into_iter().map(|subject| PromptText {
            prompt: subject.key.as_str().to_owned(),
            text: said(template_of(&subject)),
        });
        let (enough, few): (Vec<PromptText>, Vec<PromptText>) =
            texts.partition(|found| FEWEST_WORDS <= found.text.split_whitespace().count());
        (enough, few.into_iter().map(|text| text.prompt).collect())
    }

    /// Adds a finding for each pair, unless `registry.yaml` turns the rule off. Variants of one prompt are meant to
    /// be alike, and copies are found without this.
    pub fn add_alike(&mut self, pairs: &[Alike]) {
        let mut found = findings(self.material(), pairs, &self.findings);
        self.findings.append(&mut found);
        self.findings.sort();
        self.findings.dedup();
    }
}

fn findings(material: &Material, pairs: &[Alike], known: &[Finding]) -> Vec<Finding> {
    let shelves = files::sort(&material.files);
    let policy = policy_of(&shelves, &mut Vec::new());
    let subjects = subjects(&shelves);
    let of = |name: &str| {
        let mut subjects = subjects.iter();
        subjects.find(|subject| subject.key.as_str() == name)
    };
    let mut found = Vec::new();
    for pair in pairs {
        let (Some(one), Some(other)) = (of(&pair.prompts.0), of(&pair.prompts.1)) else {
            continue;
        };
        if family(one) == family(other) || is_copy(known, one, other) {
            continue;
        }
        let mut finding = finding(one, other, pair);
        if let Some(level) = policy.level(&finding) {
            finding.severity = level;
            found.push(finding);
        }
    }
    found
}

fn finding(one: &Subject<'_>, other: &Subject<'_>, pair: &Alike) -> Finding {
    let common = common_words(&said(template_of(one)), &said(template_of(other))) * 100.0;
    let message = format!(
        "says nearly what `{}` says: alike to {:.3} (from {:.3} on it is told), with {common:.0} % of the words in \
         common",
        one.key, pair.similarity, pair.threshold
    );
    let start = other.document.template_start;
    let first = template_of(other).lines().next().unwrap_or_default();
    let finding = other.finding(Rule::NearDuplicate, &(start..start + first.len()), message);
    finding.hint(
        "move what they share into a partial, `_name.prompt`, or let one do for both; \
         `lint: {H201: off}` in registry.yaml turns this off",
    )
}

/// Whether the rule about repeated text has told it already.
fn is_copy(known: &[Finding], one: &Subject<'_>, other: &Subject<'_>) -> bool {
    let names = |finding: &Finding, path: &str, key: &str| {
        let problem = &finding.problem;
        problem.path == path && problem.message.contains(&format!("`{key}`"))
    };
    known.iter().any(|finding| {
        finding.problem.code == Rule::RepeatedText
            && (names(finding, one.sheet.path, other.key.as_str())
                || names(finding, other.sheet.path, one.key.as_str()))
    })
}

fn subjects(shelves: &Shelves) -> Vec<Subject<'_>> {
    let prompts = shelves.prompts.iter();
    let read = prompts.filter_map(|(key, text)| Subject::read(key, text, None));
    read.collect()
}

fn template_of<'a>(subject: &Subject<'a>) -> &'a str {
    let Sheet { text, .. } = subject.sheet;
    text.get(subject.document.template_start..)
        .unwrap_or_default()
}

/// The words of a template: a variable is its name, and what only steers is left out.
fn said(template: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = template;
    while let Some((before, tag)) = rest.split_once("{{") {
        words.extend(before.split_whitespace());
        let (inside, after) = tag.split_once("}}").unwrap_or((tag, ""));
        words.extend(names(inside));
        rest = after.trim_start_matches('}');
    }
    words.extend(rest.split_whitespace());
    words.join(" ")
}

/// The names of variables in a tag.
fn names(tag: &str) -> Vec<&str> {
    let tag = tag.trim_matches(|c: char| c.is_whitespace() || "{~".contains(c));
    if tag.starts_with(['!', '>', '/', '^']) {
        return Vec::new();
    }
    let is_block = tag.starts_with('#');
    let mut words = tag.split_whitespace();
    let first = words.next().unwrap_or_default();
    let steers = ["role", "history", "media", "section", "else"];
    if steers.contains(&first) {
        return Vec::new();
    }
    let rest: Vec<&str> = words.filter(|word| is_name(word)).collect();
    if is_block || !rest.is_empty() {
        return rest;
    }
    vec![first]
        .into_iter()
        .filter(|word| is_name(word))
        .collect()
}

fn is_name(word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_.-".contains(c);
    !word.is_empty() && word.chars().all(is_part)
}

/// The share of all different words that both texts have (Jaccard).
fn common_words(one: &str, other: &str) -> f64 {
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let (one, other) = (words(one), words(other));
    share(one.intersection(&other).count(), one.union(&other).count())
}

#[cfg(test)]
mod tests {
    use super::{Alike, said};
    use crate::prompts::lint::tests::{facts, material};
    use crate::prompts::lint::{Lint, Rule, Severity};

    fn lint(files: &[(&str, &str)]) -> Lint {
        Lint::of(material(files), facts())
    }

    fn alike(one: &str, other: &str) -> Alike {
        Alike {
            prompts: (one.to_owned(), other.to_owned()),
            similarity: 0.973_2,
            threshold: 0.91,
        }
    }

    const REFUND: &str =
        "{{role \"system\"}}\nAnswer customers who want their money back, kindly and short.\n";
    const RETURN: &str =
        "{{role \"system\"}}\nReply to buyers who ask for money back, be kind and brief.\n";

    #[test]
    fn a_text_is_what_a_prompt_says() {
        for (template, wanted) in [
            (
                "{{role \"user\"}}Say {{name}} to {{json order.items}}.",
                "Say name to order.items .",
            ),
            (
                "{{#each items}}- {{this}}{{else}}none{{/each}}",
                "items - this none",
            ),
            ("{{! a note }}{{> tone kind=\"x\"}}{{history}} end", "end"),
            ("no {{{raw}}} tag {{", "no raw tag"),
        ] {
            assert_eq!(said(template), wanted, "{template}");
        }
    }

    #[test]
    fn a_pair_is_noted_with_what_to_do() {
        let mut lint = lint(&[
            ("a.prompt", REFUND),
            ("b.prompt", RETURN),
            ("c.prompt", "Hi {{x}}\n"),
        ]);
        let (texts, few) = lint.texts();
        let texts: Vec<String> = texts.into_iter().map(|text| text.prompt).collect();
        assert_eq!(texts, ["a", "b"], "two words say too little");
        assert_eq!(few, ["c"]);
        lint.add_alike(&[alike("a", "b"), alike("a", "gone")]);
        let found: Vec<_> = lint
            .findings
            .iter()
            .filter(|finding| finding.problem.code == Rule::NearDuplicate)
            .collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Hint);
        assert_eq!(found[0].problem.path, "b.prompt");
        assert_eq!(
            found[0].problem.message,
            "says nearly what `a` says: alike to 0.973 (from 0.910 on it is told), with 22 % of the words in common"
        );
    }

    #[test]
    fn variants_copies_and_a_rule_that_is_off_are_left_out() {
        let count = |files: &[(&str, &str)], pair: Alike| {
            let mut lint = lint(files);
            lint.add_alike(&[pair]);
            let found = lint.findings.iter();
            found
                .filter(|finding| finding.problem.code == Rule::NearDuplicate)
                .count()
        };
        assert_eq!(
            count(
                &[("a.prompt", REFUND), ("a.short.prompt", RETURN)],
                alike("a", "a.short")
            ),
            0
        );
        assert_eq!(
            count(
                &[("a.prompt", REFUND), ("b.prompt", REFUND)],
                alike("a", "b")
            ),
            0
        );
        let off = [
            ("a.prompt", REFUND),
            ("b.prompt", RETURN),
            ("registry.yaml", "lint: {H201: off}\n"),
        ];
        assert_eq!(count(&off, alike("a", "b")), 0);
        let loud = [
            ("a.prompt", REFUND),
            ("b.prompt", RETURN),
            ("registry.yaml", "lint: {H201: warn}\n"),
        ];
        assert_eq!(count(&loud, alike("a", "b")), 1);
    }
}
