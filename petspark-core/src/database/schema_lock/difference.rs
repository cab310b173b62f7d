//! What a live schema has otherwise than it should, as it is told.

use std::fmt;

use serde::Serialize;

use crate::database::text_enum;

text_enum! {
    /// What a difference is about.
    pub enum DifferenceKind {
        /// A table isn't there, or is of another kind.
        Table = "table",
        /// A column isn't there, is there too much, of another type or with another default.
        Column = "column",
        /// A primary key.
        PrimaryKey = "primary_key",
        /// A check, or what else rows have to keep to.
        Constraint = "constraint",
        /// An index, unique or not.
        Index = "index",
        /// A foreign key, or one without an index.
        ForeignKey = "foreign_key",
        /// A trigger isn't there, switched off, or does something else.
        Trigger = "trigger",
    }
}

/// Something about a live schema that isn't as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about.
    pub kind: DifferenceKind,
    /// In which table.
    pub table: String,
    /// The column, index, key or trigger; empty for the table itself.
    pub name: String,
    /// What this build wants; `None` is that it isn't there.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str().replace('_', " ");
        match self.kind {
            DifferenceKind::Table => write!(f, "table {}", self.table)?,
            DifferenceKind::PrimaryKey => write!(f, "{kind} of {}", self.table)?,
            _ => write!(f, "{kind} {} of {}", self.name, self.table)?,
        }
        match (&self.expected, &self.found) {
            (Some(_), None) if self.kind == DifferenceKind::Table => write!(f, " is missing"),
            (Some(expected), None) => write!(f, " is missing ({expected})"),
            (None, Some(found)) => write!(f, " is none of ours ({found})"),
            (Some(expected), Some(found)) => write!(f, " is {found} instead of {expected}"),
            (None, None) => Ok(()),
        }
    }
}
