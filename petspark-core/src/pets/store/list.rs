//! The SQL that lists pets: one statement a page, whatever is filtered and however it is ordered.
//!
//! Where the order is by distance or by how well words fit, the statement is made of parts, the
//! best one first: the nearest ring, the pets named so. Both engines run a part only when those
//! before it didn't fill the page, so that what a page costs doesn't grow with the number of pets.

use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;
#[cfg(feature = "testing")]
use sqlx::Row as _;
use time::Date;

use crate::clock::Timestamp;
use crate::database::{Database, FullText, on_reader};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::page::PageRequest;
use crate::people::push_unless_blocked;
use crate::pets::pet::{Gender, Pet, PetStatus, Size, Species};
use crate::pets::place::{Area, Near, Ring};
use crate::pets::search::{Fit, Words};

/// Which pets, in which order.
#[derive(Clone, Debug)]
pub(in crate::pets) struct Selection {
    pub(in crate::pets) owner: Option<UserId>,
    pub(in crate::pets) species: Option<Species>,
    /// Folded.
    pub(in crate::pets) breed: Option<String>,
    pub(in crate::pets) gender: Option<Gender>,
    pub(in crate::pets) size: Option<Size>,
    pub(in crate::pets) status: Option<PetStatus>,
    pub(in crate::pets) born_by: Option<Date>,
    pub(in crate::pets) born_after: Option<Date>,
    pub(in crate::pets) words: Option<Words>,
    pub(in crate::pets) near: Option<Near>,
    pub(in crate::pets) order: Order,
    /// Without pets of owners with whom this user has a block.
    pub(in crate::pets) viewer: Option<UserId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pets) enum Order {
    Newest,
    Oldest,
    Name,
    /// Nearest first; only near a place.
    Distance,
    /// Best fit first; only for words.
    Fit,
}

/// A pet and where it stands in the order.
#[derive(sqlx::FromRow)]
pub(in crate::pets) struct FoundPet {
    #[sqlx(flatten)]
    pub(in crate::pets) pet: Pet,
    number: i64,
    name_key: String,
    /// By which part it was found.
    part: i64,
    distance_squared: Option<f64>,
}

/// The place of a pet in its list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::pets) enum PetKey {
    Added(Timestamp, PetId),
    Name(String, PetId),
    /// Bits of the squared distance: its decimals might not survive.
    Distance(u64, PetId),
    /// How well it fits, and the number of the pet.
    Fit(i64, i64),
}

impl FoundPet {
    pub(in crate::pets) fn key(&self, order: Order) -> PetKey {
        match order {
            Order::Newest | Order::Oldest => PetKey::Added(self.pet.created_at, self.pet.id),
            Order::Name => PetKey::Name(self.name_key.clone(), self.pet.id),
            Order::Distance => PetKey::Distance(self.distance_squared.unwrap_or_default().to_bits(), self.pet.id),
            Order::Fit => PetKey::Fit(self.part, self.number),
        }
    }
}

/// Those of a pet, with what tells its place.
const COLUMNS: &str = concat!(pet_columns!(), ", p.number, p.name_key");

/// Appends the plain conditions of a selection to a statement on either engine.
macro_rules! push_filter {
    ($sql:expr, $selection:expr) => {{
        let (sql, selection): (&mut QueryBuilder<_>, &Selection) = ($sql, $selection);
        // Near a place the index of places is the one to use. SQLite takes every other for more
        // selective than that many bands, and would read all pets of a species or status.
        let [start, end] = if selection.near.is_some() { [" AND CAST(", " AS text) = "] } else { [" AND ", " = "] };
        if let Some(owner) = selection.owner {
            sql.push(" AND p.owner_id = ").push_bind(owner);
        }
        if let Some(species) = selection.species {
            sql.push(start).push("p.species").push(end).push_bind(species);
        }
        if let Some(breed) = &selection.breed {
            sql.push(start).push("p.breed_key").push(end).push_bind(breed.clone());
        }
        if let Some(gender) = selection.gender {
            sql.push(" AND p.gender = ").push_bind(gender);
        }
        if let Some(size) = selection.size {
            sql.push(" AND p.size = ").push_bind(size);
        }
        if let Some(status) = selection.status {
            sql.push(start).push("p.status").push(end).push_bind(status);
        }
        if let Some(day) = selection.born_by {
            sql.push(" AND p.birth_date <= ").push_bind(day);
        }
        if let Some(day) = selection.born_after {
            sql.push(" AND p.birth_date > ").push_bind(day);
        }
        push_unless_blocked!(sql, selection.viewer);
    }};
}

/// Appends that the words are somewhere in the pet.
macro_rules! push_words {
    ($sql:expr, $selection:expr, $engine:expr) => {{
        let (sql, engine): (&mut QueryBuilder<_>, FullText) = ($sql, $engine);
        if let Some(words) = &$selection.words {
            let sign = if $selection.near.is_some() { engine.unindexed() } else { "" };
            sql.push(" AND ").push(sign).push(engine.membership()).push_bind(words.anywhere(engine)).push(engine.end());
        }
    }};
}

/// Appends that a pet is where the index has a ring.
macro_rules! push_area {
    ($sql:expr, $area:expr) => {{
        let (sql, area): (&mut QueryBuilder<_>, &Area) = ($sql, $area);
        let (south, north) = area.latitudes;
        sql.push(" AND p.shown_latitude BETWEEN ").push_bind(south).push(" AND ").push_bind(north).push(" AND (");
        for (n, (west, east)) in area.longitudes.iter().flatten().enumerate() {
            sql.push(if n == 0 { "(p.latitude_band IN (" } else { " OR (p.latitude_band IN (" });
            let mut bands = sql.separated(", ");
            for band in &area.bands {
                bands.push_bind(*band);
            }
            sql.push(") AND p.shown_longitude BETWEEN ").push_bind(*west).push(" AND ").push_bind(*east).push(")");
        }
        sql.push(")");
    }};
}

/// Appends the square of the straight line from a point to the pet, on the unit sphere.
macro_rules! push_distance {
    ($sql:expr, $center:expr) => {{
        let sql: &mut QueryBuilder<_> = $sql;
        for (column, value) in ["p.place_x", " + p.place_y", " + p.place_z"].into_iter().zip($center.on_unit_sphere()) {
            // The sign belongs before the bracket.
            let (sign, column) = column.split_at(column.find('p').unwrap_or(0));
            sql.push(sign).push("(").push(column).push(" - ").push_bind(value).push(") * (");
            sql.push(column).push(" - ").push_bind(value).push(")");
        }
    }};
}

/// Appends that a pet is within the radius, where the order is another one.
macro_rules! push_circle {
    ($sql:expr, $selection:expr) => {{
        let sql: &mut QueryBuilder<_> = $sql;
        if let Some(near) = $selection.near {
            let circle = near.circle();
            push_area!(&mut *sql, &circle.within);
            sql.push(" AND ");
            push_distance!(&mut *sql, near.center);
            sql.push(" <= ").push_bind(circle.to);
        }
    }};
}

/// A whole SELECT, in the order of a column.
macro_rules! push_plain {
    ($sql:expr, $selection:expr, $after:expr, $engine:expr) => {{
        let (sql, selection): (&mut QueryBuilder<_>, &Selection) = ($sql, $selection);
        sql.push(format_args!(
            "SELECT {COLUMNS}, CAST(0 AS bigint) AS part, CAST(NULL AS double precision) AS distance_squared \
             FROM pets p JOIN users u ON u.id = p.owner_id WHERE p.deleted_at IS NULL"
        ));
        push_filter!(&mut *sql, selection);
        push_words!(&mut *sql, selection, $engine);
        push_circle!(&mut *sql, selection);
        let (column, comparison, direction) = match selection.order {
            Order::Oldest => ("p.created_at", ">", "ASC"),
            Order::Name => ("p.name_key", ">", "ASC"),
            _ => ("p.created_at", "<", "DESC"),
        };
        if let Some(key) = $after {
            sql.push(format_args!(" AND ({column}, p.id) {comparison} ("));
            match key {
                PetKey::Added(at, id) => sql.push_bind(at).push(", ").push_bind(id),
                PetKey::Name(name, id) => sql.push_bind(name).push(", ").push_bind(id),
                PetKey::Distance(..) | PetKey::Fit(..) => return Err(foreign_key()),
            };
            sql.push(")");
        }
        sql.push(format_args!(" ORDER BY {column} {direction}, p.id {direction}"));
    }};
}

/// A SELECT for every ring around the place that the page may reach.
macro_rules! push_rings {
    ($sql:expr, $selection:expr, $near:expr, $after:expr, $rows:expr, $engine:expr) => {{
        let (sql, selection, near): (&mut QueryBuilder<_>, &Selection, Near) = ($sql, $selection, $near);
        let after = match $after {
            Some(PetKey::Distance(bits, id)) => Some((f64::from_bits(bits), id)),
            None => None,
            Some(_) => return Err(foreign_key()),
        };
        let rings = near.rings().into_iter().filter(|ring| after.is_none_or(|(distance, _)| ring.to >= distance));
        for (n, Ring { within, from, to }) in rings.enumerate() {
            sql.push(if n == 0 { "" } else { " UNION ALL " });
            sql.push(format_args!("SELECT * FROM (SELECT * FROM (SELECT {COLUMNS}, CAST(0 AS bigint) AS part, "));
            push_distance!(&mut *sql, near.center);
            sql.push(" AS distance_squared FROM pets p JOIN users u ON u.id = p.owner_id WHERE p.deleted_at IS NULL");
            push_filter!(&mut *sql, selection);
            push_words!(&mut *sql, selection, $engine);
            push_area!(&mut *sql, &within);
            sql.push(") found WHERE distance_squared <= ").push_bind(to);
            if let Some(from) = from {
                sql.push(" AND distance_squared > ").push_bind(from);
            }
            if let Some((distance, id)) = after {
                sql.push(" AND (distance_squared, id) > (").push_bind(distance).push(", ").push_bind(id).push(")");
            }
            sql.push(" ORDER BY distance_squared, id LIMIT ").push_bind($rows).push(") ring");
        }
    }};
}

/// A SELECT for every way to fit that the page may reach.
macro_rules! push_fits {
    ($sql:expr, $selection:expr, $words:expr, $after:expr, $rows:expr, $engine:expr) => {{
        let (sql, selection, engine): (&mut QueryBuilder<_>, &Selection, FullText) = ($sql, $selection, $engine);
        let after = match $after {
            Some(PetKey::Fit(part, number)) => Some((part, number)),
            None => None,
            Some(_) => return Err(foreign_key()),
        };
        let parts = (0_i64..).zip(Fit::ALL).filter(|(part, _)| after.is_none_or(|(last, _)| *part >= last));
        let stretches = parts.flat_map(|part| engine.stretches().iter().map(move |stretch| (part, stretch)));
        for (n, ((part, fit), stretch)) in stretches.enumerate() {
            sql.push(if n == 0 { "" } else { " UNION ALL " });
            sql.push(format_args!(
                "SELECT * FROM (SELECT {COLUMNS}, CAST({part} AS bigint) AS part, \
                 CAST(NULL AS double precision) AS distance_squared FROM {} JOIN users u ON u.id = p.owner_id \
                 WHERE p.deleted_at IS NULL AND ",
                stretch.source
            ));
            sql.push(engine.condition()).push_bind($words.fitting(fit, engine)).push(engine.end());
            push_filter!(&mut *sql, selection);
            push_circle!(&mut *sql, selection);
            if let Some((_, last)) = after.filter(|(last, _)| *last == part) {
                sql.push(format_args!(" AND {} < ", stretch.number)).push_bind(last);
            }
            sql.push(format_args!(" ORDER BY {} DESC LIMIT ", stretch.number)).push_bind($rows).push(") found");
        }
    }};
}

/// Appends the whole statement of a page.
macro_rules! push_list {
    ($sql:expr, $selection:expr, $page:expr, $after:expr, $engine:expr) => {{
        let (sql, selection, page): (&mut QueryBuilder<_>, &Selection, &PageRequest) = ($sql, $selection, $page);
        let after: Option<PetKey> = $after;
        let offset = i64::from(page.offset().unwrap_or(0));
        let rows = i64::from(page.limit()) + 1;
        match (selection.order, selection.near, &selection.words) {
            (Order::Distance, Some(near), _) => {
                push_rings!(&mut *sql, selection, near, after, offset + rows, $engine);
            }
            (Order::Fit, _, Some(words)) => push_fits!(&mut *sql, selection, words, after, offset + rows, $engine),
            _ => push_plain!(&mut *sql, selection, after, $engine),
        }
        sql.push(" LIMIT ").push_bind(rows).push(" OFFSET ").push_bind(offset);
    }};
}

/// Pets in the selection's order: one more than the page has, to see whether there are more.
pub(in crate::pets) async fn list_pets(
    db: &Database,
    selection: &Selection,
    page: &PageRequest,
    after: Option<PetKey>,
) -> Result<Vec<FoundPet>, Fault> {
    let engine = db.full_text();
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("");
        push_list!(&mut sql, selection, page, after, engine);
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// How the engine would find a page: a line a step.
#[cfg(feature = "testing")]
pub(in crate::pets) async fn explain_list(
    db: &Database,
    selection: &Selection,
    page: &PageRequest,
) -> Result<Vec<String>, Fault> {
    let engine = db.full_text();
    let (explain, column) = if engine == FullText::Fts5 { ("EXPLAIN QUERY PLAN ", 3) } else { ("EXPLAIN ", 0) };
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(explain);
        push_list!(&mut sql, selection, page, None, engine);
        let steps = sql.build().fetch_all(pool).await?;
        steps.iter().map(|step| step.try_get(column)).collect::<Result<_, _>>()?
    }))
}

pub(in crate::pets) async fn count_pets(db: &Database, selection: &Selection) -> Result<u64, Fault> {
    let engine = db.full_text();
    let count: i64 = on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM pets p WHERE p.deleted_at IS NULL");
        push_filter!(&mut sql, selection);
        push_words!(&mut sql, selection, engine);
        push_circle!(&mut sql, selection);
        sql.build_query_scalar().fetch_one(pool).await?
    });
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Cursors are signed, and a list has one kind of key.
fn foreign_key() -> Fault {
    Fault::internal("the cursor's key is not of this order")
}
