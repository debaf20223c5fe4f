//! The migrations of a D1 database: files of SQL, each run once, in the order of their numbers. The database itself records which ran,
//! in the table that wrangler uses, so either tool goes on where the other stopped.

use super::{Files, beside, script::digest};
use crate::Client;
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

/// The tables that somebody made.
const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE '!_cf!_%' ESCAPE '!'";

/// What a database says of its migrations.
enum Ledger {
    /// It has no tables.
    Empty,
    /// It has tables, and does not say where they are from.
    Missing,
    /// These ran.
    Ran(BTreeSet<String>),
}

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

    /// What the database says of its migrations.
    fn ledger(&self, database: &str) -> Result<Ledger, Failure> {
        let tables = self.names(database, TABLES)?;
        if !tables.contains("d1_migrations") {
            return Ok(if tables.is_empty() { Ledger::Empty } else { Ledger::Missing });
        }
        Ok(Ledger::Ran(self.names(database, "SELECT name FROM d1_migrations ORDER BY id")?))
    }

    /// The names that `sql` finds.
    fn names(&self, database: &str, sql: &str) -> Result<BTreeSet<String>, Failure> {
        let answer = self.client.ask(&path(database), &json!({ "sql": sql }))?;
        let unreadable = || beside::unreadable(&format!("the database `{database}`"), &answer);
        let rows = answer[0]["results"].as_array().ok_or_else(unreadable)?;
        rows.iter().map(|row| row["name"].as_str().map(str::to_string).ok_or_else(unreadable)).collect()
    }

    /// Runs the migrations that have not run yet. With `fill`, also in a database that has tables and no record of migrations.
    fn run(&self, fqn: &Fqn, props: &Migrations, fill: bool) -> Result<Found<Nothing>, Failure> {
        let database = database(props)?;
        let mut ran = match self.ledger(database)? {
            Ledger::Ran(ran) => ran,
            Ledger::Missing if !fill => {
                let text =
                    "the database has tables, and no record of the migrations that ran (the table `d1_migrations`)";
                let hint = format!("if none ran, `--adopt={fqn}` runs them all; else write that record first");
                return Err(Failure { hints: vec![hint], ..Failure::new(FailureKind::Refused, text) });
            }
            Ledger::Missing | Ledger::Empty => BTreeSet::new(),
        };
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
                let failure = Failure::from(failure);
                let Failure { kind, message, .. } = &failure;
                match kind {
                    FailureKind::Refused => Failure {
                        // Those before it have run.
                        kind: FailureKind::Partial,
                        message: format!("the migration `{name}` failed, and nothing of it took effect: {message}"),
                        ..failure
                    },
                    _ => Failure { message: format!("the migration `{name}`: {message}"), ..failure },
                }
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
            let found = match self.ledger(database(props)?) {
                // Where nothing is to run, nothing has to be there.
                Ok(Ledger::Empty) if !props.files.is_empty() => return Ok(None),
                Ok(Ledger::Empty) => found(props, &BTreeSet::new()),
                Ok(Ledger::Missing) => Found { ours: props.files.is_empty(), ..found(props, &BTreeSet::new()) },
                Ok(Ledger::Ran(ran)) => found(props, &ran),
                // The database is gone.
                Err(failure) if failure.kind == FailureKind::Unseen => return Ok(None),
                Err(failure) => return Err(failure),
            };
            Ok(Some(Found { ours: found.ours || beside::is_known(wanted), ..found }))
        };
        wanted.iter().map(look).collect()
    }

    fn create(&self, wanted: &Wanted<Migrations, Nothing>) -> Result<Found<Nothing>, Failure> {
        self.run(&wanted.fqn, beside::props_of(&wanted.fqn, wanted.props.as_ref())?, false)
    }

    fn update(&self, recorded: &Recorded<Migrations, Nothing>, props: &Migrations) -> Result<Found<Nothing>, Failure> {
        self.run(&recorded.fqn, props, recorded.adopted)
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
