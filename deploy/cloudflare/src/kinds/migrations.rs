//! The migrations of a D1 database: files of SQL, each run once, in the order of their numbers. The database itself records which ran,
//! in the table that wrangler uses, so either tool goes on where the other stopped.

use super::{Files, beside, script::digest};
use crate::{ApiFailure, Client};
use realgar_engine::{Data, Facts, Failure, FailureKind, Found, Fqn, Kind, Output, Recorded, Wanted};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

pub(crate) const MIGRATIONS: &str = "d1_migrations";

/// The table in which wrangler records what ran.
const LEDGER: &str = "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, \
                      applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";

/// What a program says about the migrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migrations {
    /// The id of the database.
    pub(crate) database: Output<String>,
    /// The SHA-256 of each file, by name.
    pub(crate) files: BTreeMap<String, String>,
}

/// Nothing becomes known when migrations run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The kind.
#[derive(Debug)]
pub(super) struct AllMigrations {
    client: Client,
    files: Files,
}

/// The key by which migrations are sorted: the number that the name starts with, as in wrangler, and then the name.
fn order(name: &str) -> (u64, &str) {
    let digits = name.len() - name.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    (name[..digits].parse().unwrap_or(u64::MAX), name)
}

impl AllMigrations {
    pub(super) fn new(client: Client, files: Files) -> Self {
        Self { client, files }
    }

    /// The names of the migrations that ran. `None` if the database has no table for them.
    fn ran(&self, database: &str) -> Result<Option<BTreeSet<String>>, ApiFailure> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'd1_migrations'";
        let tables = self.client.ask(&path(database), &json!({ "sql": sql }))?;
        if tables[0]["results"].as_array().is_none_or(Vec::is_empty) {
            return Ok(None);
        }
        let rows = self.client.ask(&path(database), &json!({ "sql": "SELECT name FROM d1_migrations ORDER BY id" }))?;
        let rows = rows[0]["results"].as_array().into_iter().flatten();
        Ok(Some(rows.filter_map(|row| row["name"].as_str().map(str::to_string)).collect()))
    }

    /// Runs the migrations that have not run yet.
    fn run(&self, fqn: &Fqn, props: &Migrations) -> Result<Found<Nothing>, Failure> {
        let database = database(props)?;
        let mut ran = self.ran(database)?.unwrap_or_default();
        let refused = |message: String| Failure::new(FailureKind::Refused, message);
        let folder = self.files.folder(fqn)?;
        let mut files: Vec<(&String, &String)> = props.files.iter().collect();
        files.sort_by(|(one, _), (other, _)| order(one).cmp(&order(other)));
        for (name, sha256) in files {
            if ran.contains(name) {
                continue;
            }
            let path = folder.join(name);
            let sql = fs::read_to_string(&path)
                .map_err(|error| refused(format!("cannot read `{}`: {error}", path.display())))?;
            if digest(sql.as_bytes()) != *sha256 {
                return Err(refused(format!("`{}` has changed since the plan was made", path.display())));
            }
            // All of it takes effect, or nothing.
            let body = json!({ "batch": [
                { "sql": LEDGER },
                { "sql": sql },
                { "sql": "INSERT INTO d1_migrations (name) VALUES (?)", "params": [name] },
            ] });
            let sent = self.client.change("POST", &self::path(database), &crate::client::Body::Json(body));
            sent.map_err(|failure| {
                let message =
                    format!("the migration `{name}` failed, and nothing of it took effect: {}", failure.message);
                let failure = Failure::from(ApiFailure { message, ..failure });
                // Those before it have run.
                let kind = if failure.kind == FailureKind::Refused { FailureKind::Partial } else { failure.kind };
                Failure { kind, ..failure }
            })?;
            ran.insert(name.clone());
        }
        Ok(found(props, &ran))
    }
}

fn found(props: &Migrations, ran: &BTreeSet<String>) -> Found<Nothing> {
    let known = props.files.keys().filter(|name| ran.contains(*name));
    let effective = json!({ "applied": known.collect::<Vec<_>>() });
    // A database in which others have run comes from another program.
    let ours = ran.iter().all(|name| props.files.contains_key(name));
    Found::new(Nothing {}, effective, ours)
}

fn path(database: &str) -> String {
    format!("/d1/database/{database}/query")
}

fn database(props: &Migrations) -> Result<&str, Failure> {
    beside::known(&props.database)
}

impl Kind for AllMigrations {
    type Props = Migrations;
    type Attributes = Nothing;

    fn name(&self) -> &'static str {
        MIGRATIONS
    }

    fn facts(&self) -> Facts {
        Facts { replacing: &["database"], ..beside::facts("D1 migrations", &[]) }
    }

    fn find(&self, wanted: &[Wanted<Migrations, Nothing>]) -> Result<Vec<Option<Found<Nothing>>>, Failure> {
        let look = |wanted: &Wanted<Migrations, Nothing>| {
            let Some(props) = &wanted.props else { return Ok(None) };
            match self.ran(database(props)?) {
                Ok(ran) => Ok(ran.map(|ran| found(props, &ran))),
                Err(failure) if failure.status == 404 => Ok(None),
                Err(failure) => Err(failure.into()),
            }
        };
        wanted.iter().map(look).collect()
    }

    fn create(&self, wanted: &Wanted<Migrations, Nothing>) -> Result<Found<Nothing>, Failure> {
        self.run(&wanted.fqn, beside::props_of(&wanted.fqn, wanted.props.as_ref())?)
    }

    fn update(&self, recorded: &Recorded<Migrations, Nothing>, props: &Migrations) -> Result<Found<Nothing>, Failure> {
        self.run(&recorded.fqn, props)
    }

    fn delete(&self, _recorded: &Recorded<Migrations, Nothing>) -> Result<(), Failure> {
        // What ran has run. A program without migrations leaves the database as it is.
        Ok(())
    }

    fn refusal(&self, old: &Migrations, new: &Migrations, effective: Option<&Data>) -> Option<String> {
        let applied = effective.and_then(|effective| effective["applied"].as_array());
        let has_run = |name: &str| applied.is_none_or(|applied| applied.iter().any(|own| own == name));
        old.files.iter().filter(|(name, _)| has_run(name)).find_map(|(name, sha256)| match new.files.get(name) {
            Some(now) if now == sha256 => None,
            Some(_) => {
                Some(format!("the migration `{name}` was changed after it ran; undo that, and write another one"))
            }
            None => {
                let renamed = new.files.iter().find(|(other, now)| *now == sha256 && !old.files.contains_key(*other));
                Some(match renamed {
                    Some((other, _)) => {
                        format!("the migration `{name}` ran, and is called `{other}` now; give it its old name")
                    }
                    None => format!("the migration `{name}` ran, and its file is gone; put it back"),
                })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_in_the_order_of_their_numbers() {
        let mut names = ["10_c.sql", "extra.sql", "2_b.sql", "0001_a.sql"];
        names.sort_by_key(|name| order(name));
        assert_eq!(names, ["0001_a.sql", "2_b.sql", "10_c.sql", "extra.sql"]);
    }
}
