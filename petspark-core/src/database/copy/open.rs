//! Opening a copy: both ends are looked at, and nothing is changed. What is in the way of copying is told here.

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::error::{at, during};
use super::source::Source;
use super::{CopyError, InstallationCopy, TableState, mark, plan};
use crate::clock::Timestamp;
use crate::config::{DatabaseSettings, DatabaseUrl};
use crate::database::schema::Schema;
use crate::database::{Database, Difference, Direct, Engine, MigrationError, Migrations};

impl InstallationCopy {
    /// Looks at both ends.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub async fn open(from: &DatabaseSettings, to: &DatabaseSettings) -> Result<Self, CopyError> {
        let (DatabaseUrl::Sqlite(path), DatabaseUrl::Postgres(_)) = (&from.url, &to.url) else {
            return Err(CopyError::Engines);
        };
        if !path.is_file() {
            return Err(CopyError::NoSource(path.clone()));
        }
        let (schema, birth) = look_at_source(from).await?;
        let target = Database::open(to).await?;
        let (order, left_out) = plan::in_order(&schema)?;
        let mut copy = Self {
            source: Source::open(path, schema, birth).await?,
            target,
            to: to.clone(),
            tables: Vec::new(),
            left_out,
            unmigrated: false,
            complete: None,
        };
        copy.look_at_target(&order).await?;
        Ok(copy)
    }

    async fn look_at_target(&mut self, order: &[String]) -> Result<(), CopyError> {
        mark::require_schema(&mut *connection_to(&self.target).await?).await?;
        let states = self.migrations().status().await.map_err(at("target", &self.target))?;
        self.unmigrated = states.iter().any(|state| state.is_pending());
        let mut connection = connection_to(&self.target).await?;
        mark::require_own(&mut connection, order).await?;
        let mark = mark::read(&mut connection).await?;
        if mark.as_ref().is_some_and(|mark| mark.birth != self.source.birth) {
            return Err(CopyError::OtherSource);
        }
        if mark.is_none() && !self.unmigrated {
            self.complete = mark::completed(&mut connection, &self.source.birth).await?;
        }
        if mark.is_none() && self.complete.is_none() {
            mark::require_empty(&mut connection, order).await?;
        }
        // There may be no second one.
        drop(connection);
        match &mark {
            _ if self.unmigrated || self.complete.is_some() => {}
            // It lacks indexes as long as it is copied to.
            Some(_) => self.migrations().require_current().await.map_err(at("target", &self.target))?,
            None => require_sound(&self.target, "target").await?,
        }
        for table in order {
            let rows = self.source.count(table).await?;
            let copied = if self.complete.is_some() { rows } else { mark.as_ref().map_or(0, |it| it.copied(table)) };
            self.tables.push(TableState { table: table.clone(), rows, copied });
        }
        // Who waits at a prompt is in nobody's way.
        self.disconnect().await
    }
}

/// The source's schema, and what tells it from every other installation.
async fn look_at_source(from: &DatabaseSettings) -> Result<(Schema, String), CopyError> {
    let source = Database::open(from).await?;
    let looked = async {
        require_sound(&source, "source").await?;
        let schema = Schema::read(&source).await.map_err(during("the source's schema"))?;
        let mut direct = Direct::open(&from.url).await.map_err(during("the source"))?;
        let born = direct.born_at().await;
        direct.close().await;
        let born = born.map_err(during("the source"))?.map_or(0, Timestamp::as_micros);
        Ok((schema, born.to_string()))
    };
    let looked = looked.await;
    source.close().await;
    looked
}

/// At exactly the migrations of this build, and with the schema that they make.
pub(super) async fn require_sound(database: &Database, side: &'static str) -> Result<(), CopyError> {
    let migrations = Migrations::of_copy(database);
    migrations.require_current().await.map_err(at(side, database))?;
    let differences: Vec<Difference> = migrations.verify().await.map_err(at(side, database))?;
    if differences.is_empty() { Ok(()) } else { Err(at(side, database)(MigrationError::Differs(differences))) }
}

async fn connection_to(target: &Database) -> Result<PoolConnection<Postgres>, CopyError> {
    match target.engine() {
        Engine::Postgres(postgres) => postgres.pool.acquire().await.map_err(during("the target")),
        Engine::Sqlite(_) => Err(CopyError::Engines),
    }
}
