//! What a command has to say when it is done: data with a table form, which `output` writes.

use std::collections::BTreeMap;

use serde::ser::{Error as _, SerializeMap as _};
use serde::{Serialize, Serializer};

use crate::exit::Exit;
use crate::plugin::Failure;

/// A column of a table or a line of a record: its title, and its text for one row.
pub type Column<T> = (&'static str, fn(&T) -> String);

/// What a command did: data for standard output, remarks for a person, and the exit code.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) body: Body,
    pub(crate) notes: Vec<String>,
    pub(crate) exit: Exit,
    pub(crate) failed_besides: Option<Failure>,
}

/// JSON is kept as text: serde_json's own tree may or may not keep the order of fields,
/// depending on what else is in the build.
#[derive(Debug)]
pub(crate) enum Body {
    Nothing,
    Text(String),
    Record { document: String, line: String, fields: Vec<(&'static str, String)> },
    List { document: String, lines: Vec<String>, columns: Vec<&'static str>, rows: Vec<Vec<String>> },
    Failed(String),
}

impl Outcome {
    fn of(body: Body) -> Self {
        Self { body, notes: Vec::new(), exit: Exit::Done, failed_besides: None }
    }

    /// Done, with nothing to show.
    #[must_use]
    pub fn done() -> Self {
        Self::of(Body::Nothing)
    }

    /// Text that is written as it is in every format: scripts, templates.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Body::Text(text.into()))
    }

    /// One thing. `schema` names its JSON form, for example `clinic.visit/v1`; adding fields to
    /// it is compatible, anything else needs the next version.
    pub fn record<T: Serialize>(schema: &str, record: &T, fields: &[Column<T>]) -> Self {
        let document = Document { schema, record };
        Self::of(match (serde_json::to_string_pretty(&document), serde_json::to_string(&document)) {
            (Ok(document), Ok(line)) => {
                let fields = fields.iter().map(|(title, text)| (*title, text(record))).collect();
                Body::Record { document, line, fields }
            }
            (Err(error), _) | (_, Err(error)) => Body::Failed(error.to_string()),
        })
    }

    /// Some things: in JSON a list under `name`, in JSON lines a line each and a summary.
    pub fn list<T: Serialize>(schema: &str, name: &str, items: &[T], columns: &[Column<T>]) -> Self {
        Self::of_list(&List { schema, name, items, next_cursor: None, facts: Facts::new() }, columns)
    }

    /// The same with facts about all of them: beside the list in JSON, in the summary in JSON lines. A table
    /// has no place for them.
    pub fn list_with<T: Serialize>(
        schema: &str,
        name: &str,
        items: &[T],
        facts: &[(&str, &str)],
        columns: &[Column<T>],
    ) -> Self {
        let facts = facts.iter().copied().collect();
        Self::of_list(&List { schema, name, items, next_cursor: None, facts }, columns)
    }

    /// The same for a part of a longer list, with the cursor that asks for the next part: a person
    /// is told of it.
    pub fn page<T: Serialize>(
        schema: &str,
        name: &str,
        items: &[T],
        next_cursor: Option<&str>,
        columns: &[Column<T>],
    ) -> Self {
        let outcome = Self::of_list(&List { schema, name, items, next_cursor, facts: Facts::new() }, columns);
        match next_cursor {
            Some(cursor) => outcome.note(format!("There are more: --cursor {cursor}")),
            None => outcome,
        }
    }

    fn of_list<T: Serialize>(list: &List<'_, T>, columns: &[Column<T>]) -> Self {
        let List { items, next_cursor, facts, .. } = list;
        let document = serde_json::to_string_pretty(list);
        let mut lines: Vec<_> = items.iter().map(serde_json::to_string).collect();
        lines.push(serde_json::to_string(&Summary {
            summary: Count { count: items.len(), next_cursor: *next_cursor, facts },
        }));
        Self::of(match (document, lines.into_iter().collect()) {
            (Ok(document), Ok(lines)) => Body::List {
                document,
                lines,
                columns: columns.iter().map(|(title, _)| *title).collect(),
                rows: items.iter().map(|item| columns.iter().map(|(_, text)| text(item)).collect()).collect(),
            },
            (Err(error), _) | (_, Err(error)) => Body::Failed(error.to_string()),
        })
    }

    /// Adds a remark for a person: to standard error, and in the table format only.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Something else failed that was to be done along with it: that is told after the data, in every format, and gives
    /// the exit code unless the data has one of its own.
    #[must_use]
    pub(crate) fn besides(mut self, done: Result<(), Failure>) -> Self {
        self.failed_besides = done.err();
        self
    }

    /// Ends with this code instead of 0: the command did its work, and the answer is no.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    record: &'a T,
}

/// About a whole list, by name.
type Facts<'a> = BTreeMap<&'a str, &'a str>;

struct List<'a, T> {
    schema: &'a str,
    name: &'a str,
    items: &'a [T],
    next_cursor: Option<&'a str>,
    facts: Facts<'a>,
}

impl<T: Serialize> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if matches!(self.name, "schema" | "next_cursor") || self.facts.contains_key(self.name) {
            return Err(S::Error::custom("a list can't have this name"));
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", self.schema)?;
        for (name, fact) in &self.facts {
            map.serialize_entry(name, fact)?;
        }
        map.serialize_entry(self.name, self.items)?;
        if let Some(cursor) = self.next_cursor {
            map.serialize_entry("next_cursor", cursor)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    summary: Count<'a>,
}

#[derive(Serialize)]
struct Count<'a> {
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    #[serde(flatten)]
    facts: &'a Facts<'a>,
}
