//! What a run takes, in words.

use crate::cli::evals::check::Checked;
use crate::cli::output::clean;
use crate::domain::PicoDollars;
use std::fmt::Write as _;

/// Shows each suite: its size, its price, what it can see, and what should be known.
pub(crate) fn show(checked: &[Checked]) -> String {
    let mut text = String::new();
    for (index, checked) in checked.iter().enumerate() {
        if 0 < index {
            text.push('\n');
        }
        suite(&mut text, checked);
    }
    text
}

fn suite(text: &mut String, checked: &Checked) {
    let Checked {
        suite,
        plan,
        counts,
    } = checked;
    let _ = write!(text, "{}  {}", clean(&suite.name), clean(&suite.path));
    if let Some(description) = &suite.description {
        let _ = write!(text, "  {}", clean(description));
    }
    text.push('\n');
    let _ = writeln!(
        text,
        "  {} x {} x {} x {} = {}",
        some(suite.prompts.len(), "prompt"),
        some(suite.models.len(), "model"),
        some(counts.cases, "case"),
        some(
            usize::try_from(suite.settings.repeat).unwrap_or(1),
            "repeat"
        ),
        calls(counts.case_calls),
    );
    if 0 < counts.judge_calls {
        let _ = writeln!(text, "  {} of judges", calls(counts.judge_calls));
    }
    let forecast = &plan.forecast;
    let _ = match forecast.pico_usd {
        Some(amount) => writeln!(text, "  costs about ${}", rounded(amount)),
        None => writeln!(text, "  costs: unknown"),
    };
    for note in &forecast.notes {
        let _ = writeln!(text, "    {}", clean(note));
    }
    let _ = match forecast.detectable_drop {
        Some(drop) => writeln!(
            text,
            "  sees a drop of the pass rate of {:.1} points or more, four times out of five \
             (if one case in ten comes out otherwise)",
            drop * 100.0
        ),
        None => writeln!(text, "  a single case shows no drop of a rate"),
    };
    gates(text, checked);
    for warning in &plan.warnings {
        let _ = writeln!(text, "  warning: {}", clean(warning));
    }
}

fn gates(text: &mut String, checked: &Checked) {
    let gates = &checked.suite.settings.gates;
    if gates.is_empty() {
        text.push_str("  no gates: every case must pass\n");
        return;
    }
    let metrics: Vec<String> = gates.iter().map(|gate| clean(&gate.metric)).collect();
    let _ = writeln!(
        text,
        "  {}: {}",
        some(gates.len(), "gate"),
        metrics.join(", ")
    );
}

fn some(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

fn calls(count: u64) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} call{end}")
}

/// Dollars with the digits that say something.
fn rounded(pico: u64) -> String {
    const CENT: u64 = 10_000_000_000;
    let unit = match pico {
        0 => return "0".to_owned(),
        _ if pico < CENT => CENT / 10_000,
        _ => CENT,
    };
    let rounded = pico.div_ceil(unit).saturating_mul(unit);
    PicoDollars(rounded).to_dollars()
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn amounts_are_rounded_up() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000001"),
            (1_200_400_000, "0.001201"),
            (12_000_000_000, "0.02"),
            (1_500_000_000_000, "1.5"),
        ] {
            assert_eq!(rounded(pico), text);
        }
    }
}
