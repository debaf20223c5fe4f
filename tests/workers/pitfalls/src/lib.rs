//! What users of such frameworks reported as broken elsewhere: values and statements at the edges of their types.

#![forbid(unsafe_code)]

mod d1;

use axum::{Router, http::header, routing::get};
use futures_util::stream;
use realgar::{Migration, R2Body, R2Bucket, R2Client, R2Found, R2Get, R2Put, R2Range, prelude::*};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

static FILES: R2Bucket = R2Bucket::new("pitfalls");
pub(crate) static DB: D1Database = D1Database::new("PITFALLS");

/// The word "zipped", as gzip writes it.
const ZIPPED: [u8; 26] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0xca, 0x2c, 0x28, 0x48, 0x4d, 0x01, 0x00, 0x57,
    0x68, 0xc2, 0xe2, 0x06, 0x00, 0x00, 0x00,
];

#[durable_object]
pub struct Pit {
    state: State,
}

impl DurableObject for Pit {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async { Ok(Pit { state }) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Data { b: Vec<u8> },
    Maybe { b: Option<Vec<u8>>, list: Vec<Vec<u8>> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Bytes(Vec<u8>),
    Named { b: Vec<u8> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Data(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    b: Vec<u8>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Loose {
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Nothing(()),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Bytes(Vec<u8>);

#[derive(Debug, Deserialize)]
struct Named {
    a: i64,
}

/// Whether a value comes back from storage as it went in.
fn returns<T: Serialize + DeserializeOwned + PartialEq + Debug>(state: &State, value: &T) -> Result<()> {
    let kv = state.storage().kv();
    kv.put("k", value)?;
    match kv.get::<T>("k")? {
        Some(found) if found == *value => Ok(()),
        found => Err(format!("{value:?} came back as {found:?}").into()),
    }
}

#[rpc]
impl Pit {
    pub fn tagged(&self) -> Result<()> {
        let bytes = || vec![1, 255];
        returns(&self.state, &Tagged::Data { b: bytes() })?;
        returns(&self.state, &Tagged::Maybe { b: Some(bytes()), list: vec![bytes(), vec![]] })?;
        returns(&self.state, &Tagged::Maybe { b: None, list: vec![] })?;
        returns(&self.state, &Untagged::Bytes(bytes()))?;
        returns(&self.state, &Untagged::Named { b: bytes() })?;
        returns(&self.state, &Adjacent::Data(bytes()))?;
        returns(&self.state, &Flat { inner: Inner { b: bytes() } })
    }

    /// A tagged value as an argument and a result, in plain values.
    #[rpc(native)]
    pub fn echo_tagged(&self, value: TaggedBytes) -> TaggedBytes {
        value
    }

    pub fn only_columns(&self) -> Result<String> {
        let sql = self.state.sql();
        let bytes: Vec<u8> = sql.query_one("SELECT x'00ff' AS b", ())?;
        let array: [u8; 2] = sql.query_one("SELECT x'00ff' AS b", ())?;
        let newtype: Bytes = sql.query_one("SELECT x'00ff' AS b", ())?;
        let tuple: (Vec<u8>,) = sql.query_one("SELECT x'00ff' AS b", ())?;
        let option: Option<Vec<u8>> = sql.query_one("SELECT x'00ff' AS b", ())?;
        let all: Vec<Vec<u8>> = sql.query("SELECT x'01' AS b UNION ALL SELECT x''", ())?;
        let loose: Vec<Loose> = sql.query(
            "SELECT 1 AS a UNION ALL SELECT 0.5 UNION ALL SELECT 'x' UNION ALL SELECT x'02' UNION ALL SELECT NULL",
            (),
        )?;
        let listed: Vec<i64> = sql.query_one("SELECT 1 AS a, 2 AS b", ())?;
        let named: Named = sql.query_one("SELECT 7 AS a", ())?;
        Ok(format!("{bytes:?} {array:?} {newtype:?} {tuple:?} {option:?} {all:?} {loose:?} {listed:?} {}", named.a))
    }

    pub fn comments(&self) -> Result<Vec<i64>> {
        let sql = self.state.sql();
        sql.migrate(&[
            Migration::new("one", "CREATE TABLE m (x INT);\n-- the end\n"),
            Migration::new("two", "INSERT INTO m VALUES (1); INSERT INTO m VALUES (2); /* two; rows */ -- and more;"),
        ])?;
        sql.execute("INSERT INTO m VALUES (?); -- the end", (3,))?;
        sql.execute("UPDATE m SET x = x + 1 WHERE x = ?;\n\n/* a; b */", (3.0,))?;
        let mut found: Vec<i64> = sql.query("SELECT x FROM m ORDER BY x; -- the end", ())?;
        found.extend(sql.query::<i64>("SELECT 10 WHERE '; --' = ?; -- the end", ("; --",))?);
        found.extend(sql.query::<i64>("SELECT 9007199254740993; -- exact", ())?);
        Ok(found)
    }

    /// Does what the standard library cannot do in a Worker.
    pub fn standard(&self, which: String) -> u64 {
        match which.as_str() {
            "instant" => std::time::Instant::now().elapsed().as_secs(),
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_millis(1));
                0
            }
            "thread" => std::thread::spawn(|| 1).join().unwrap_or(0),
            _ => std::time::SystemTime::now().elapsed().map_or(0, |time| time.as_secs()),
        }
    }

    pub fn f32s(&self, values: Vec<f32>) -> String {
        format!("{values:?}")
    }

    pub fn i32s(&self, values: Vec<i32>) -> String {
        format!("{values:?}")
    }

    pub fn i8s(&self, values: Vec<i8>) -> String {
        format!("{values:?}")
    }

    pub fn i64s(&self, values: Vec<i64>) -> String {
        format!("{values:?}")
    }

    pub fn u8s(&self, values: Vec<u8>) -> String {
        format!("{values:?}")
    }

    /// A block of lifetimes and results of a user's own names, called from elsewhere.
    pub fn search<'a>(&'a self) -> impl Stream<Item = SearchResult> + 'a {
        stream::iter([SearchResult { hits: 1 }, SearchResult { hits: 2 }])
    }
}

/// A tagged type that travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum TaggedBytes {
    Data { b: Vec<u8> },
}

/// A name that ends in `Result`, of a type that is none.
#[derive(Debug, Serialize, Deserialize)]
pub struct SearchResult {
    hits: u32,
}

#[worker(hosts(Pit))]
pub struct Pitfalls {
    files: R2Client,
    database: D1Client,
    router: Router,
    pits: Namespace<Pit>,
}

impl Worker for Pitfalls {
    fn init(cx: &mut Init) -> Self {
        let zipped = || async { ([(header::CONTENT_ENCODING, "gzip")], ZIPPED.to_vec()) };
        let router = Router::new().route("/axum/zipped", get(zipped)).route("/axum/plain", get(|| async { "plain" }));
        Pitfalls { files: cx.bind(&FILES), database: cx.bind(&DB), router, pits: cx.bind(Pit::from::<Pitfalls>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        match path.as_str() {
            "/d1" => Ok(Response::from_json(&d1::run(&self.database).await?)?),
            "/tagged" => {
                let value = TaggedBytes::Data { b: vec![0, 128] };
                let echoed = self.pits.get_by_name("native").echo_tagged(value.clone()).await?;
                Ok(Response::from_json(&json!(echoed == value))?)
            }
            path if path.starts_with("/r2/") => self.file(&path[4..]).await,
            _ => realgar::serve(self.router.clone(), request).await,
        }
    }
}

impl Pitfalls {
    /// The ten digits, or some of them, as a response.
    async fn file(&self, which: &str) -> Result<Response> {
        self.files.put("ten", b"0123456789", R2Put::default()).await?;
        let range = match which {
            "whole" => return self.files.get("ten").await?.ok_or("no object")?.into_response(),
            "from" => R2Range::From(4),
            "suffix" => R2Range::Suffix(3),
            "all" => R2Range::Bytes(0..10),
            _ => R2Range::Bytes(2..5),
        };
        let found = self.files.get_with("ten", R2Get { range: Some(range), ..R2Get::default() }).await?;
        let Some(R2Found::Object(body)) = found else { return Err("no object".into()) };
        R2Body::into_response(body)
    }
}

/// Anything as JSON, with what failed as text.
pub(crate) fn shown<T: Debug>(outcome: Result<T>) -> Value {
    match outcome {
        Ok(value) => format!("{value:?}").into(),
        Err(error) => format!("error: {error}").into(),
    }
}

realgar::export!(Pitfalls);
