//! How far the outputs of two versions lie apart, as a run of evals has found that asked both. Nobody is
//! asked anew.

use crate::cli::evals::moved;
use crate::cli::output::{Failure, at};
use crate::cli::paint::{Paint, Style};
use crate::cli::reach::{Admin, escape};
use crate::evals::render::shift::sentences;
use crate::evals::report::RunReport;
use crate::evals::shift::{OutputShift, SubjectShift};
use crate::prompts::diff::Pair;
use crate::wire::escape::{markdown as prose, markdown_code as code};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What `--outputs` without a run means.
pub(super) const NEWEST: &str = "newest";
/// Runs that are looked through.
const LOOKED_THROUGH: usize = 20;

/// What is known of the outputs of a prompt's two versions.
pub(super) struct Outputs {
    prompt: String,
    /// The run that was looked into; `None` for the newest ones.
    named: Option<String>,
    found: Option<Found>,
}

struct Found {
    run: String,
    whole: OutputShift,
    subject: SubjectShift,
}

/// Looks for the versions of each pair in a run, or in the newest ones.
pub(super) async fn find(
    admin: Option<&Admin>,
    run: &str,
    pairs: &[Pair],
) -> Result<Vec<Outputs>, Failure> {
    let wanted = pairs.iter().filter_map(versions);
    let mut all: Vec<(Outputs, Names)> = wanted
        .map(|names| {
            let prompt = names.prompt.clone();
            let outputs = Outputs {
                prompt,
                named: (run != NEWEST).then(|| run.to_owned()),
                found: None,
            };
            (outputs, names)
        })
        .collect();
    let Some(admin) = admin else {
        return Ok(all.into_iter().map(|(outputs, _)| outputs).collect());
    };
    for run in runs(admin, run).await? {
        if all.iter().all(|(outputs, _)| outputs.found.is_some()) {
            break;
        }
        let path = format!("/api/evals/runs/{}/report", escape(&run));
        let report: RunReport = serde_json::from_value(admin.get(&path).await?)
            .map_err(|error| Failure::new(format!("run `{run}` cannot be read: {error}")))?;
        let Some(shift) = report.output_shift else {
            continue;
        };
        for (outputs, names) in &mut all {
            if outputs.found.is_none() {
                outputs.found = names.within(&run, &shift);
            }
        }
    }
    Ok(all.into_iter().map(|(outputs, _)| outputs).collect())
}

/// The runs to look at: the one that is named, or those that have ended, the newest first.
async fn runs(admin: &Admin, run: &str) -> Result<Vec<String>, Failure> {
    if run != NEWEST {
        return Ok(vec![run.to_owned()]);
    }
    let path = format!("/api/evals/runs?limit={LOOKED_THROUGH}");
    let listed = admin.get(&path).await?;
    let data = at(&listed, "data").as_array();
    let has_ended = |run: &&Value| at(run, "state") == "ended";
    let ended = data.into_iter().flatten().filter(has_ended);
    let ids = ended.filter_map(|run| at(run, "id").as_str().map(str::to_owned));
    Ok(ids.collect())
}

/// A prompt with the hashes of its two versions.
struct Names {
    prompt: String,
    base: String,
    head: String,
}

fn versions(pair: &Pair) -> Option<Names> {
    let (base, head) = (pair.base.as_ref()?, pair.head.as_ref()?);
    let names = Names {
        prompt: head.key.as_str().to_owned(),
        base: base.bundle.hash().to_hex(),
        head: head.bundle.hash().to_hex(),
    };
    (names.base != names.head).then_some(names)
}

impl Names {
    fn within(&self, run: &str, shift: &OutputShift) -> Option<Found> {
        let is_ours = |subject: &&SubjectShift| {
            subject.prompt == self.prompt
                && subject.base.hash.as_ref() == Some(&self.base)
                && subject.head.hash.as_ref() == Some(&self.head)
        };
        let subject = shift.subjects.iter().find(is_ours)?;
        Some(Found {
            run: run.to_owned(),
            whole: OutputShift {
                subjects: Vec::new(),
                ..shift.clone()
            },
            subject: subject.clone(),
        })
    }
}

impl Outputs {
    fn missing(&self) -> String {
        let who = match &self.named {
            Some(run) => format!("run `{run}` has not"),
            None => format!("none of the newest {LOOKED_THROUGH} runs has"),
        };
        format!(
            "{who} embedded the outputs of both versions of `{}`; `output_shift: true` under \
             `metadata.promptgate` of its suite and `promptgate evals run SUITE --base REF` make one",
            self.prompt
        )
    }

    /// Writes it for a terminal.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut out = String::new();
        let Some(found) = &self.found else {
            paint.paragraph(&mut out, "\noutputs: ", 9, &self.missing());
            return out;
        };
        let heading = format!("outputs of {}", self.prompt);
        let _ = writeln!(
            out,
            "\n{}, by run {}",
            paint.text(Style::Strong, &heading),
            found.run
        );
        out.push_str(&moved(&found.whole, &found.subject, paint));
        out
    }

    /// Writes it as Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut out = format!("\n#### Outputs of {}\n\n", code(&self.prompt));
        let Some(found) = &self.found else {
            let _ = writeln!(out, "{}", prose(&self.missing()));
            return out;
        };
        for sentence in sentences(&found.whole, &found.subject) {
            let _ = writeln!(out, "- {}", prose(&sentence));
        }
        let _ = writeln!(out, "- Run {}.", code(&found.run));
        out
    }

    /// Returns it for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "prompt": self.prompt,
            "run": self.found.as_ref().map(|found| &found.run),
            "model": self.found.as_ref().map(|found| &found.whole.model),
            "shift": self.found.as_ref().map(|found| &found.subject),
        })
    }
}
