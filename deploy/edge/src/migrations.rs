//! The migrations of a D1 database: `.sql` files, each run once, in the order of their names.

use crate::{EdgeError, error::io};
use serde::Serialize;
use std::{fs, path::Path};

/// A file.
#[derive(Debug, Serialize)]
pub(crate) struct Migration {
    name: String,
    sql: String,
}

pub(crate) fn read(folder: &Path) -> Result<Vec<Migration>, EdgeError> {
    let mut migrations = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let sql = fs::read_to_string(&path).map_err(io("read", &path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            migrations.push(Migration { name, sql });
        }
    }
    migrations.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(migrations)
}

/// Has the administration Worker at `url` run them.
pub(crate) fn run(url: &str, migrations: &[Migration]) -> Result<(), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.post(url).send_json(migrations).map_err(|error| error.to_string())?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(response.body_mut().read_to_string().unwrap_or_else(|error| error.to_string()))
}
