//! The report for a terminal: what decides first, then the figures, then what is lost and what moved. Lines of pieces that
//! say what they stand for; who prints them gives them colours.

mod tables;

use super::changed;
use super::words::{self, Tone};
use crate::embeddings::compare::report::{ComparisonReport, Fate, Hit, ItemChange, QueryChange};
use crate::wire::escape::visible;
use crate::wire::plain::cut;

/// Narrower terminals are written for as if they were this wide.
const MIN_WIDTH: usize = 40;
/// Bytes of a sentence, and characters of the beginning of a text.
const MAX_SENTENCE: usize = 1_000;
const MAX_TEXT: usize = 160;
/// Lost and gained answers, items that moved, clusters, rows of the threshold map, settings, findings and gates.
const MAX_QUERIES: usize = 8;
const MAX_MOVERS: usize = 4;
const MAX_CLUSTERS: usize = 5;
const MAX_THRESHOLDS: usize = 9;
const MAX_LINES: usize = 40;
/// Answers of a side.
const MAX_HITS: usize = 3;

/// What a piece of text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Words.
    Plain,
    /// What stands out: headings, names.
    Strong,
    /// What may be overlooked: units, heads of columns.
    Faint,
    /// What is well.
    Good,
    /// What is not.
    Bad,
    /// What nobody knows.
    Doubtful,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it stands for.
    pub role: Role,
    /// Its text: one line, without controls.
    pub text: String,
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pieces, from left to right.
    pub pieces: Vec<Piece>,
}

impl Role {
    const fn of(tone: Tone) -> Self {
        match tone {
            Tone::Good => Self::Good,
            Tone::Bad => Self::Bad,
            Tone::Doubtful => Self::Doubtful,
            Tone::Neutral => Self::Plain,
        }
    }

    /// What the blank stands for that is between a word of `before` and one of this.
    fn behind(self, before: Self) -> Self {
        if self == before { self } else { Self::Plain }
    }
}

impl Line {
    fn push(&mut self, role: Role, text: &str) {
        self.pieces.push(Piece {
            role,
            text: text.to_owned(),
        });
    }

    fn width(&self) -> usize {
        self.pieces
            .iter()
            .map(|piece| piece.text.chars().count())
            .sum()
    }
}

/// Returns the lines as text without colours.
#[must_use]
pub fn plain(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        let text: String = line
            .pieces
            .iter()
            .map(|piece| piece.text.as_str())
            .collect();
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Returns the report in lines of at most `width` characters (at least 40), but for words that are longer.
#[must_use]
pub fn terminal(report: &ComparisonReport, width: usize) -> Vec<Line> {
    let mut page = Page {
        lines: Vec::new(),
        width: width.max(MIN_WIDTH),
    };
    page.verdict(report);
    page.gates(report);
    page.compared(report);
    tables::figures(&mut page, report);
    tables::thresholds(&mut page, report);
    page.noise(report);
    page.queries(report, Fate::Lost);
    page.queries(report, Fate::Gained);
    page.movers(report);
    tables::clusters(&mut page, report);
    page.settings(report);
    page.method(report);
    page.lines
}

/// What is written so far.
struct Page {
    lines: Vec<Line>,
    width: usize,
}

impl Page {
    fn heading(&mut self, text: &str) {
        self.lines.push(Line::default());
        self.wrapped(&[(Role::Strong, text)], 0, 2);
    }

    /// Writes pieces one behind the other, broken at blanks; the first line has one indent, the others another.
    fn wrapped(&mut self, pieces: &[(Role, &str)], first: usize, rest: usize) {
        let mut line = Line::default();
        line.push(Role::Plain, &" ".repeat(first));
        let mut is_fresh = true;
        let mut before = Role::Plain;
        for (role, text) in pieces {
            let text = ascii(&visible(&words::one_line(text)));
            for word in text.split(' ').filter(|word| !word.is_empty()) {
                let room = self.width.saturating_sub(line.width());
                let needed = word.chars().count() + usize::from(!is_fresh);
                if !is_fresh && room < needed {
                    self.lines.push(joined(std::mem::take(&mut line)));
                    line.push(Role::Plain, &" ".repeat(rest));
                    is_fresh = true;
                }
                if !is_fresh {
                    line.push(role.behind(before), " ");
                }
                line.push(*role, &word.replace('\u{a0}', " "));
                (is_fresh, before) = (false, *role);
            }
        }
        self.lines.push(joined(line));
    }

    fn verdict(&mut self, report: &ComparisonReport) {
        let verdict = &report.verdict;
        let title = format!("{} -> {}:", report.a.name, report.b.name);
        let word = words::verdict(verdict.kind);
        let role = Role::of(words::tone(verdict.kind));
        self.wrapped(&[(Role::Strong, &cut(&title, 200)), (role, word)], 0, 2);
        self.wrapped(
            &[(Role::Plain, &cut(&verdict.sentence, MAX_SENTENCE))],
            2,
            2,
        );
        if let Some(more) = words::more_queries(&verdict.sentence, verdict.more_queries) {
            self.wrapped(&[(Role::Doubtful, &more)], 2, 2);
        }
        if let Some(advice) = &verdict.advice {
            self.wrapped(&[(Role::Plain, &cut(advice, MAX_SENTENCE))], 2, 2);
        }
        let rule = format!("rule: {}", cut(&verdict.rule, MAX_SENTENCE));
        self.wrapped(&[(Role::Faint, &rule)], 2, 4);
        for finding in words::findings(report).take(MAX_LINES) {
            let word = format!("{}:", words::verdict(finding.kind));
            let role = Role::of(words::tone(finding.kind));
            let sentence = cut(&finding.sentence, MAX_SENTENCE);
            self.wrapped(
                &[(Role::Plain, "-"), (role, &word), (Role::Plain, &sentence)],
                2,
                4,
            );
        }
        self.left_out(words::findings(report).count(), MAX_LINES);
    }

    fn gates(&mut self, report: &ComparisonReport) {
        if report.gates.is_empty() {
            return;
        }
        self.heading("gates");
        for gate in report.gates.iter().take(MAX_LINES) {
            let (word, tone) = words::outcome(gate.outcome);
            let more = words::more_queries(&gate.reason, gate.more_queries).unwrap_or_default();
            let name = format!("{}:", cut(&gate.gate, 200));
            self.wrapped(
                &[
                    (Role::of(tone), word),
                    (Role::Strong, &name),
                    (
                        Role::Plain,
                        &words::stopped(&cut(&gate.reason, MAX_SENTENCE)),
                    ),
                    (Role::Doubtful, &more),
                ],
                2,
                4,
            );
        }
        self.left_out(report.gates.len(), MAX_LINES);
    }

    fn compared(&mut self, report: &ComparisonReport) {
        self.heading("compared");
        for (name, side) in [("A", &report.a), ("B", &report.b)] {
            let id: String = side.id.0.chars().take(17).collect();
            let told = format!("{}, {id}", words::snapshot(side));
            let called = cut(&side.name, 200);
            self.wrapped(
                &[
                    (Role::Faint, name),
                    (Role::Strong, &called),
                    (Role::Plain, &told),
                ],
                2,
                4,
            );
        }
        for line in words::alignment(&report.alignment) {
            self.wrapped(&[(Role::Plain, &line)], 2, 4);
        }
    }

    fn noise(&mut self, report: &ComparisonReport) {
        if report.noise.is_empty() {
            return;
        }
        self.heading("the providers' own noise");
        for noise in report.noise.iter().take(2) {
            self.wrapped(&[(Role::Plain, &words::noise(noise))], 2, 4);
        }
    }

    fn queries(&mut self, report: &ComparisonReport, fate: Fate) {
        let Some(heading) = changed::fate(report, fate) else {
            return;
        };
        self.lines.push(Line::default());
        let role = if fate == Fate::Lost {
            Role::Bad
        } else {
            Role::Good
        };
        self.wrapped(&[(role, &heading)], 0, 2);
        let listed: Vec<&QueryChange> = changed::of_fate(report, fate).take(MAX_QUERIES).collect();
        for query in &listed {
            self.query(query);
        }
        if let Some(more) = changed::not_shown(report, fate, listed.len()) {
            self.wrapped(&[(Role::Faint, &more)], 2, 4);
        }
    }

    fn query(&mut self, query: &QueryChange) {
        let name = words::beginning(changed::query(query), MAX_TEXT);
        let mut told = format!(
            "overlap {}, RBO {}",
            words::two(query.overlap),
            words::two(query.rbo)
        );
        if let Some([a, b]) = query.first_relevant {
            told.push_str(&format!(
                ", first relevant at {} -> {}",
                changed::rank(a),
                changed::rank(b)
            ));
        }
        self.wrapped(&[(Role::Strong, &name), (Role::Faint, &told)], 2, 4);
        for (side, hits) in [("A", &query.a), ("B", &query.b)] {
            for (rank, hit) in (1_usize..).zip(hits.iter().take(MAX_HITS)) {
                self.hit(if rank == 1 { side } else { " " }, rank, hit);
            }
        }
    }

    fn movers(&mut self, report: &ComparisonReport) {
        let movers: Vec<&ItemChange> = changed::movers(report).take(MAX_MOVERS).collect();
        if movers.is_empty() {
            return;
        }
        self.heading("items whose neighbours changed most");
        for item in movers {
            let name = words::beginning(changed::item(item), MAX_TEXT);
            let told = format!(
                "overlap {}, RBO {}",
                words::two(item.overlap),
                words::two(item.rbo)
            );
            self.wrapped(&[(Role::Strong, &name), (Role::Faint, &told)], 2, 4);
            for (side, hits) in [("A", &item.a), ("B", &item.b)] {
                for hit in hits.iter().take(1) {
                    self.hit(side, 1, hit);
                }
            }
        }
    }

    fn hit(&mut self, side: &str, rank: usize, hit: &Hit) {
        let mark = if changed::is_relevant(hit) { "*" } else { " " };
        let head = format!("{side} {rank}{mark} {} ", words::two(hit.score));
        let indent = 4 + head.chars().count();
        let room = self.width.saturating_sub(indent).max(MIN_WIDTH / 2);
        let mut line = Line::default();
        line.push(Role::Faint, &format!("    {}", ascii(&head)));
        line.push(
            Role::Plain,
            &ascii(&visible(&words::beginning(changed::hit(hit), room - 1))),
        );
        self.lines.push(line);
    }

    fn settings(&mut self, report: &ComparisonReport) {
        if report.settings.is_empty() {
            return;
        }
        self.heading("settings that differ");
        for change in report.settings.iter().take(MAX_LINES) {
            let name = format!("{}:", cut(&change.setting, 120));
            let (before, after) = (
                words::setting(&change.before),
                words::setting(&change.after),
            );
            self.wrapped(
                &[
                    (Role::Faint, &name),
                    (Role::Bad, &before),
                    (Role::Plain, "->"),
                    (Role::Good, &after),
                ],
                2,
                4,
            );
        }
        self.left_out(report.settings.len(), MAX_LINES);
    }

    fn method(&mut self, report: &ComparisonReport) {
        self.heading("how");
        let lines = words::method(&report.method)
            .into_iter()
            .chain(words::detectable(report));
        for line in lines.take(MAX_LINES) {
            self.wrapped(&[(Role::Faint, &line)], 2, 4);
        }
    }

    fn left_out(&mut self, all: usize, shown: usize) {
        if let Some(more) = all.checked_sub(shown).filter(|more| 0 < *more) {
            self.wrapped(&[(Role::Faint, &format!("and {more} more"))], 2, 4);
        }
    }
}

/// Joins neighbouring pieces that stand for the same.
fn joined(line: Line) -> Line {
    let mut out = Line::default();
    for piece in line.pieces {
        match out.pieces.last_mut() {
            Some(last) if last.role == piece.role => last.text.push_str(&piece.text),
            _ => out.pieces.push(piece),
        }
    }
    out
}

/// Signs that every terminal has, and no line break between a figure and its unit.
fn ascii(text: &str) -> String {
    text.replace('−', "-")
        .replace('→', "->")
        .replace(" %", "\u{a0}%")
}
