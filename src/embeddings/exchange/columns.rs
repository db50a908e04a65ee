//! Columns of a PostgreSQL copy, which carries no names of its own.

use crate::embeddings::exchange::cells::COLUMNS;
use crate::embeddings::exchange::error::Fault;
use std::str::FromStr;

/// How a column's bytes are laid out in a binary copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColumnKind {
    /// `text`, `varchar`, `json`, `jsonb`, or the vector.
    #[default]
    Text,
    /// `smallint`, `integer`, `bigint`.
    Integer,
    /// `uuid`.
    Uuid,
}

/// A column by name: `id`, `id:int`, `id:uuid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its bytes are laid out.
    pub kind: ColumnKind,
}

impl FromStr for Column {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (name, kind) = text.trim().split_once(':').unwrap_or((text.trim(), "text"));
        let kind = match kind {
            "text" => ColumnKind::Text,
            "int" => ColumnKind::Integer,
            "uuid" => ColumnKind::Uuid,
            _ => {
                return Err(Fault::Unsupported {
                    what: format!("`{kind}` is no kind of a column"),
                    instead: "write `NAME`, `NAME:int` or `NAME:uuid`".to_owned(),
                });
            }
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }
}

/// Returns the columns of a copy with `count` of them: the declared ones, or those that are usual.
pub(super) fn of_copy(declared: &[Column], count: usize) -> Result<Vec<Column>, Fault> {
    if !declared.is_empty() {
        if declared.len() == count {
            return Ok(declared.to_vec());
        }
        return Err(Fault::Broken(format!(
            "the row has {count} columns, and {} were named",
            declared.len()
        )));
    }
    let without_text = || COLUMNS.into_iter().filter(|name| *name != "text").collect();
    let names: Vec<&str> = match count {
        2 => vec!["id", "embedding"],
        3 => vec!["id", "text", "embedding"],
        5 => without_text(),
        6 => COLUMNS.to_vec(),
        _ => {
            return Err(Fault::Unsupported {
                what: format!("the copy has {count} columns and no names"),
                instead: "name them in their order: `--columns id,text,embedding`".to_owned(),
            });
        }
    };
    let named = names.into_iter().map(|name| Column {
        name: name.to_owned(),
        kind: ColumnKind::Text,
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::{Column, ColumnKind, of_copy};

    #[test]
    fn columns_are_named_or_usual() {
        let column: Column = "key:uuid".parse().unwrap();
        assert_eq!(
            (column.name.as_str(), column.kind),
            ("key", ColumnKind::Uuid)
        );
        assert!("a:blob".parse::<Column>().is_err());
        let names = |count| -> Vec<String> {
            let columns = of_copy(&[], count).unwrap();
            columns.into_iter().map(|column| column.name).collect()
        };
        assert_eq!(names(2), ["id", "embedding"]);
        assert_eq!(
            names(5),
            ["id", "text_hash", "span", "metadata", "embedding"]
        );
        assert!(of_copy(&[], 4).is_err());
        let one = std::slice::from_ref(&column);
        assert_eq!(of_copy(one, 1).unwrap(), one);
        let error = of_copy(&[column], 3).unwrap_err();
        assert_eq!(error.to_string(), "the row has 3 columns, and 1 were named");
    }
}
