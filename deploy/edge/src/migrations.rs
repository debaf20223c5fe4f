//! The migrations of D1 databases: `.sql` files, each run once, in the order of their numbers.

use crate::{Admin, EdgeError, LogLine, LogSink, Script, error::io, private, r2::md5};
use realgar_wire::BindingKind;
use serde::Serialize;
use std::{collections::BTreeMap, fs, path::Path};

/// The file in the data folder that records which migrations ran.
const RAN: &str = "d1-migrations.json";

/// A migration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Migration {
    name: String,
    sql: String,
}

/// The migrations of all databases, by database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Migrations(BTreeMap<String, Vec<Migration>>);

/// The digests of the files that ran, by database and name.
type Ran = BTreeMap<String, BTreeMap<String, String>>;

impl Migrations {
    /// Reads the migrations of the databases that `scripts` bind.
    pub(crate) fn read(scripts: &[Script]) -> Result<Self, EdgeError> {
        let mut all: BTreeMap<String, Vec<Migration>> = BTreeMap::new();
        for script in scripts {
            for binding in &script.manifest.bindings {
                if let BindingKind::D1 { database, migrations: Some(folder) } = &binding.kind {
                    let own = all.entry(database.clone()).or_default();
                    for migration in read(&script.folder.join(folder))? {
                        match own.iter().find(|other| other.name == migration.name) {
                            None => own.push(migration),
                            Some(same) if same.sql == migration.sql => {}
                            Some(other) => {
                                let reason = format!(
                                    "two Workers have a migration `{}` of it, with different contents; keep one folder, or \
                                     give the files different names",
                                    other.name
                                );
                                return Err(EdgeError::Migration { database: database.clone(), reason });
                            }
                        }
                    }
                }
            }
        }
        all.values_mut().for_each(|files| files.sort_by(|a, b| order(&a.name).cmp(&order(&b.name))));
        Ok(Self(all))
    }

    /// Has the administration Worker run the migrations that have not run yet. Warns of a migration that was changed after it ran.
    pub(crate) fn run(&self, admin: &Admin, data: &Path, log: &LogSink) -> Result<(), EdgeError> {
        let path = data.join(RAN);
        let mut ran = read_ran(&path)?;
        for (database, files) in &self.0 {
            let failed = |reason| EdgeError::Migration { database: database.clone(), reason };
            admin.post(&format!("/migrate?database={database}"), files).map_err(failed)?;
            let known = ran.entry(database.clone()).or_default();
            for Migration { name, sql } in files {
                let digest = md5(sql.as_bytes());
                if *known.entry(name.clone()).or_insert_with(|| digest.clone()) != digest {
                    let message = format!(
                        "the migration `{name}` of the D1 database `{database}` was changed after it ran, and does not run \
                         again; write another one, or remove `{}` to begin anew",
                        data.display()
                    );
                    log(LogLine::warning(message));
                }
            }
        }
        let json = serde_json::to_vec(&ran).map_err(|error| io("write", &path)(error.into()))?;
        private::write(&path, &json)
    }
}

/// Reads the record of an earlier run, which need not exist. A record that cannot be read is an error: if it counted as "nothing
/// ran", everything would run again.
fn read_ran(path: &Path) -> Result<Ran, EdgeError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| EdgeError::Unreadable { path: path.into(), reason: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Ran::new()),
        Err(error) => Err(io("read", path)(error)),
    }
}

fn read(folder: &Path) -> Result<Vec<Migration>, EdgeError> {
    let mut migrations = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let sql = fs::read_to_string(&path).map_err(io("read", &path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            migrations.push(Migration { name, sql });
        }
    }
    Ok(migrations)
}

/// The key by which migrations are sorted: the number that the name starts with, as in wrangler, and then the name.
fn order(name: &str) -> (u64, &str) {
    let digits = name.len() - name.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    (name[..digits].parse().unwrap_or(u64::MAX), name)
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn migrations_run_in_the_order_of_their_numbers() {
        let mut names = ["10_c.sql", "extra.sql", "2_b.sql", "0001_a.sql", "2_a.sql"];
        names.sort_by_key(|name| order(name));
        assert_eq!(names, ["0001_a.sql", "2_a.sql", "2_b.sql", "10_c.sql", "extra.sql"]);
    }
}
