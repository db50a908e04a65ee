//! `evaluateOptions` and `commandLineOptions`: how promptfoo is told to run, as far as it concerns us.

use crate::evals::suite::Settings;
use crate::evals::suite::load::fields::Fields;
use crate::evals::suite::load::node::Node;
use crate::evals::suite::load::reading::Loader;

/// Keys of `evaluateOptions` that are read.
const OPTIONS: [&str; 7] = [
    "cache",
    "delay",
    "maxConcurrency",
    "repeat",
    "timeoutMs",
    "maxEvalTimeMs",
    "filterRange",
];
/// Those that say how promptfoo shows what it does.
const SHOWN: [&str; 6] = [
    "generateSuggestions",
    "suggestionsCount",
    "interactiveProviders",
    "showProgressBar",
    "isRedteam",
    "silent",
];
/// Keys of `commandLineOptions` that are for promptfoo's own command line.
const COMMAND: [&str; 34] = [
    "description",
    "prompts",
    "providers",
    "output",
    "vars",
    "tests",
    "config",
    "assertions",
    "modelOutputs",
    "verbose",
    "grader",
    "tableCellMaxLength",
    "write",
    "table",
    "share",
    "noShare",
    "progressBar",
    "watch",
    "filterErrorsOnly",
    "filterFailing",
    "filterFailingOnly",
    "filterFirstN",
    "filterMetadata",
    "filterPattern",
    "filterPrompts",
    "filterProviders",
    "filterSample",
    "filterSampleSeed",
    "filterTargets",
    "var",
    "tags",
    "retryErrors",
    "envPath",
    "extension",
];
/// The longest time that can be said: 30 days.
const MAX_MS: u64 = 30 * 24 * 3_600_000;

impl Loader<'_> {
    /// Reads both, the options of the command line over the others.
    pub(super) fn run_keys(&self, top: &Fields<'_>, settings: &mut Settings) {
        for key in ["evaluateOptions", "commandLineOptions"] {
            let Some(node) = top.get(key) else { continue };
            let shown: &[&str] = if key == "evaluateOptions" {
                &SHOWN
            } else {
                &COMMAND
            };
            let known: Vec<&str> = OPTIONS.iter().chain(shown).chain(&SHOWN).copied().collect();
            let Some(fields) = self.fields(node, &format!("`{key}`"), &known) else {
                continue;
            };
            let ignored: Vec<&str> = shown
                .iter()
                .copied()
                .filter(|name| fields.get(name).is_some())
                .collect();
            if key == "commandLineOptions" && !ignored.is_empty() {
                let names = super::listed(&ignored);
                self.warn(format!(
                    "{}: {names} in `{key}` is for another command line, and is ignored",
                    node.place()
                ));
            }
            self.run_options(&fields, settings);
        }
    }

    fn run_options(&self, fields: &Fields<'_>, settings: &mut Settings) {
        let count = |key: &str, bounds| self.count_at(fields, key, bounds);
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(is_cached) = self.bool_at(fields, "cache") {
            settings.is_cached = is_cached;
        }
        if let Some(delay) = count("delay", (0, 3_600_000)) {
            settings.delay_ms = delay;
        }
        if let Some(concurrency) = count("maxConcurrency", (1, 256)) {
            settings.concurrency = narrow(concurrency);
        }
        if let Some(repeat) = count("repeat", (1, 1000)) {
            settings.repeat = narrow(repeat);
        }
        // 0 is promptfoo's word for no limit.
        if let Some(timeout) = count("timeoutMs", (0, MAX_MS)) {
            settings.timeout_ms = Some(timeout).filter(|timeout| 0 < *timeout);
        }
        if let Some(deadline) = count("maxEvalTimeMs", (0, MAX_MS)) {
            settings.deadline_ms = Some(deadline).filter(|deadline| 0 < *deadline);
        }
        if let Some(node) = fields.get("filterRange") {
            settings.range = self.range(node);
        }
    }

    /// `START:END`, each of which may be left out.
    fn range(&self, node: &Node) -> Option<(usize, usize)> {
        let parsed = node.text().and_then(|text| {
            let (start, end) = text.trim().split_once(':')?;
            let number = |text: &str, absent: usize| match text.trim() {
                "" => Some(absent),
                text => text.parse::<usize>().ok(),
            };
            Some((number(start, 0)?, number(end, usize::MAX)?))
        });
        let range = parsed.filter(|(start, end)| start <= end && *end != 0);
        if range.is_none() {
            self.wrong(
                node,
                "`filterRange` is no range",
                "write `0:10`, the first ten cases",
            );
        }
        range
    }
}
