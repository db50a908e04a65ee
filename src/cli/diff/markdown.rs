//! The diff as a comment on a pull request.

use crate::cli::diff::words;
use crate::prompts::diff::{
    Change, Diff, Hunk, LineKind, MessageChange, PromptDiff, SampleDiff, Verdict,
};
use crate::wire::escape::{
    html as escaped, markdown as prose, markdown_block, markdown_cell as cell,
    markdown_code as code,
};
use std::fmt::Write as _;

/// Bytes of one prompt's hunks; a comment has a limit, and a reader too.
const MAX_HUNKS: usize = 12_000;

/// Writes a whole diff.
pub(super) fn write(diff: &Diff) -> String {
    let mut out = String::new();
    let heads = format!(
        "{} → {}",
        code(&words::tree(&diff.base)),
        code(&words::tree(&diff.head))
    );
    let Some(verdict) = diff.verdict else {
        let _ = writeln!(out, "### Prompts: nothing changes\n\n{heads}");
        return out;
    };
    let _ = writeln!(
        out,
        "### Prompts: {} {}\n\n{heads}\n",
        sign(verdict),
        verdict.as_str()
    );
    out.push_str("| prompt | version | verdict | why |\n| --- | --- | --- | --- |\n");
    for (index, prompt) in diff.prompts.iter().enumerate() {
        row(&mut out, prompt, words::same_change(&diff.prompts, index));
    }
    for (index, prompt) in diff.prompts.iter().enumerate() {
        if words::same_change(&diff.prompts, index).is_none() {
            one(&mut out, prompt, diff.no_records.as_ref());
        }
    }
    if !diff.shared.is_empty() {
        out.push_str("\n**Shared files that differ, and what is made from them**\n\n");
        for file in &diff.shared {
            let users: Vec<String> = file.prompts.iter().map(|key| code(key.as_str())).collect();
            let _ = writeln!(out, "- {}: {}", code(&file.path), users.join(", "));
        }
    }
    out
}

fn row(out: &mut String, prompt: &PromptDiff, twin: Option<&PromptDiff>) {
    let findings = prompt.findings.iter().take(3);
    let mut why: Vec<String> = findings.map(|finding| cell(&finding.message)).collect();
    let more = prompt.findings.len().saturating_sub(why.len());
    match twin {
        Some(twin) => {
            let twin = code(twin.name.as_str());
            why = vec![format!("the same change as of {twin}")];
        }
        None if 0 < more => why.push(format!("and {more} more")),
        None => {}
    }
    let _ = writeln!(
        out,
        "| {} | {} | {} {} | {} |",
        code(prompt.name.as_str()),
        cell(&versions(prompt)),
        sign(prompt.verdict),
        prompt.verdict.as_str(),
        why.join("<br>")
    );
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Breaking => "🔴",
        Verdict::Behavioural => "🟡",
        Verdict::Cosmetic => "🟢",
    }
}

fn versions(diff: &PromptDiff) -> String {
    match &diff.change {
        Change::Added => format!("new, {}", words::version(diff.head.as_ref())),
        Change::Removed => format!("gone, was {}", words::version(diff.base.as_ref())),
        Change::Broken => format!("does not load, was {}", words::version(diff.base.as_ref())),
        Change::Renamed { from } => format!("renamed from {from}"),
        Change::Changed => {
            format!(
                "{} → {}",
                words::version(diff.base.as_ref()),
                words::version(diff.head.as_ref())
            )
        }
    }
}

fn one(out: &mut String, diff: &PromptDiff, no_records: Option<&String>) {
    let open = if diff.verdict == Verdict::Breaking {
        " open"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "\n<details{open}><summary><b>{}</b>: {}</summary>\n",
        escaped(diff.name.as_str()),
        diff.verdict.as_str()
    );
    for finding in &diff.findings {
        let rule = finding.rule.as_str();
        let _ = writeln!(
            out,
            "- {} {rule}: {}",
            sign(finding.verdict),
            prose(&finding.message)
        );
    }
    for problem in &diff.problems {
        let _ = writeln!(out, "- {}", prose(&problem.to_string()));
    }
    if !diff.template.is_empty() {
        out.push_str("\n**Template**\n\n");
        hunks(out, &diff.template);
    }
    if words::is_alone(diff) {
        // The template says it all.
    } else if words::is_untouched(&diff.samples) && 1 < diff.samples.len() {
        let _ = writeln!(
            out,
            "\n**Messages of {} samples**: unchanged",
            diff.samples.len()
        );
    } else {
        for (index, sample) in diff.samples.iter().enumerate() {
            of_sample(out, diff, index, sample);
        }
    }
    lists(out, diff, no_records);
    out.push_str("\n</details>\n");
}

fn lists(out: &mut String, diff: &PromptDiff, no_records: Option<&String>) {
    let variables = diff.variables.iter().map(|variable| {
        let (sign, words) = words::variable(variable);
        format!("{sign} {}: {}", code(&variable.name), prose(&words))
    });
    list(out, "Variables", variables.collect());
    let settings = diff.settings.iter().map(|setting| {
        format!(
            "{}: {}",
            code(&setting.name),
            prose(&words::setting(setting))
        )
    });
    list(out, "Settings", settings.collect());
    let contracts = diff.contracts.iter().flat_map(|contract| {
        let (name, answers) = words::contract(contract);
        answers
            .into_iter()
            .map(move |answer| format!("{name}: {}", prose(&answer)))
    });
    list(out, "Contracts", contracts.collect());
    let plain = |lines: Option<Vec<String>>| -> Vec<String> {
        lines
            .into_iter()
            .flatten()
            .map(|line| prose(&line))
            .collect()
    };
    list(
        out,
        "Cost",
        plain(diff.forecast.as_ref().map(words::forecast)),
    );
    list(out, "Cache", plain(diff.cache.as_ref().map(words::cache)));
    list(
        out,
        "Reach",
        plain(Some(words::reach(&diff.reach, no_records))),
    );
}

fn list(out: &mut String, name: &str, items: Vec<String>) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n**{name}**\n");
    for item in items {
        let _ = writeln!(out, "- {item}");
    }
}

fn of_sample(out: &mut String, diff: &PromptDiff, index: usize, sample: &SampleDiff) {
    let changed: Vec<_> = sample
        .messages
        .iter()
        .filter(|message| message.change != MessageChange::Unchanged)
        .collect();
    let _ = writeln!(out, "\n**Messages of {}**\n", prose(&words::sample(sample)));
    for (side, error) in [("base", &sample.base_error), ("head", &sample.head_error)] {
        if let Some(error) = error {
            let _ = writeln!(out, "The {side} cannot render it: {}\n", prose(error));
        }
    }
    if let Some(twin) = words::twin(diff, index) {
        let _ = writeln!(out, "As those of sample {}.", code(&twin.sample));
        return;
    }
    if changed.is_empty() && sample.base_error.is_none() && sample.head_error.is_none() {
        out.push_str("Unchanged.\n");
    }
    for message in changed {
        let _ = writeln!(out, "{}\n", prose(&words::message(message)));
        hunks(out, &message.hunks);
    }
}

fn hunks(out: &mut String, hunks: &[Hunk]) {
    let mut text = String::new();
    for hunk in hunks {
        let first = hunk.lines.first().map_or(0, |line| line.line);
        let _ = writeln!(text, "@@ {}:{first} @@", hunk.file);
        for line in &hunk.lines {
            let sign = match line.kind {
                LineKind::Context => ' ',
                LineKind::Removed => '-',
                LineKind::Added => '+',
            };
            let _ = writeln!(text, "{sign}{}", line.text);
        }
    }
    if text.is_empty() {
        return;
    }
    let is_cut = MAX_HUNKS < text.len();
    text.truncate(text.floor_char_boundary(MAX_HUNKS));
    out.push_str(&markdown_block("diff", &text));
    if is_cut {
        out.push_str("\nThe rest is left out; `promptgate prompts diff` shows it all.\n");
    }
}
