//! Comma-separated tables, as promptfoo reads them: quotes where they help, cells trimmed.

use crate::evals::suite::{Place, Problem};

/// Columns of a table.
const MAX_COLUMNS: usize = 1_000;
/// Rows of a table.
const MAX_ROWS: usize = 200_000;

/// A row with the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::evals) struct Record {
    /// The line it begins at.
    pub(in crate::evals) line: u32,
    /// Names and cells, in the order of the columns.
    pub(in crate::evals) cells: Vec<(String, String)>,
}

impl Record {
    /// The cell of a column.
    pub(in crate::evals) fn get(&self, column: &str) -> Option<&str> {
        let cell = self.cells.iter().find(|(name, _)| name == column);
        cell.map(|(_, text)| text.as_str())
    }
}

/// Reads a table whose first row names the columns.
pub(in crate::evals) fn table(
    text: &str,
    file: &str,
    delimiter: char,
) -> Result<Vec<Record>, Vec<Problem>> {
    let at = |line: u32| Place {
        file: file.to_owned(),
        line,
        column: 0,
    };
    let mut problems = Vec::new();
    let mut rows = Rows::new(text.strip_prefix('\u{feff}').unwrap_or(text), delimiter);
    let Some((_, header)) = rows.next() else {
        return Err(vec![
            Problem::new(at(1), "the table is empty").hint("name the columns in the first row"),
        ]);
    };
    for (index, name) in header.iter().enumerate() {
        if header.iter().take(index).any(|other| other == name) {
            let message = format!("the column `{name}` stands twice");
            problems.push(Problem::new(at(1), message));
        }
    }
    if MAX_COLUMNS < header.len() {
        problems.push(Problem::new(
            at(1),
            format!("there are more than {MAX_COLUMNS} columns"),
        ));
    }
    let mut records = Vec::new();
    for (line, cells) in rows.by_ref() {
        if MAX_ROWS < records.len() {
            problems.push(Problem::new(
                at(line),
                format!("there are more than {MAX_ROWS} rows"),
            ));
            break;
        }
        if cells.len() != header.len() {
            let message = format!(
                "the row has {} cells, and there are {} columns",
                cells.len(),
                header.len()
            );
            problems.push(
                Problem::new(at(line), message)
                    .hint("put a cell that has the delimiter in it in quotes"),
            );
            continue;
        }
        records.push(Record {
            line,
            cells: header.iter().cloned().zip(cells).collect(),
        });
    }
    if let Some(line) = rows.open {
        let problem = Problem::new(at(line), "a quoted cell is not closed");
        problems.push(problem.hint("write `\"` at its end; a quote inside is written twice"));
    }
    if problems.is_empty() {
        Ok(records)
    } else {
        Err(problems)
    }
}

/// Rows of cells with the line they begin at; empty lines are left out.
struct Rows<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    delimiter: char,
    line: u32,
    /// The line of a quoted cell that does not end.
    open: Option<u32>,
}

impl<'a> Rows<'a> {
    fn new(text: &'a str, delimiter: char) -> Self {
        Self {
            rest: text.chars().peekable(),
            delimiter,
            line: 1,
            open: None,
        }
    }

    /// Reads a cell; `true` when another one follows on the row.
    fn cell(&mut self) -> (String, bool) {
        while self
            .rest
            .next_if(|c| matches!(c, ' ' | '\t') && *c != self.delimiter)
            .is_some()
        {}
        if self.rest.next_if_eq(&'"').is_some() {
            return self.quoted();
        }
        let mut text = String::new();
        let goes_on = self.until_end(&mut text);
        (text.trim().to_owned(), goes_on)
    }

    fn quoted(&mut self) -> (String, bool) {
        let begun = self.line;
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => {
                    self.open = Some(begun);
                    return (text, false);
                }
                Some('"') if self.rest.next_if_eq(&'"').is_some() => text.push('"'),
                Some('"') => break,
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    text.push(c);
                }
            }
        }
        // What follows a closing quote belongs to the cell, quote included, as in relaxed parsers.
        let mut tail = String::new();
        let goes_on = self.until_end(&mut tail);
        if !tail.trim().is_empty() {
            text = format!("\"{text}\"{}", tail.trim_end());
        }
        (text.trim().to_owned(), goes_on)
    }

    /// Takes what is left of a cell.
    fn until_end(&mut self, text: &mut String) -> bool {
        while let Some(c) = self.rest.next() {
            if c == self.delimiter {
                return true;
            }
            if c == '\n' || c == '\r' {
                if c == '\r' {
                    self.rest.next_if_eq(&'\n');
                }
                self.line += 1;
                return false;
            }
            text.push(c);
        }
        false
    }
}

impl Iterator for Rows<'_> {
    type Item = (u32, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest.peek()?;
            let line = self.line;
            let mut cells = Vec::new();
            loop {
                let (cell, goes_on) = self.cell();
                cells.push(cell);
                if !goes_on {
                    break;
                }
            }
            if cells.iter().any(|cell| !cell.is_empty()) || 1 < cells.len() {
                return Some((line, cells));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    fn rows(text: &str) -> Vec<(u32, Vec<String>)> {
        let records = table(text, "t.csv", ',').unwrap();
        let cells = |record: super::Record| record.cells.into_iter().map(|(_, cell)| cell);
        records
            .into_iter()
            .map(|record| (record.line, cells(record).collect()))
            .collect()
    }

    #[test]
    fn cells_are_read_as_they_are_quoted() {
        for (text, expected) in [
            ("a,b\n1,2\n", vec![(2, vec!["1", "2"])]),
            (
                "a,b\r\n1,2\r\n\r\n3,4",
                vec![(2, vec!["1", "2"]), (4, vec!["3", "4"])],
            ),
            (
                "\u{feff}a,b\n \"x, y\" , z \n",
                vec![(2, vec!["x, y", "z"])],
            ),
            (
                "a,b\n\"say \"\"hi\"\"\",\"two\nlines\"\nc,d\n",
                vec![(2, vec!["say \"hi\"", "two\nlines"]), (4, vec!["c", "d"])],
            ),
            ("a,b\nit's \"so\",\n", vec![(2, vec!["it's \"so\"", ""])]),
            ("a,b\n\"x\" y,2\n", vec![(2, vec!["\"x\" y", "2"])]),
            ("a,b\n,\n", vec![(2, vec!["", ""])]),
        ] {
            let expected: Vec<(u32, Vec<String>)> = expected
                .into_iter()
                .map(|(line, cells)| (line, cells.into_iter().map(str::to_owned).collect()))
                .collect();
            assert_eq!(rows(text), expected, "{text:?}");
        }
        let tabs = table("a\tb\nx, y\tz\n", "t.csv", '\t').unwrap();
        assert_eq!(tabs[0].get("a"), Some("x, y"));
        assert_eq!(tabs[0].get("c"), None);
    }

    #[test]
    fn broken_tables_say_where() {
        for (text, problem) in [
            ("", "t.csv:1: the table is empty"),
            ("a,a\n1,2\n", "t.csv:1: the column `a` stands twice"),
            (
                "a,b\n1,2\n1,2,3\n",
                "t.csv:3: the row has 3 cells, and there are 2 columns",
            ),
            ("a,b\n1,\"2\n3\n", "t.csv:2: a quoted cell is not closed"),
        ] {
            let problems = table(text, "t.csv", ',').unwrap_err();
            assert_eq!(problems[0].to_string(), problem);
        }
    }
}
