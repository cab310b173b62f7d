//! Pets as comma-separated values (RFC 4180): which column is which field. An empty cell is nothing;
//! what a pet is like is a JSON list, or words with semicolons between them.

use std::io::Read;

use csv::{Reader, ReaderBuilder, StringRecord, WriterBuilder};
use petspark_core::pets::{PetLine, StoredPet};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::Exit;
use crate::outcome::Column;
use crate::plugin::Failure;

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

/// In the order of a file.
pub(super) const COLUMNS: &[Column<StoredPet>] = &[
    ("id", |pet| pet.id.to_string()),
    ("ownerId", |pet| pet.owner_id.to_string()),
    ("name", |pet| pet.name.clone()),
    ("species", |pet| pet.species.to_string()),
    ("breed", |pet| text(pet.breed.as_ref())),
    ("birthDate", |pet| pet.birth_date.map(|date| date.to_string()).unwrap_or_default()),
    ("birthDateIsEstimate", |pet| pet.birth_date_is_estimate.to_string()),
    ("gender", |pet| pet.gender.to_string()),
    ("size", |pet| pet.size.map(|size| size.to_string()).unwrap_or_default()),
    ("personality", |pet| serde_json::to_string(&pet.personality).unwrap_or_default()),
    ("bio", |pet| text(pet.bio.as_ref())),
    ("city", |pet| text(pet.city.as_ref())),
    ("country", |pet| text(pet.country.as_ref())),
    ("latitude", |pet| pet.latitude.map(|degrees| degrees.to_string()).unwrap_or_default()),
    ("longitude", |pet| pet.longitude.map(|degrees| degrees.to_string()).unwrap_or_default()),
    ("verified", |pet| pet.verified.to_string()),
    ("status", |pet| pet.status.to_string()),
    ("version", |pet| pet.version.to_string()),
    ("createdAt", |pet| pet.created_at.to_string()),
    ("updatedAt", |pet| pet.updated_at.to_string()),
    ("deletedAt", |pet| pet.deleted_at.map(|at| at.to_string()).unwrap_or_default()),
];

/// The line of titles.
pub(super) fn header() -> Result<String, Failure> {
    written(std::iter::once(COLUMNS.iter().map(|(title, _)| (*title).to_owned()).collect()))
}

/// A line for each pet.
pub(super) fn rows(pets: &[StoredPet]) -> Result<String, Failure> {
    written(pets.iter().map(|pet| COLUMNS.iter().map(|(_, text)| text(pet)).collect()))
}

fn written(rows: impl Iterator<Item = Vec<String>>) -> Result<String, Failure> {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("can't write a row: {error}"));
    for row in rows {
        writer.write_record(&row).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

type Set = fn(&mut PetLine, &str) -> Result<(), &'static str>;

/// What a cell in a column of this title says of a pet.
fn setter(title: &str) -> Option<Set> {
    Some(match title {
        "id" => |pet, cell| set(&mut pet.id, value(cell), "an id"),
        "ownerId" => |pet, cell| set(&mut pet.owner_id, value(cell), "an id"),
        "ownerEmail" => |pet, cell| own(&mut pet.owner_email, cell),
        "name" => |pet, cell| own(&mut pet.name, cell),
        "species" => |pet, cell| own(&mut pet.species, cell),
        "breed" => |pet, cell| own(&mut pet.breed, cell),
        "birthDate" => |pet, cell| own(&mut pet.birth_date, cell),
        "birthDateIsEstimate" => |pet, cell| set(&mut pet.birth_date_is_estimate, cell.parse().ok(), "true or false"),
        "age" => |pet, cell| set(&mut pet.age, cell.parse().ok(), "a whole number"),
        "gender" => |pet, cell| own(&mut pet.gender, cell),
        "size" => |pet, cell| own(&mut pet.size, cell),
        "personality" => |pet, cell| set(&mut pet.personality, traits(cell), "a JSON list of texts, or calm; shy"),
        "bio" | "description" => |pet, cell| own(&mut pet.bio, cell),
        "city" => |pet, cell| own(&mut pet.city, cell),
        "country" => |pet, cell| own(&mut pet.country, cell),
        "latitude" => |pet, cell| set(&mut pet.latitude, cell.parse().ok(), "a number"),
        "longitude" => |pet, cell| set(&mut pet.longitude, cell.parse().ok(), "a number"),
        "verified" => |pet, cell| set(&mut pet.verified, cell.parse().ok(), "true or false"),
        "status" => |pet, cell| own(&mut pet.status, cell),
        "version" => |pet, cell| set(&mut pet.version, cell.parse().ok(), "a whole number"),
        "createdAt" => |pet, cell| set(&mut pet.created_at, value(cell), "a time such as 2026-11-23T12:00:00Z"),
        "updatedAt" => |pet, cell| set(&mut pet.updated_at, value(cell), "a time such as 2026-11-23T12:00:00Z"),
        "deletedAt" => |pet, cell| set(&mut pet.deleted_at, value(cell), "a time such as 2026-11-23T12:00:00Z"),
        _ => return None,
    })
}

fn own(field: &mut Option<String>, cell: &str) -> Result<(), &'static str> {
    *field = Some(cell.to_owned());
    Ok(())
}

fn set<T>(field: &mut Option<T>, value: Option<T>, expected: &'static str) -> Result<(), &'static str> {
    *field = Some(value.ok_or(expected)?);
    Ok(())
}

/// What JSON has as a text.
fn value<T: DeserializeOwned>(cell: &str) -> Option<T> {
    serde_json::from_value(Value::String(cell.to_owned())).ok()
}

fn traits(cell: &str) -> Option<Vec<String>> {
    if cell.starts_with('[') {
        return serde_json::from_str(cell).ok();
    }
    Some(cell.split(';').map(|word| word.trim().to_owned()).collect())
}

/// The line on which a pet begins, and what was read of it.
pub(super) type Row = (u64, Result<PetLine, String>);

/// Reads pets from a file.
pub(super) struct Rows<R> {
    reader: Reader<R>,
    columns: Vec<(String, Set)>,
    record: StringRecord,
}

impl<R: Read> Rows<R> {
    /// Looks at the titles: in any order, but none that nobody knows.
    pub(super) fn open(from: R) -> Result<Self, String> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(from);
        let titles = reader.headers().map_err(|error| error.to_string())?;
        let mut columns: Vec<(String, Set)> = Vec::with_capacity(titles.len());
        for title in titles {
            let set = setter(title).ok_or_else(|| format!("there is no column {title:?}"))?;
            if columns.iter().any(|(known, _)| known == title) {
                return Err(format!("the column {title} is there twice"));
            }
            columns.push((title.to_owned(), set));
        }
        Ok(Self { reader, columns, record: StringRecord::new() })
    }

    /// The next pet. Fails when reading does.
    pub(super) fn next(&mut self) -> Result<Option<Row>, csv::Error> {
        let line = self.reader.position().line();
        match self.reader.read_record(&mut self.record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let line = self.record.position().map_or(line, csv::Position::line);
                Ok(Some((line, self.pet())))
            }
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                Ok(Some((line, Err("is not UTF-8".to_owned()))))
            }
            Err(error) => Err(error),
        }
    }

    fn pet(&self) -> Result<PetLine, String> {
        if self.record.len() != self.columns.len() {
            return Err(format!("has {} cells, but there are {} columns", self.record.len(), self.columns.len()));
        }
        let mut pet = PetLine::default();
        let mut problems = Vec::new();
        for (cell, (title, set)) in self.record.iter().zip(&self.columns) {
            if cell.is_empty() {
                continue;
            }
            if let Err(expected) = set(&mut pet, cell) {
                problems.push(format!("{title}: must be {expected}"));
            }
        }
        if problems.is_empty() { Ok(pet) } else { Err(problems.join("; ")) }
    }
}
