//! What is known to hurt in a migration, looked for in the SQL of this build: locks that stop a
//! busy table, steps that fail on rows or can't be one transaction, names and indexes that others
//! rely on. An error must not land; a warning wants a person to have thought about it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::migrate::Migration;
use super::schema_lock::SchemaLock;
use super::text_enum;
use crate::error::Fault;

text_enum! {
    /// How bad it is.
    pub enum Gravity {
        /// Must not land.
        Error = "error",
        /// May land when somebody has thought about it.
        Warning = "warning",
    }
}

/// Something about a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub gravity: Gravity,
    /// The rule, in a word or two.
    pub rule: &'static str,
    /// Which migration; `schema` for what all of them make together.
    pub migration: String,
    /// `sqlite`, `postgres`, or both.
    pub engine: &'static str,
    /// The beginning of the statement, or the name of what is meant.
    pub subject: String,
    /// Why, and what to do instead.
    pub hint: &'static str,
}

impl Migration {
    /// What is wrong, or doubtful, with the migrations of this build.
    ///
    /// # Errors
    /// None in a build whose tests pass: the schema lock is compiled in.
    pub fn lint() -> Result<Vec<Finding>, Fault> {
        let mut findings = Vec::new();
        let mut last = 0;
        for step in Self::all() {
            if step.version <= last || !step.name.starts_with(&format!("{:04}_", step.version)) {
                findings.push(finding(Gravity::Error, "numbering", step.name, "both", step.name, NUMBERING));
            }
            last = step.version;
            findings.extend(lint_step(step.name, step.sqlite, step.postgres));
        }
        for (engine, lock) in SchemaLock::all()? {
            findings.extend(lock.lint().into_iter().map(|(rule, subject)| {
                let hint = if rule == "unique-name" { UNIQUE_NAME } else { UNINDEXED };
                finding(Gravity::Error, rule, "schema", engine, &subject, hint)
            }));
        }
        Ok(findings)
    }
}

const NUMBERING: &str = "a number is used once, grows, and begins the name with four digits";
const UNIQUE_NAME: &str = "is called {table}_{columns}_key, by which errors are told apart";
const UNINDEXED: &str = "what a row refers to can't be deleted without reading the whole table; add an index";
const TRANSACTION: &str = "a step is one transaction together with its history row; leave beginning and ending to it";
const NO_TRANSACTION: &str = "can't be run in a transaction, which every step is";
const LOCKS: &str = "stops everybody who uses the table for as long as it takes";
const REWRITES: &str = "rewrites the table while nobody can read it, unless the types are compatible";
const NOT_NULL: &str = "fails when there are rows; give a DEFAULT, or add it without, fill it, and require it then";
const LOSES: &str = "the release before this one still reads it; take it away one release after nobody does";
const INDEX: &str = "nobody can write to the table while the index is built; fine while it is small";
const DROP_FIRST: &str = "nobody can read the table, either, while the new index is built: build it first, under another name, then drop the old one and rename it";
const NOT_VALID: &str = "reads the whole table under a lock; add it NOT VALID, and VALIDATE it in a later step";
const STRICT: &str = "without STRICT SQLite stores anything in any column";
const ENGINES: &str = "both engines have the same tables";

fn finding(
    gravity: Gravity,
    rule: &'static str,
    migration: &str,
    engine: &'static str,
    subject: &str,
    hint: &'static str,
) -> Finding {
    let subject = subject.chars().take(60).collect();
    Finding { gravity, rule, migration: migration.to_owned(), engine, subject, hint }
}

fn lint_step(name: &str, sqlite: &str, postgres: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut made = Vec::new();
    for (engine, sql) in [("sqlite", sqlite), ("postgres", postgres)] {
        let statements = statements(sql);
        let created: BTreeSet<_> = statements.iter().filter_map(|text| created_table(text)).collect();
        let renamed: BTreeSet<_> = statements.iter().filter_map(|text| text.split_once(" RENAME TO ")).collect();
        for text in &statements {
            let rebuilt = |table: &str| renamed.iter().any(|(_, to)| *to == table);
            for (gravity, rule, hint) in lint_statement(engine, text, &created, rebuilt) {
                findings.push(finding(gravity, rule, name, engine, text, hint));
            }
        }
        // On SQLite reading goes on, by what there was before.
        for (place, text) in statements.iter().enumerate().filter(|_| engine == "postgres") {
            if is_replaced(text, &statements[place..]) {
                findings.push(finding(Gravity::Warning, "drop-first", name, engine, text, DROP_FIRST));
            }
        }
        let is_of_both = |table: &String| !table.ends_with("_NEW");
        made.push(created.into_iter().filter(is_of_both).collect::<BTreeSet<_>>());
    }
    if let [sqlite, postgres] = &made[..] {
        for table in sqlite.symmetric_difference(postgres) {
            findings.push(finding(Gravity::Error, "engines-differ", name, "both", &table.to_lowercase(), ENGINES));
        }
    }
    findings
}

/// The rules about one statement, which is in capitals and has one space wherever it had any.
fn lint_statement(
    engine: &str,
    text: &str,
    created: &BTreeSet<String>,
    rebuilt: impl Fn(&str) -> bool,
) -> Vec<(Gravity, &'static str, &'static str)> {
    use Gravity::{Error, Warning};
    let mut found = Vec::new();
    let begins = |words: &[&str]| words.iter().any(|word| text == *word || text.starts_with(&format!("{word} ")));
    if begins(&["BEGIN", "COMMIT", "ROLLBACK", "END", "SAVEPOINT", "RELEASE", "START"]) {
        found.push((Error, "transaction", TRANSACTION));
    }
    if text.contains(" CONCURRENTLY ") || begins(&["VACUUM"]) {
        found.push((Error, "no-transaction", NO_TRANSACTION));
    }
    if begins(&["LOCK", "CLUSTER", "REINDEX", "TRUNCATE"]) {
        found.push((Error, "locks", LOCKS));
    }
    if let Some(table) = text.strip_prefix("DROP TABLE ")
        && !rebuilt(table)
    {
        found.push((Warning, "loses", LOSES));
    }
    if let Some(table) = text.strip_prefix("ALTER TABLE ").and_then(|rest| rest.split(' ').next()) {
        let is_new = created.contains(table);
        for column in text.split(" ADD COLUMN ").skip(1) {
            let column = column.split(',').next().unwrap_or(column);
            if column.contains(" NOT NULL") && !column.contains(" DEFAULT ") && !column.contains(" GENERATED ") {
                found.push((Error, "not-null", NOT_NULL));
            }
        }
        if text.contains(" DROP COLUMN ") || (text.contains(" RENAME ") && !is_new) {
            found.push((Warning, "loses", LOSES));
        }
        if text.contains(" ALTER COLUMN ") && text.contains(" TYPE ") {
            found.push((Warning, "rewrites", REWRITES));
        }
        if text.contains(" ADD CONSTRAINT ") && !text.contains(" NOT VALID") && !is_new {
            found.push((Warning, "not-valid", NOT_VALID));
        }
    }
    if engine == "postgres"
        && let Some((_, rest)) = text.split_once("INDEX ").filter(|_| begins(&["CREATE INDEX", "CREATE UNIQUE INDEX"]))
        && let Some((_, on)) = rest.split_once(" ON ")
        && !created.contains(on.split([' ', '(']).next().unwrap_or(on))
    {
        found.push((Warning, "index", INDEX));
    }
    if engine == "sqlite" && begins(&["CREATE TABLE"]) && !text.contains(") STRICT") {
        found.push((Error, "strict", STRICT));
    }
    found
}

/// Whether an index is dropped whose place one takes that is built after it: of the same name, or on the
/// table that its name begins with.
fn is_replaced(text: &str, after: &[String]) -> bool {
    let Some(rest) = text.strip_prefix("DROP INDEX ") else { return false };
    let rest = rest.strip_prefix("IF EXISTS ").unwrap_or(rest);
    let dropped: Vec<_> = rest.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    let mut built = after.iter().filter_map(|text| {
        let rest = text.strip_prefix("CREATE INDEX ").or_else(|| text.strip_prefix("CREATE UNIQUE INDEX "))?;
        let (name, on) = rest.split_once(" ON ")?;
        Some((name, format!("{}_", on.split([' ', '(']).next()?)))
    });
    built.any(|(name, table)| dropped.iter().any(|it| *it == name || it.starts_with(&table)))
}

fn created_table(text: &str) -> Option<String> {
    let rest = text.strip_prefix("CREATE TABLE ")?;
    let rest = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
    rest.split([' ', '(']).next().map(str::to_owned)
}

/// The statements of a script in capitals, without comments and texts. What stands in the body of
/// a trigger or function is left out: it isn't run by the migration.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '\'' => {
                text.push_str("''");
                rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
            }
            '$' if rest.starts_with("$$") => rest[2..].find("$$").map_or(rest.len(), |end| end + 4),
            ';' if is_open_trigger(&text) => {
                text.push(' ');
                1
            }
            ';' => {
                found.push(std::mem::take(&mut text));
                1
            }
            c => {
                text.extend(c.to_uppercase());
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    found.push(text);
    let one_space = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    found.iter().map(one_space).filter(|text| !text.is_empty()).map(without_body).collect()
}

/// Whether this is an SQLite trigger whose body has not ended.
fn is_open_trigger(text: &str) -> bool {
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let count = |word| words.iter().filter(|it| **it == word).count();
    words.starts_with(&["CREATE", "TRIGGER"]) && count("BEGIN") + count("CASE") > count("END")
}

fn without_body(text: String) -> String {
    match text.split_once(" BEGIN ") {
        Some((head, _)) if text.starts_with("CREATE TRIGGER ") => head.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_finds_what_it_is_for_and_nothing_else() {
        let good = "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY) STRICT;";
        let good_postgres = "CREATE TABLE a (id bigint NOT NULL PRIMARY KEY); CREATE INDEX a_id_idx ON a (id);";
        assert_eq!(lint_step("0001_a", good, good_postgres), []);
        for (sqlite, postgres, rule) in [
            ("CREATE TABLE a (id INTEGER);", "CREATE TABLE a (id bigint);", "strict"),
            ("", "CREATE TABLE a (id bigint);", "engines-differ"),
            ("", "BEGIN; SELECT 1;", "transaction"),
            ("", "create  index concurrently x on a (id);", "no-transaction"),
            ("", "LOCK TABLE a;", "locks"),
            ("", "DROP TABLE a;", "loses"),
            ("ALTER TABLE a DROP COLUMN b;", "", "loses"),
            ("ALTER TABLE a RENAME COLUMN b TO c;", "", "loses"),
            ("", "ALTER TABLE a\n    ADD COLUMN b text,\n    ADD COLUMN c text NOT NULL;", "not-null"),
            ("", "ALTER TABLE a ALTER COLUMN b TYPE bigint;", "rewrites"),
            ("", "ALTER TABLE a ADD CONSTRAINT b CHECK (c > 0);", "not-valid"),
            ("", "DROP INDEX a_b_idx; CREATE INDEX a_b_idx ON a (b, c);", "drop-first"),
            ("", "DROP INDEX IF EXISTS x, a_b_idx; SELECT 1; CREATE UNIQUE INDEX a_b_c_key ON a (b, c);", "drop-first"),
            ("", "-- big?\nCREATE UNIQUE INDEX a_b_key ON a (b);", "index"),
        ] {
            let rules: Vec<_> = lint_step("0001_a", sqlite, postgres).iter().map(|found| found.rule).collect();
            assert!(rules.contains(&rule), "{rule}: {rules:?}");
        }
    }

    #[test]
    fn texts_comments_and_bodies_are_not_statements() {
        let sql = "-- DROP TABLE a;\nSELECT 'DROP TABLE b; --';\n\
            CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; UPDATE c SET d = 1; END;\n\
            CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN; DROP TABLE x; $$;";
        assert_eq!(
            statements(sql),
            ["SELECT ''", "CREATE TRIGGER T AFTER INSERT ON A", "CREATE FUNCTION F() RETURNS TRIGGER AS"]
        );
    }

    #[test]
    fn the_migrations_of_this_build_have_no_errors() {
        let findings = Migration::lint().unwrap();
        let errors: Vec<_> = findings.iter().filter(|found| found.gravity == Gravity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let dropped: Vec<_> = findings.iter().filter(|found| found.rule == "drop-first").collect();
        assert!(
            dropped.len() == 3 && dropped.iter().all(|it| it.migration == "0019_filters_in_indexes"),
            "{dropped:#?}"
        );
        let other = "CREATE INDEX a_b_c_idx ON a (b, c); DROP INDEX a_b_idx;";
        assert!(lint_step("0001_a", "", other).iter().all(|found| found.rule != "drop-first"));
        // Or else it would read nothing any more.
        assert!(findings.iter().any(|found| found.rule == "index" && found.migration == "0017_deleted_pets"));
    }
}
