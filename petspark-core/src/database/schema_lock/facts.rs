//! The words in which the lock and a live schema are compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::database::schema::{Column, ForeignKey, Index, Table, Trigger};
use crate::text::hex;

/// What there is to say of a table: by name, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Nothing of an ordinary one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    options: String,
    pub(super) columns: BTreeMap<String, String>,
    pub(super) primary_key: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) constraints: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) indexes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) foreign_keys: BTreeMap<String, String>,
    /// Whether they fire.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) triggers: BTreeMap<String, String>,
    /// When the triggers fire, and what they do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) actions: BTreeMap<String, String>,
}

impl Facts {
    pub(super) fn of(table: &Table) -> Self {
        let fires = |trigger: &Trigger| if trigger.fires { "fires" } else { "switched off" }.to_owned();
        let mut foreign_keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for key in &table.foreign_keys {
            foreign_keys.entry(key.columns.join(", ")).or_default().push(foreign_key(key));
        }
        let all = |mut keys: Vec<String>| {
            // SQLite has no names for them, and another order.
            keys.sort_unstable();
            keys.join(" and ")
        };
        Self {
            options: brief(&table.options),
            columns: table.columns.iter().map(|it| (it.name.clone(), column(it))).collect(),
            primary_key: table.key.join(", "),
            constraints: table.constraints.iter().map(|(name, it)| (name.clone(), brief(it))).collect(),
            indexes: table.indexes.iter().map(|(name, it)| (name.clone(), index(it))).collect(),
            foreign_keys: foreign_keys.into_iter().map(|(columns, keys)| (columns, all(keys))).collect(),
            triggers: table.triggers.iter().map(|(name, it)| (name.clone(), fires(it))).collect(),
            actions: table.triggers.iter().map(|(name, it)| (name.clone(), action(it))).collect(),
        }
    }

    pub(super) fn kind(&self) -> String {
        if self.options.is_empty() { "ordinary".to_owned() } else { self.options.clone() }
    }
}

fn column(column: &Column) -> String {
    let mut fact = column.kind.to_lowercase();
    for (is, word) in [(column.required, " required"), (column.generated, " generated"), (column.identity, " identity")]
    {
        if is {
            fact.push_str(word);
        }
    }
    if !column.details.is_empty() {
        fact.push(' ');
        fact.push_str(&brief(&column.details));
    }
    fact.trim_start().to_owned()
}

fn index(index: &Index) -> String {
    let mut fact = format!("{}({})", if index.unique { "unique " } else { "" }, index.columns.join(", "));
    if !index.options.is_empty() {
        fact.push(' ');
        fact.push_str(&index.options.join(", "));
    }
    if let Some(predicate) = &index.predicate {
        fact.push_str(" where ");
        fact.push_str(predicate);
    }
    if !index.valid {
        fact.push_str(", which is invalid: drop it and make it again");
    }
    fact
}

/// What stands in the parentheses of an index.
pub(super) fn columns_of(fact: &str) -> Option<&str> {
    let rest = fact.strip_prefix("unique ").unwrap_or(fact).strip_prefix('(')?;
    rest.split_once(')').map(|(columns, _)| columns)
}

fn foreign_key(key: &ForeignKey) -> String {
    let checked = if key.valid { "" } else { ", which was never validated" };
    let options = if key.options.is_empty() { String::new() } else { format!(" {}", key.options) };
    format!("to {} ({}) on delete {}{options}{checked}", key.table, key.referenced.join(", "), key.on_delete)
}

const BODY: &str = ", body ";

fn action(trigger: &Trigger) -> String {
    format!("{}{BODY}{}", brief(&trigger.definition), sum(&trigger.body))
}

/// Of two actions what is to be told: of the same trigger only that its body differs.
pub(super) fn apart(expected: &str, found: &str) -> [String; 2] {
    match (expected.rsplit_once(BODY), found.rsplit_once(BODY)) {
        (Some((head, expected)), Some((other, found))) if head == other => {
            [format!("body {expected}"), format!("changed (body {found})")]
        }
        _ => [expected.to_owned(), found.to_owned()],
    }
}

/// What is long is told by its beginning and a sum of all of it.
fn brief(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some(_) => format!("{}... {}", text.chars().take(100).collect::<String>(), sum(text)),
        None => text.to_owned(),
    }
}

/// Eight digits that are others for another text; line breaks and indents make no difference.
fn sum(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    hex(&Sha256::digest(text)).chars().take(8).collect()
}
