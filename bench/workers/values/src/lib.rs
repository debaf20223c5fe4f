//! Composite values and streams: `GET /WHICH/SIZE/N`, each a loop of calls with that many structs, or of streams.

use futures_util::stream;
use realgar::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub struct Item {
    id: u32,
    name: String,
    price: f64,
    tags: Vec<String>,
    active: bool,
}

fn items(count: u32) -> Vec<Item> {
    let item = |id| Item {
        id,
        name: format!("item number {id}"),
        price: f64::from(id) * 1.25,
        tags: vec!["red".into(), "large".into()],
        active: id % 2 == 0,
    };
    (0..count).map(item).collect()
}

/// A row.
#[derive(Deserialize)]
pub struct Line {
    id: u32,
    name: String,
    price: f64,
    active: bool,
}

#[durable_object]
pub struct Echo {
    state: State,
}

impl DurableObject for Echo {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            let lines =
                "CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY, name TEXT, price REAL, active INTEGER)";
            state.sql().execute(lines, ())?;
            Ok(Echo { state })
        }
    }
}

#[rpc]
impl Echo {
    pub fn number(&self, number: f64) -> f64 {
        number
    }

    /// Writes so many rows, one by one.
    pub fn write(&self, count: u32) -> Result<u32> {
        let sql = self.state.sql();
        for id in 0..count {
            let row = (id, format!("line number {id}"), f64::from(id) * 1.25, id % 2 == 0);
            sql.execute("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?)", row)?;
        }
        Ok(count)
    }

    /// Reads so many rows at once.
    pub fn read(&self, count: u32) -> Result<u32> {
        let lines: Vec<Line> = self.state.sql().query("SELECT id, name, price, active FROM lines LIMIT ?", (count,))?;
        let active = lines.iter().filter(|line| line.active && line.price >= 0.0 && !line.name.is_empty());
        Ok(active.map(|line| line.id).max().unwrap_or(0))
    }

    pub fn echo(&self, items: Vec<Item>) -> Vec<Item> {
        items
    }

    #[rpc(native)]
    pub fn echo_native(&self, items: Vec<Item>) -> Vec<Item> {
        items
    }

    /// So many items of 1 KiB.
    pub fn blocks(&self, count: u32) -> impl Stream<Item = Block> + use<> {
        stream::iter((0..count).map(|number| Block(vec![number as u8; 1024])))
    }
}

/// Bytes that serde knows to be bytes.
pub struct Block(Vec<u8>);

impl Serialize for Block {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Block;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Block, E> {
                Ok(Block(bytes.into()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Block, E> {
                Ok(Block(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// The same object in JavaScript, which gives back what it gets.
#[durable_object(name = "Echo")]
pub struct JsEcho;

#[rpc(for = JsEcho, native)]
pub trait JsEchoRpc {
    async fn echo(&self, items: Vec<Item>) -> Vec<Item>;
}

#[worker(hosts(Echo))]
pub struct Values {
    echoes: Namespace<Echo>,
    javascript: Namespace<JsEcho>,
}

impl Worker for Values {
    fn init(cx: &mut Init) -> Self {
        Values {
            echoes: cx.bind(Echo::from::<Values>()),
            javascript: cx.bind(JsEcho::from_script("javascript-values").named("JsEcho")),
        }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let [_, which, size, count] = path.split('/').collect::<Vec<_>>()[..] else {
            return Err("GET /WHICH/SIZE/N".into());
        };
        let (size, count): (u32, u32) = (size.parse().map_err(|_| "SIZE")?, count.parse().map_err(|_| "N")?);
        let (echo, javascript) = (self.echoes.get_by_name("one"), self.javascript.get_by_name("one"));
        let sent = items(size);
        let mut seen = 0;
        for _ in 0..count {
            seen += match which {
                "write" => echo.write(size).await? as usize,
                "read" => echo.read(size).await? as usize,
                "number" => echo.number(f64::from(size)).await? as usize,
                "bytes" => echo.echo(sent.clone()).await?.len(),
                "native" => echo.echo_native(sent.clone()).await?.len(),
                "javascript" => javascript.echo(sent.clone()).await?.len(),
                "stream" => {
                    let mut blocks = echo.blocks(size).await?;
                    let mut bytes = 0;
                    while let Some(block) = blocks.next().await {
                        bytes += block?.0.len();
                    }
                    bytes
                }
                _ => echo.blocks(u32::MAX).await?.next().await.transpose()?.map_or(0, |block| block.0.len()),
            };
        }
        Ok(Response::ok(seen.to_string())?)
    }
}

realgar::export!(Values);
