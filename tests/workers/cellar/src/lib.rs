//! An object that stores things in every way there is.

use futures_util::future::try_join_all;
use realgar::{Alarm, ListOptions, Migration, Namespace, OnAlarm, deadline, prelude::*, sleep};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    cellars: Namespace<Cellar>,
}

impl DurableObject for Cellar {
    fn init(cx: &mut Init) -> impl Instantiate<Self> {
        let cellars = cx.bind(Cellar::from::<House>());
        move |state: State| {
            let cellars = cellars.clone();
            async move { Ok(Cellar { state, cellars }) }
        }
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

    /// Sets the alarm, which then fails so often. Returns whether it is set.
    pub async fn alarm_in(&self, milliseconds: u32, failures: u32) -> Result<bool> {
        let storage = self.state.storage();
        storage.put("failures", &failures).await?;
        storage.set_alarm_after(Duration::from_millis(milliseconds.into())).await?;
        Ok(storage.alarm().await?.is_some())
    }

    /// Takes one of what is left, with a pause between the look and the deed.
    pub async fn take(&self) -> Result<u32> {
        self.take_slowly().await
    }

    #[rpc(exclusive)]
    pub async fn take_alone(&self) -> Result<u32> {
        self.take_slowly().await
    }

    /// Waits for itself.
    #[rpc(exclusive)]
    pub async fn take_twice(&self) -> Result<String> {
        let own = self.cellars.get_by_name("one");
        let inner = deadline(Duration::from_millis(100), own.take_alone()).await;
        // Whichever end gives up first.
        Ok(format!("{:?}", !matches!(inner, Ok(Ok(_)))))
    }

    /// How the alarm was called.
    pub async fn alarms(&self) -> Result<Vec<(u32, bool)>> {
        Ok(self.state.storage().get("seen").await?.unwrap_or_default())
    }

    /// Deletes the alarm, and returns whether there was one and is one.
    pub async fn no_alarm(&self) -> Result<(bool, bool)> {
        let storage = self.state.storage();
        let before = storage.alarm().await?.is_some();
        storage.delete_alarm().await?;
        Ok((before, storage.alarm().await?.is_some()))
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

impl OnAlarm for Cellar {
    /// Fails as often as it was told to, and keeps a list of how it was called.
    async fn alarm(&self, alarm: Alarm) -> Result<()> {
        let storage = self.state.storage();
        let mut seen: Vec<(u32, bool)> = storage.get("seen").await?.unwrap_or_default();
        seen.push((alarm.retries, storage.alarm().await?.is_none()));
        storage.put("seen", &seen).await?;
        storage.sync().await?;
        match storage.get::<u32>("failures").await?.unwrap_or(0) {
            failures if alarm.retries < failures && alarm.retries == 0 => panic!("a panic in an alarm"),
            failures if alarm.retries < failures => Err("not yet".into()),
            _ => Ok(()),
        }
    }
}

impl Cellar {
    async fn take_slowly(&self) -> Result<u32> {
        let taken = self.state.storage().get("taken").await?.unwrap_or(0) + 1;
        sleep(Duration::from_millis(20)).await;
        self.state.storage().put("taken", &taken).await?;
        Ok(taken)
    }

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
            ("alarm", failures) => {
                Response::from_json(&cellar.alarm_in(300, failures.parse().map_err(|_| "a number")?).await?)?
            }
            ("later", _) => Response::from_json(&(cellar.alarm_in(3_600_000, 0).await?, cellar.no_alarm().await?))?,
            ("alarms", _) => Response::from_json(&cellar.alarms().await?)?,
            ("take", "alone") => Response::from_json(&try_join_all((0..5).map(|_| cellar.take_alone())).await?)?,
            ("take", "twice") => Response::from_json(&cellar.take_twice().await?)?,
            ("take", _) => Response::from_json(&try_join_all((0..5).map(|_| cellar.take())).await?)?,
            ("bookmark", _) => Response::from_json(&cellar.bookmark().await.map_err(|error| error.to_string()))?,
            ("wipe", _) => Response::from_json(&cellar.wipe().await?)?,
            _ => Response::error("no such thing", 404)?,
        };
        Ok(answer)
    }
}

realgar::export!(House);
