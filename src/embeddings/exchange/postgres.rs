//! A script for `psql`: the table of pgvector, and its rows.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::{Output, Record, Sink, Texts, WriteOptions, cells, pgtext};
use std::io::Write as _;

/// The longest vector that pgvector's type `vector` holds.
const MAX_VECTOR: usize = 16_000;

/// A script that is written. The table's head waits for the first vector: its length is in the type.
pub(super) struct SqlSink {
    output: Output,
    texts: Texts,
    table: String,
    dimensions: Option<usize>,
    is_begun: bool,
    /// Rows without a vector that came before the length was known.
    waiting: String,
}

/// How much may wait for the first vector.
const MAX_WAITING: usize = 16 << 20;

impl SqlSink {
    pub(super) fn new(output: Output, options: &WriteOptions) -> Self {
        let table = match options.table.as_str() {
            "" => "embeddings",
            table => table,
        };
        Self {
            output,
            texts: options.texts,
            table: quoted(table),
            dimensions: options.dimensions,
            is_begun: false,
            waiting: String::new(),
        }
    }

    fn begin(&mut self, dimensions: usize) -> Result<(), Fault> {
        if MAX_VECTOR < dimensions {
            return Err(Fault::Unsupported {
                what: format!(
                    "`vector` of pgvector holds {MAX_VECTOR} dimensions, not {dimensions}"
                ),
                instead: "export to another format, or cut the vectors".to_owned(),
            });
        }
        let head = head(&self.table, self.texts, dimensions);
        self.is_begun = true;
        self.put(&head)?;
        let waiting = std::mem::take(&mut self.waiting);
        self.put(&waiting)
    }

    fn put(&mut self, text: &str) -> Result<(), Fault> {
        self.output
            .write_all(text.as_bytes())
            .map_err(Fault::writing)
    }
}

impl Sink for SqlSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let line = pgtext::line(record, self.texts)?;
        let known = self.dimensions.or(record.vector.as_ref().map(Vec::len));
        self.dimensions = known;
        if self.is_begun {
            return self.put(&line);
        }
        if let Some(dimensions) = known {
            self.begin(dimensions)?;
            return self.put(&line);
        }
        if MAX_WAITING < self.waiting.len() + line.len() {
            return Err(no_length());
        }
        self.waiting.push_str(&line);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        if !self.is_begun {
            self.begin(self.dimensions.ok_or_else(no_length)?)?;
        }
        self.put("\\.\n\nCOMMIT;\n")?;
        self.output.flush().map_err(Fault::writing)
    }
}

fn no_length() -> Fault {
    Fault::Unsupported {
        what: "no vector says how long the column's vectors are".to_owned(),
        instead: "say it: `--dimensions N`".to_owned(),
    }
}

/// Returns a name of SQL, in quotes; a dot divides schema and table.
fn quoted(name: &str) -> String {
    let quote = |part: &str| ["\"", &part.replace('"', "\"\""), "\""].concat();
    name.split('.').map(quote).collect::<Vec<_>>().join(".")
}

/// Returns all that stands before the rows.
fn head(table: &str, texts: Texts, dimensions: usize) -> String {
    let kind = |column: &str| match column {
        "id" => "text PRIMARY KEY".to_owned(),
        "span" | "metadata" => "jsonb".to_owned(),
        "embedding" => format!("vector({dimensions})"),
        _ => "text".to_owned(),
    };
    let columns = cells::columns(texts);
    let typed = columns
        .iter()
        .map(|name| format!("    {name} {}", kind(name)));
    let typed = typed.collect::<Vec<_>>().join(",\n");
    let names = columns.join(", ");
    format!(
        "\\set ON_ERROR_STOP on\nBEGIN;\n\nCREATE EXTENSION IF NOT EXISTS vector;\n\n\
         CREATE TABLE {table} (\n{typed}\n);\n\nCOPY {table} ({names}) FROM stdin;\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{head, quoted};
    use crate::embeddings::exchange::Texts;

    #[test]
    fn a_script_is_what_psql_takes() {
        let script = head(&quoted("public.my \"docs\""), Texts::HashOnly, 3);
        insta::assert_snapshot!(script, @r#"
        \set ON_ERROR_STOP on
        BEGIN;

        CREATE EXTENSION IF NOT EXISTS vector;

        CREATE TABLE "public"."my ""docs""" (
            id text PRIMARY KEY,
            text_hash text,
            span jsonb,
            metadata jsonb,
            embedding vector(3)
        );

        COPY "public"."my ""docs""" (id, text_hash, span, metadata, embedding) FROM stdin;
        "#);
    }
}
