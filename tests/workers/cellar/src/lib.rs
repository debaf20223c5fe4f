//! An object that stores things in every way there is.

use realgar::{ListOptions, Migration, Namespace, prelude::*};
use serde::{Deserialize, Serialize};

const WINES: Migration =
    Migration::new("wines", "CREATE TABLE wines (name TEXT NOT NULL); CREATE INDEX names ON wines (name)");
const YEARS: Migration = Migration::new("years", "ALTER TABLE wines ADD COLUMN year INTEGER");
const CHANGED: Migration = Migration::new("years", "ALTER TABLE wines ADD COLUMN vintage INTEGER");
const BROKEN: Migration = Migration::new("broken", "CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1)");
const BEFORE: Migration = Migration::new("before", "CREATE TABLE before (id INTEGER)");

/// The migrations of a version of the program.
fn version(name: &str) -> Vec<Migration> {
    match name {
        "first" => vec![WINES],
        "second" => vec![WINES, YEARS],
        "changed" => vec![WINES, CHANGED],
        "broken" => vec![WINES, YEARS, BROKEN],
        "reordered" => vec![BEFORE, WINES],
        _ => vec![],
    }
}

#[durable_object]
pub struct Cellar {
    state: State,
}

impl DurableObject for Cellar {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async { Ok(Cellar { state }) }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottle {
    name: String,
    year: Option<u16>,
}

fn bottle(number: u32) -> (String, Bottle) {
    (format!("bottle:{number:04}"), Bottle { name: format!("no. {number}"), year: Some(1900) })
}

#[rpc]
impl Cellar {
    /// Runs the migrations of a version, and returns the columns of the table.
    pub fn migrate(&self, to: String) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Column {
            name: String,
        }
        self.state.sql().migrate(&version(&to))?;
        self.columns().map(|columns: Vec<Column>| columns.into_iter().map(|column| column.name).collect())
    }

    pub fn tables(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Table {
            name: String,
        }
        let tables =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name";
        Ok(self.state.sql().query::<Table>(tables, ())?.into_iter().map(|table| table.name).collect())
    }

    /// Entries without an `await`, in a transaction that ends well or does not.
    pub fn kv(&self, fail: bool) -> Result<(Option<Bottle>, bool, Vec<String>)> {
        let kv = self.state.storage().kv();
        kv.put("kept", &bottle(1).1)?;
        let outcome: Result<()> = self.state.storage().transaction_sync(|| {
            kv.put("tried", &())?;
            kv.delete("kept")?;
            if fail { Err("never mind".into()) } else { Ok(()) }
        });
        let kept = kv.get("kept")?;
        let keys = kv.list::<serde::de::IgnoredAny>(&ListOptions::new())?.into_iter().map(|(key, _)| key).collect();
        Ok((kept, outcome.is_ok(), keys))
    }

    /// More entries than the platform takes in a call.
    pub async fn many(&self, count: u32) -> Result<(usize, usize, u64, usize)> {
        let storage = self.state.storage();
        let bottles: Vec<(String, Bottle)> = (0..count).map(bottle).collect();
        storage.put_many(bottles.iter().map(|(key, bottle)| (key.as_str(), bottle))).await?;
        let mut keys: Vec<&str> = bottles.iter().map(|(key, _)| key.as_str()).collect();
        keys.push("bottle:none");
        let found = storage.get_many::<Bottle>(&keys).await?;
        let same = found.iter().zip(&bottles).filter(|(one, other)| one == other).count();
        let deleted = storage.delete_many(&keys).await?;
        Ok((found.len(), same, deleted, storage.list::<Bottle>(&ListOptions::new()).await?.len()))
    }

    pub async fn bookmark(&self) -> Result<String> {
        self.state.storage().bookmark().await
    }

    /// Deletes everything, and returns the size before and after.
    pub async fn wipe(&self) -> Result<(u64, u64)> {
        let before = self.state.sql().database_size();
        self.state.storage().delete_all().await?;
        self.state.storage().sync().await?;
        Ok((before, self.state.sql().database_size()))
    }
}

impl Cellar {
    fn columns<T: serde::de::DeserializeOwned>(&self) -> Result<Vec<T>> {
        self.state.sql().query("SELECT name FROM pragma_table_info('wines')", ())
    }
}

#[worker(hosts(Cellar))]
pub struct House {
    cellars: Namespace<Cellar>,
}

impl Worker for House {
    fn init(cx: &mut Init) -> Self {
        House { cellars: cx.bind(Cellar::from::<Self>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let (cellar, what) = (self.cellars.get_by_name("one"), path.trim_start_matches('/'));
        let answer = match what.split_once('/').unwrap_or((what, "")) {
            ("migrate", version) => {
                Response::from_json(&cellar.migrate(version.into()).await.map_err(|error| error.to_string()))?
            }
            ("tables", _) => Response::from_json(&cellar.tables().await?)?,
            ("kv", how) => Response::from_json(&cellar.kv(how == "fail").await?)?,
            ("many", count) => Response::from_json(&cellar.many(count.parse().map_err(|_| "a number")?).await?)?,
            ("bookmark", _) => Response::from_json(&cellar.bookmark().await.map_err(|error| error.to_string()))?,
            ("wipe", _) => Response::from_json(&cellar.wipe().await?)?,
            _ => Response::error("no such thing", 404)?,
        };
        Ok(answer)
    }
}

realgar::export!(House);
