//! The diff for a terminal.

use crate::cli::diff::words;
use crate::cli::paint::{Paint, Style, clean};
use crate::prompts::diff::{
    Change, Diff, Hunk, LineKind, MessageChange, PromptDiff, SampleDiff, Verdict,
};
use std::fmt::Write as _;

/// Writes a whole diff.
pub(super) fn write(diff: &Diff, paint: Paint) -> String {
    let mut out = String::new();
    let heads = format!("{} -> {}", words::tree(&diff.base), words::tree(&diff.head));
    let Some(verdict) = diff.verdict else {
        let _ = writeln!(out, "{heads}: no prompt differs");
        return out;
    };
    let counted = match diff.prompts.len() {
        1 => "1 prompt differs".to_owned(),
        count => format!("{count} prompts differ"),
    };
    let _ = writeln!(
        out,
        "{}: {counted}, {}",
        paint.text(Style::Strong, &heads),
        paint.text(style(verdict), verdict.as_str())
    );
    for (index, prompt) in diff.prompts.iter().enumerate() {
        out.push('\n');
        let no_records = diff.no_records.as_ref();
        match words::same_change(&diff.prompts, index) {
            Some(other) => {
                title(&mut out, prompt, paint);
                let same = format!("the same change as of {}", other.name);
                paint.paragraph(&mut out, "  ", 4, &same);
                let is_known = prompt.reach.usage.is_some();
                let reach = is_known.then(|| words::reach(&prompt.reach, no_records));
                lines(&mut out, paint, "reach", reach);
            }
            None => one(&mut out, prompt, no_records, paint),
        }
    }
    if !diff.shared.is_empty() {
        let _ = writeln!(
            out,
            "\n{}",
            paint.text(
                Style::Strong,
                "shared files that differ, and what is made from them"
            )
        );
        for file in &diff.shared {
            let users: Vec<&str> = file
                .prompts
                .iter()
                .map(crate::domain::PromptKey::as_str)
                .collect();
            let head = format!("  {}: ", clean(&file.path));
            paint.paragraph(&mut out, &head, 4, &users.join(", "));
        }
    }
    out
}

/// Writes what differs between two versions, without what it costs whom.
pub(super) fn changes(diff: &PromptDiff, paint: Paint) -> String {
    let mut out = String::new();
    title(&mut out, diff, paint);
    findings(&mut out, diff, paint);
    section(&mut out, paint, "template", |out| {
        hunks(out, &diff.template, 4, paint);
    });
    declared(&mut out, diff, paint);
    out
}

const fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Breaking => Style::Removed,
        Verdict::Behavioural => Style::Warning,
        Verdict::Cosmetic => Style::Added,
    }
}

fn one(out: &mut String, diff: &PromptDiff, no_records: Option<&String>, paint: Paint) {
    title(out, diff, paint);
    findings(out, diff, paint);
    for problem in &diff.problems {
        paint.paragraph(out, "    ", 4, &problem.to_string());
    }
    section(out, paint, "template", |out| {
        hunks(out, &diff.template, 4, paint);
    });
    if words::is_alone(diff) {
        // The template says it all.
    } else if words::is_untouched(&diff.samples) && 1 < diff.samples.len() {
        let name = format!("messages of {} samples", diff.samples.len());
        lines(out, paint, &name, Some(vec!["unchanged".to_owned()]));
    } else {
        for (index, sample) in diff.samples.iter().enumerate() {
            of_sample(out, diff, index, sample, paint);
        }
    }
    declared(out, diff, paint);
    lines(
        out,
        paint,
        "cost",
        diff.forecast.as_ref().map(words::forecast),
    );
    lines(out, paint, "cache", diff.cache.as_ref().map(words::cache));
    lines(
        out,
        paint,
        "reach",
        Some(words::reach(&diff.reach, no_records)),
    );
}

fn title(out: &mut String, diff: &PromptDiff, paint: Paint) {
    let versions = match &diff.change {
        Change::Added => format!("new, {}", words::version(diff.head.as_ref())),
        Change::Removed => format!("gone, was {}", words::version(diff.base.as_ref())),
        Change::Broken => format!("does not load, was {}", words::version(diff.base.as_ref())),
        Change::Renamed { from } => format!(
            "renamed from {from}, {}",
            words::version(diff.head.as_ref())
        ),
        Change::Changed => {
            format!(
                "{} -> {}",
                words::version(diff.base.as_ref()),
                words::version(diff.head.as_ref())
            )
        }
    };
    let _ = writeln!(
        out,
        "{}  {versions}  {}",
        paint.text(Style::Strong, diff.name.as_str()),
        paint.text(style(diff.verdict), diff.verdict.as_str())
    );
}

fn findings(out: &mut String, diff: &PromptDiff, paint: Paint) {
    for finding in &diff.findings {
        let verdict = format!("{:<11}", finding.verdict.as_str());
        let head = format!("  {} ", paint.text(style(finding.verdict), &verdict));
        let told = format!("{}: {}", finding.rule.as_str(), finding.message);
        paint.paragraph(out, &head, 14, &told);
    }
}

fn section(out: &mut String, paint: Paint, name: &str, write: impl FnOnce(&mut String)) {
    let mut inner = String::new();
    write(&mut inner);
    if !inner.is_empty() {
        let _ = write!(out, "  {}\n{inner}", paint.text(Style::Strong, name));
    }
}

fn lines(out: &mut String, paint: Paint, name: &str, lines: Option<Vec<String>>) {
    section(out, paint, name, |out| {
        for line in lines.into_iter().flatten() {
            paint.paragraph(out, "    ", 6, &line);
        }
    });
}

fn declared(out: &mut String, diff: &PromptDiff, paint: Paint) {
    section(out, paint, "variables", |out| {
        for variable in &diff.variables {
            let (sign, words) = words::variable(variable);
            let style = match sign {
                '+' => Style::Added,
                '-' => Style::Removed,
                _ => Style::Warning,
            };
            let head = format!(
                "    {} ",
                paint.text(style, &format!("{sign} {}:", variable.name))
            );
            paint.paragraph(out, &head, 6, &words);
        }
    });
    section(out, paint, "settings", |out| {
        for setting in &diff.settings {
            let head = format!("    {}: ", setting.name);
            paint.paragraph(out, &head, 6, &words::setting(setting));
        }
    });
    section(out, paint, "contracts", |out| {
        for contract in &diff.contracts {
            let (name, answers) = words::contract(contract);
            for answer in answers {
                paint.paragraph(out, &format!("    {name}: "), 6, &answer);
            }
        }
    });
}

fn of_sample(out: &mut String, diff: &PromptDiff, index: usize, sample: &SampleDiff, paint: Paint) {
    let name = format!("messages of {}", words::sample(sample));
    section(out, paint, &name, |out| {
        for (side, error) in [("base", &sample.base_error), ("head", &sample.head_error)] {
            if let Some(error) = error {
                paint.paragraph(
                    out,
                    "    ",
                    6,
                    &format!("the {side} cannot render it: {error}"),
                );
            }
        }
        if let Some(twin) = words::twin(diff, index) {
            paint.paragraph(
                out,
                "    ",
                6,
                &format!("as those of sample `{}`", twin.sample),
            );
            return;
        }
        let changed = sample
            .messages
            .iter()
            .filter(|message| message.change != MessageChange::Unchanged);
        for message in changed {
            paint.paragraph(out, "    ", 6, &words::message(message));
            hunks(out, &message.hunks, 6, paint);
        }
        if out.is_empty() {
            paint.paragraph(out, "    ", 6, "unchanged");
        }
    });
}

fn hunks(out: &mut String, hunks: &[Hunk], indent: usize, paint: Paint) {
    let margin = " ".repeat(indent);
    let mut file = "";
    for hunk in hunks {
        let first = hunk.lines.first().map_or(0, |line| line.line);
        if hunk.file == file {
            let _ = writeln!(out, "{margin}{}", paint.text(Style::Faint, "..."));
        } else {
            let place = format!("{}:{first}", hunk.file);
            let _ = writeln!(out, "{margin}{}", paint.text(Style::Faint, &place));
        }
        file = &hunk.file;
        let last = hunk.lines.iter().map(|line| line.line).max().unwrap_or(0);
        let width = last.to_string().len();
        for line in &hunk.lines {
            let (sign, style) = match line.kind {
                LineKind::Context => (' ', Style::Plain),
                LineKind::Removed => ('-', Style::Removed),
                LineKind::Added => ('+', Style::Added),
            };
            let number = paint.text(Style::Faint, &format!("{:>width$}", line.line));
            let head = format!("{margin}{number} {} ", paint.text(style, &sign.to_string()));
            paint.marked(
                out,
                (&head, indent + width + 3),
                style,
                &line.text,
                &line.marks,
            );
        }
    }
}
