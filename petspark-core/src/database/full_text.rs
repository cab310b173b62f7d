//! Full-text search of pets on both engines: FTS5 on SQLite, tsvector on PostgreSQL. Only the
//! form of an expression differs; what is looked for, the domain says.
//!
//! Words are lower-case letters and digits without quotes (`text::fold`), so nothing in them
//! could be taken for syntax; they are quoted all the same.

use super::{Database, Engine};

/// The form of expressions for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullText {
    /// FTS5 (sqlite.org/fts5.html).
    Fts5,
    /// A tsquery.
    TsQuery,
}

impl Database {
    pub(crate) fn full_text(&self) -> FullText {
        match self.engine() {
            Engine::Sqlite(_) => FullText::Fts5,
            Engine::Postgres(_) => FullText::TsQuery,
        }
    }
}

impl FullText {
    /// A field has this word.
    pub(crate) fn word(self, field: &str, word: &str) -> String {
        match self {
            Self::Fts5 => format!("{field} : \"{word}\""),
            Self::TsQuery => format!("'{}{word}'", initial(field)),
        }
    }

    /// A field has a word that begins like this.
    pub(crate) fn beginning(self, field: &str, word: &str) -> String {
        let sign = match self {
            Self::Fts5 => " *",
            Self::TsQuery => ":*",
        };
        self.word(field, word) + sign
    }

    pub(crate) fn all(self, terms: &[String]) -> String {
        self.joined(terms, " AND ", " & ")
    }

    pub(crate) fn any(self, terms: &[String]) -> String {
        self.joined(terms, " OR ", " | ")
    }

    pub(crate) fn but_not(self, these: &str, those: &str) -> String {
        match self {
            Self::Fts5 => format!("({these}) NOT ({those})"),
            Self::TsQuery => format!("({these}) & !({those})"),
        }
    }

    fn joined(self, terms: &[String], fts5: &str, tsquery: &str) -> String {
        let joined = terms.join(if self == Self::Fts5 { fts5 } else { tsquery });
        format!("({joined})")
    }

    /// The condition on a stretch of pets, to be followed by the expression and `)`.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::Fts5 => "(pets_search MATCH ",
            Self::TsQuery => "(p.search @@ CAST(",
        }
    }

    /// The condition on `pets p` alone, in whatever order they come.
    pub(crate) fn membership(self) -> &'static str {
        match self {
            Self::Fts5 => "p.number IN (SELECT rowid FROM pets_search WHERE pets_search MATCH ",
            Self::TsQuery => "(p.search @@ CAST(",
        }
    }

    /// What ends either condition.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Self::Fts5 => ")",
            Self::TsQuery => " AS tsquery))",
        }
    }

    /// What keeps SQLite from beginning with [`membership`](Self::membership), before it.
    pub(crate) fn unindexed(self) -> &'static str {
        match self {
            Self::Fts5 => "+",
            Self::TsQuery => "",
        }
    }

    /// Where matches are looked for, the newest first: stretches of pets, one after the other.
    pub(crate) fn stretches(self) -> &'static [Stretch] {
        match self {
            // In this order: matches come newest first, and only as many as are wanted.
            Self::Fts5 => &[Stretch {
                source: "pets_search CROSS JOIN pets p ON p.number = pets_search.rowid",
                number: "pets_search.rowid",
            }],
            // PostgreSQL knows how rare a word is by a small sample, and a beginning of words not at all. It
            // would go through all pets in order for a rare one, or sort all that have a common one. So
            // the newest are looked through one by one; the LIMIT keeps the planner from anything else.
            // What doesn't fill a page from them is rare: of the others the index finds few. The sum
            // keeps the planner from taking their numbers' order after all.
            Self::TsQuery => &[
                Stretch {
                    source: "(SELECT * FROM pets WHERE number > (SELECT max(number) FROM pets) - 2000 \
                             ORDER BY number DESC LIMIT 2000) p",
                    number: "p.number",
                },
                Stretch {
                    source: "(SELECT * FROM pets WHERE number <= (SELECT max(number) FROM pets) - 2000 \
                             AND number > (SELECT max(number) FROM pets) - 10000 \
                             ORDER BY number DESC LIMIT 8000) p",
                    number: "p.number",
                },
                Stretch {
                    source: "(SELECT *, number + 0 AS older FROM pets \
                             WHERE number + 0 <= (SELECT max(number) FROM pets) - 10000) p",
                    number: "p.older",
                },
            ],
        }
    }
}

/// Some of the pets.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// A table of them, `p`.
    pub(crate) source: &'static str,
    /// What they are numbered by.
    pub(crate) number: &'static str,
}

/// What stands before the words of a field in the column `search`; see the migration.
fn initial(field: &str) -> char {
    match field {
        "name" => 'n',
        "breed" => 'b',
        _ => 't',
    }
}
