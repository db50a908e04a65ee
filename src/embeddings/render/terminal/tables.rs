//! The tables of the terminal's report: figures, thresholds and clusters; where the terminal is too narrow, one row
//! under the other.

use super::{Line, MAX_CLUSTERS, MAX_LINES, MAX_THRESHOLDS, Page, Role, ascii};
use crate::embeddings::compare::report::{ComparisonReport, Figure, FigureGroup, Threshold};
use crate::embeddings::render::numbers::{grouped, signed};
use crate::embeddings::render::{changed, thresholds, words};
use crate::wire::escape::visible;

/// A cell: what it stands for, and its text.
pub(super) type Cell = (Role, String);

/// Rows under heads, of as many cells each.
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

pub(super) fn cell(role: Role, text: &str) -> Cell {
    (
        role,
        ascii(&visible(&words::one_line(text))).replace('\u{a0}', " "),
    )
}

impl Table {
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self {
            heads: heads.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(super) fn write(mut self, page: &mut Page) {
        self.without_empty_columns();
        let heads = self
            .heads
            .iter()
            .map(|head| (Role::Faint, (*head).to_owned()));
        let mut lines = vec![heads.collect::<Vec<Cell>>()];
        lines.append(&mut self.rows);
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells
                .map(|(_, text)| text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        if page.width < widths.iter().map(|width| width + 2).sum() {
            for row in lines.iter().skip(1) {
                self.stacked(page, row);
            }
            return;
        }
        for row in &lines {
            let mut line = Line::default();
            for ((role, text), width) in row.iter().zip(&widths) {
                line.push(Role::Plain, "  ");
                line.push(*role, text);
                line.push(
                    Role::Plain,
                    &" ".repeat(width.saturating_sub(text.chars().count())),
                );
            }
            page.lines.push(super::joined(line));
        }
    }

    fn without_empty_columns(&mut self) {
        let is_used = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.into_iter().any(|(_, text)| !text.is_empty())
        };
        let used: Vec<bool> = (0..self.heads.len()).map(is_used).collect();
        let mut places = used.iter().copied();
        self.heads.retain(|_| places.next().unwrap_or(true));
        for row in &mut self.rows {
            let mut places = used.iter().copied();
            row.retain(|_| places.next().unwrap_or(true));
        }
    }

    /// A row where the terminal is too narrow for a table.
    fn stacked(&self, page: &mut Page, row: &[Cell]) {
        let cells = self
            .heads
            .iter()
            .zip(row)
            .filter(|(_, (_, text))| !text.is_empty());
        let cells: Vec<(&str, Role, String)> = cells
            .enumerate()
            .map(|(index, (head, (role, text)))| {
                // The first cell is what the others are about.
                let (role, end) = if index == 0 {
                    (Role::Strong, ":")
                } else {
                    (*role, ",")
                };
                (head.trim_end_matches(" [95 %]"), role, text.clone() + end)
            })
            .collect();
        let mut pieces: Vec<(Role, &str)> = Vec::new();
        for (head, role, text) in &cells {
            pieces.extend([(Role::Faint, *head), (*role, text.as_str())]);
        }
        if let Some((_, text)) = pieces.last_mut() {
            *text = text.trim_end_matches(',');
        }
        page.wrapped(&pieces, 2, 4);
    }
}

/// Writes the figures that decide, then those that describe.
pub(super) fn figures(page: &mut Page, report: &ComparisonReport) {
    for group in words::DECIDING.into_iter().chain([FigureGroup::Descriptor]) {
        let all = words::figures(report, group).count();
        if all == 0 {
            continue;
        }
        page.heading(&words::group(group).to_lowercase().replace(" b ", " B "));
        let mut table = Table::new(&["", "A", "B", "value [95 %]", "noise", "chance", "n", ""]);
        let mut counts = Vec::new();
        for figure in words::figures(report, group).take(MAX_LINES) {
            if words::counted(figure).is_some() {
                counts.push(format!("{}: {}", figure.title, words::value(figure)));
            } else {
                table.row(of_figure(figure));
            }
        }
        table.write(page);
        for count in &counts {
            page.wrapped(&[(Role::Plain, count)], 2, 4);
        }
        page.left_out(all, MAX_LINES);
    }
}

fn of_figure(figure: &Figure) -> Vec<Cell> {
    let [a, b] = words::sides(figure).unwrap_or_default();
    let optional = |value: Option<f64>| value.map(words::yardstick).unwrap_or_default();
    let wins = figure
        .win_loss_tie
        .map(|[wins, losses, ties]| format!("+{wins} -{losses} ={ties}"));
    vec![
        cell(Role::Plain, &words::beginning(&figure.title, 44)),
        cell(Role::Plain, &a),
        cell(Role::Plain, &b),
        cell(
            Role::of(words::direction(figure)),
            &words::with_interval(figure),
        ),
        cell(Role::Plain, &optional(figure.noise)),
        cell(Role::Plain, &optional(figure.chance)),
        cell(Role::Faint, &grouped(figure.n)),
        cell(Role::Faint, &wins.unwrap_or_default()),
    ]
}

/// Writes the threshold map, in steps when it is long.
pub(super) fn thresholds(page: &mut Page, report: &ComparisonReport) {
    if report.thresholds.is_empty() {
        return;
    }
    page.heading("what a score threshold in A becomes in B");
    let mut table = Table::new(&[
        "A",
        "B [95 %]",
        "pass per query",
        "unchanged in B",
        "hits: A, unchanged, mapped",
    ]);
    let step = report.thresholds.len().div_ceil(MAX_THRESHOLDS).max(1);
    for row in report.thresholds.iter().step_by(step) {
        table.row(of_threshold(row));
    }
    table.write(page);
    if let Some(row) = thresholds::typical(report) {
        page.wrapped(&[(Role::Plain, &thresholds::mapped(row))], 2, 4);
    }
}

/// Writes the clusters of A that changed most.
pub(super) fn clusters(page: &mut Page, report: &ComparisonReport) {
    if report.clusters.is_empty() {
        return;
    }
    page.heading("where it changed: clusters of A");
    let heads = [
        "",
        "items",
        "overlap",
        "stay together in A",
        "in B",
        "nDCG, B less A",
    ];
    let mut table = Table::new(&heads);
    for cluster in report.clusters.iter().take(MAX_CLUSTERS) {
        let optional = |value: Option<f64>| value.map(words::two).unwrap_or_default();
        let [a, b] = cluster
            .cohesion
            .map_or([None, None], |sides| sides.map(Some));
        let delta = cluster.ndcg_delta.map(|delta| signed(delta, 3));
        table.row(vec![
            cell(Role::Plain, &changed::cluster(cluster)),
            cell(Role::Plain, &grouped(cluster.items)),
            cell(Role::Strong, &optional(cluster.overlap)),
            cell(Role::Plain, &optional(a)),
            cell(Role::Plain, &optional(b)),
            cell(Role::Plain, &delta.unwrap_or_default()),
        ]);
    }
    table.write(page);
    page.left_out(report.clusters.len(), MAX_CLUSTERS);
}

fn of_threshold(row: &Threshold) -> Vec<Cell> {
    let hits = thresholds::hits(row).map(|hits| hits.join(", "));
    let [low, high] = row.b_interval;
    vec![
        cell(Role::Plain, &words::chosen(row.a)),
        cell(
            Role::Strong,
            &format!(
                "{} [{}, {}]",
                words::score_of(row.b),
                words::score_of(low),
                words::score_of(high)
            ),
        ),
        cell(Role::Plain, &words::two(row.per_query)),
        cell(Role::Plain, &thresholds::unchanged(row)),
        cell(Role::Plain, &hits.unwrap_or_default()),
    ]
}
