//! Every format in a case that is carried over and in cases that are refused.

mod formats;
mod prompty;

use crate::prompts::import::{Foreign, Format, Import, import};
use std::fmt::Write as _;

fn foreign(path: &str, text: &str) -> Foreign {
    Foreign {
        path: path.to_owned(),
        text: text.to_owned(),
        toml: None,
    }
}

/// Everything that came of an import, as text.
fn show(import: &Import) -> String {
    let mut shown = String::new();
    for report in &import.prompts {
        writeln!(shown, "##### {} from {}", report.name, report.from).unwrap();
        for (word, items) in [
            ("carried", &report.carried),
            ("changed", &report.changed),
            ("dropped", &report.dropped),
        ] {
            for item in items {
                writeln!(shown, "{word}: {item}").unwrap();
            }
        }
        if let Some(alias) = &report.alias {
            writeln!(shown, "alias: {alias}").unwrap();
        }
        for path in &report.files {
            writeln!(shown, "=== {path}\n{}", import.files[path]).unwrap();
        }
    }
    for refusal in &import.refusals {
        let line = refusal
            .line
            .map_or(String::new(), |line| format!(":{line}"));
        writeln!(shown, "refused {}{line}: {}", refusal.path, refusal.message).unwrap();
    }
    shown
}

/// Imports one file that must be carried over.
fn carried(format: Format, path: &str, text: &str) -> String {
    let outcome = import(format, &[foreign(path, text)]);
    assert!(outcome.refusals.is_empty(), "{:#?}", outcome.refusals);
    show(&outcome)
}

/// Imports one file that must be refused: `line: message`.
fn refused(format: Format, path: &str, text: &str) -> String {
    let outcome = import(format, &[foreign(path, text)]);
    let shown = outcome.refusals.iter().map(|refusal| {
        let line = refusal.line.map_or("-".to_owned(), |line| line.to_string());
        format!("{line}: {}", refusal.message)
    });
    shown.collect::<Vec<_>>().join("; ")
}
