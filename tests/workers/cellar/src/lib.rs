//! An object that stores things in every way there is.

use futures_util::future::try_join_all;
use realgar::{Alarm, ListOptions, Migration, Namespace, OnAlarm, SqlValue, deadline, prelude::*, sleep};
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

/// A row of every type.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Keg {
    id: i64,
    number: Option<i64>,
    large: u64,
    /// The bits of a float: the test and this Worker read JSON with serde_json, which is not exact.
    real: u64,
    text: String,
    bytes: Vec<u8>,
}

/// A `u64` beyond SQLite's integers is stored as text.
#[derive(Deserialize)]
struct StoredKeg {
    id: i64,
    number: Option<i64>,
    large: String,
    real: f64,
    text: String,
    bytes: Vec<u8>,
}

impl TryFrom<StoredKeg> for Keg {
    type Error = realgar::Error;

    fn try_from(StoredKeg { id, number, large, real, text, bytes }: StoredKeg) -> Result<Self> {
        let large = large.parse().map_err(|_| "not a number")?;
        Ok(Self { id, number, large, real: real.to_bits(), text, bytes })
    }
}

/// What a test does with them.
#[derive(Debug, Serialize, Deserialize)]
pub enum Tap {
    Put(Keg),
    Delete(i64),
    Get(i64),
    All,
    /// In a transaction that is rolled back.
    PutAndFail(Keg),
}

#[derive(Deserialize)]
struct Exact<T> {
    value: T,
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

    pub fn tap(&self, tap: Tap) -> Result<Vec<Keg>> {
        let sql = self.state.sql();
        let create = "CREATE TABLE IF NOT EXISTS kegs (id INTEGER PRIMARY KEY, number INTEGER, large TEXT NOT NULL, real REAL NOT NULL, \
                      text TEXT NOT NULL, bytes BLOB NOT NULL)";
        sql.execute(create, ())?;
        let put = |keg: Keg| {
            let insert =
                "INSERT OR REPLACE INTO kegs (id, number, large, real, text, bytes) VALUES (?, ?2, :large, ?, ?, ?)";
            sql.execute(
                insert,
                (keg.id, keg.number, keg.large.to_string(), f64::from_bits(keg.real), keg.text, keg.bytes),
            )
        };
        let kegs: Vec<StoredKeg> = match tap {
            Tap::Put(keg) => return put(keg).map(|_| Vec::new()),
            Tap::PutAndFail(keg) => {
                let outcome: Result<()> = self.state.storage().transaction_sync(|| {
                    put(keg)?;
                    Err("rolled back".into())
                });
                return if outcome.is_err() { Ok(Vec::new()) } else { Err("it was not rolled back".into()) };
            }
            Tap::Delete(id) => {
                return sql.execute("DELETE FROM kegs WHERE id = ? -- ?", (id,)).map(|_| Vec::new());
            }
            Tap::Get(id) => sql.query("SELECT * FROM kegs WHERE id = ?;", (id,))?,
            Tap::All => sql.query("SELECT * FROM kegs ORDER BY id DESC -- the largest first", ())?,
        };
        kegs.into_iter().map(Keg::try_from).collect()
    }

    /// Values at the edges, and what goes beyond them, each with the error it gets.
    pub fn edges(&self, what: String) -> Result<String> {
        let sql = self.state.sql();
        let shown = |value: Result<Vec<Exact<serde_json::Value>>>| {
            value.map(|rows| rows.into_iter().map(|row| row.value.to_string()).collect::<Vec<_>>().join(" "))
        };
        match what.as_str() {
            "largest" => shown(sql.query("SELECT ? AS value UNION ALL SELECT ?", (i64::MAX, i64::MIN))),
            // As a float it would be 2.5, `5.0` and [5.0].
            "small" => shown(sql.query(
                "SELECT ? / 2 AS value UNION ALL SELECT 'a' || ? UNION ALL SELECT json_array(?) UNION ALL SELECT ? / 2",
                (SqlValue::from(5), SqlValue::from(5), SqlValue::from(5), SqlValue::from(5.0)),
            )),
            "commented" => {
                shown(sql.query("SELECT 9223372036854775807 AS value /* it's the */ -- \u{2028} largest; ?\n ; ", ()))
            }
            "last" => {
                let mut params = vec![SqlValue::from(0.5); 100];
                params[49] = 7.into();
                params[50] = 7.into();
                params[99] = i64::MAX.into();
                shown(sql.query("SELECT ?50 / 2 AS value UNION ALL SELECT ?51 / 2 UNION ALL SELECT ?100 UNION ALL SELECT ?99", params))
            }
            "computed" => shown(sql.query("SELECT ? - 1 AS value", (i64::MAX,))),
            "texts" => shown(sql.query("SELECT '?:a' || ? AS value UNION ALL SELECT \"?\" FROM (SELECT ? AS \"?\")", ("i9", i64::MAX))),
            "numbered" => shown(sql.query("SELECT ?2 AS [?3] /* ? */, ?2 AS value WHERE ?1 = 1", (1, i64::MIN))),
            "floats" => shown(sql.query("SELECT 1e300 AS value UNION ALL SELECT 9007199254740994.0", ())),
            "mixed" => shown(sql.query(
                "SELECT value FROM (SELECT 1 AS o, 9007199254740993 AS value UNION ALL SELECT 2, 'i5' UNION ALL SELECT 3, NULL UNION ALL SELECT 4, 7) ORDER BY o",
                (),
            )),
            "returning" => {
                self.tap(Tap::All)?;
                let insert = "INSERT INTO kegs VALUES (?, 1, '0', 0.5, '', x'') RETURNING id AS value";
                sql.query_one(insert, (i64::MAX,)).map(|row: Exact<i64>| row.value.to_string())
            }
            "text-for-a-number" => shown_count(sql.query("SELECT 'seven' AS value", ())),
            "null-for-a-number" => shown_count(sql.query("SELECT 1 AS value UNION ALL SELECT NULL ORDER BY 1 DESC", ())),
            "another-column" => shown_count(sql.query("SELECT 0.5 AS other, 'x' AS more", ())),
            "scalar" => sql.query_one::<u32>("SELECT 7", ()).map(|value| value.to_string()),
            "large-scalar" => sql.query_one::<i64>("SELECT max(?, 1)", (i64::MAX,)).map(|value| value.to_string()),
            "tuple" => {
                let row = sql.query_one::<(i64, Option<u8>, Vec<u8>, f64)>("SELECT ?, NULL, x'0102', 0.5", (i64::MIN,));
                row.map(|row| format!("{row:?}"))
            }
            "optional-blob" => {
                let blobs = sql.query::<Option<Vec<u8>>>("SELECT x'0102' UNION ALL SELECT NULL ORDER BY 1 DESC", ());
                blobs.map(|blobs| format!("{blobs:?}"))
            }
            "short-tuple" => sql.query_one::<(u8, u8, u8)>("SELECT 1, 2", ()).map(|row| format!("{row:?}")),
            "not-a-scalar" => sql.query_one::<u8>("SELECT 1, 2", ()).map(|row| row.to_string()),
            "flag" => sql.query_one::<Exact<bool>>("SELECT 2 AS value", ()).map(|row| row.value.to_string()),
            "twice" => shown_count(sql.query("SELECT 1 AS value, 2 AS value", ())),
            // As a bound integer compares, not as a cast does.
            "affinity" => {
                sql.execute("CREATE TABLE IF NOT EXISTS codes (code TEXT)", ())?;
                sql.execute("DELETE FROM codes", ())?;
                sql.execute("INSERT INTO codes VALUES (?), ('07'), ('7.0')", (7,))?;
                shown(sql.query("SELECT code AS value FROM codes WHERE code = ?", (7,)))
            }
            "u64" => sql.execute("SELECT ?", (u64::MAX,)).map(|_| String::new()),
            "params" => sql.execute("SELECT ?", vec![1; 101]).map(|_| String::new()),
            "few" => sql.execute("SELECT ?, ?", (1,)).map(|_| String::new()),
            "text" => sql.execute("SELECT ?", ("x".repeat(2_200_000),)).map(|_| String::new()),
            "blob" => sql.execute("SELECT ?", (vec![0_u8; 2_200_000],)).map(|_| String::new()),
            "pattern" => sql.execute("SELECT 'a' LIKE ?", ("%".repeat(60),)).map(|_| String::new()),
            _ => {
                sql.execute("CREATE TABLE IF NOT EXISTS large (bytes BLOB)", ())?;
                let bytes: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
                sql.execute("INSERT INTO large VALUES (?)", (bytes.clone(),))?;
                let (stored,) = sql.query_one::<(Vec<u8>,)>("SELECT bytes FROM large", ())?;
                Ok((stored == bytes).to_string())
            }
        }
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

fn shown_count(rows: Result<Vec<Exact<i64>>>) -> Result<String> {
    rows.map(|rows| format!("{} of {}", rows.len(), rows.iter().map(|row| row.value).sum::<i64>()))
}

#[worker(hosts(Cellar))]
pub struct House {
    cellars: Namespace<Cellar>,
}

impl Worker for House {
    fn init(cx: &mut Init) -> Self {
        House { cellars: cx.bind(Cellar::from::<Self>()) }
    }

    async fn fetch(&self, mut request: Request, _cx: &Context) -> Result<Response> {
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
            // `Request::json` and `Response::from_json` go through JavaScript's numbers.
            ("tap", _) => {
                let tap = serde_json::from_str(&request.text().await?).map_err(|error| error.to_string())?;
                let kegs = cellar.tap(tap).await?;
                Response::ok(serde_json::to_string(&kegs).map_err(|error| error.to_string())?)?
            }
            ("edges", what) => {
                Response::from_json(&cellar.edges(what.into()).await.map_err(|error| error.to_string()))?
            }
            ("wipe", _) => Response::from_json(&cellar.wipe().await?)?,
            _ => Response::error("no such thing", 404)?,
        };
        Ok(answer)
    }
}

realgar::export!(House);
