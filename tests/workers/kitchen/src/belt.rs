//! An object that produces streams, and takes them.

use crate::{OrderError, json};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use realgar::{Namespace, deadline, prelude::*, sleep, stream_response};
use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How many items were produced in this wasm instance.
static PRODUCED: AtomicU32 = AtomicU32::new(0);
/// How many producers were dropped.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Notices that its stream is gone.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Belt {
    state: State,
    started: Cell<u32>,
    others: Namespace<Belt>,
}

impl DurableObject for Belt {
    fn init(cx: &mut Init) -> impl Instantiate<Self> {
        let others = cx.bind(Belt::from::<crate::Kitchen>());
        move |state: State| {
            let others = others.clone();
            async move { Ok(Belt { state, started: Cell::new(0), others }) }
        }
    }
}

#[rpc]
impl Belt {
    /// Counts up to `count`, with a pause before each number after the first.
    pub fn tick(&self, count: u32, pause_ms: u32) -> impl Stream<Item = u32> + use<> {
        let guard = Guard;
        stream::iter(0..count).then(move |number| {
            let _ = &guard;
            async move {
                if number > 0 && pause_ms > 0 {
                    sleep(Duration::from_millis(pause_ms.into())).await;
                }
                PRODUCED.fetch_add(1, Ordering::Relaxed);
                number
            }
        })
    }

    /// Borrows from the object, and is made by a future.
    pub async fn borrowed(&self, count: u32) -> impl Stream<Item = u32> {
        sleep(Duration::from_millis(1)).await;
        stream::iter(0..count).map(|number| {
            self.started.set(self.started.get() + 1);
            number + self.started.get()
        })
    }

    /// Fails after `good` items.
    pub fn failing(&self, good: u32) -> impl Stream<Item = Result<u32, OrderError>> + use<> {
        stream::iter((0..good).map(Ok)).chain(stream::iter([Err(OrderError::Closed), Ok(99)]))
    }

    /// Panics after `good` items.
    pub fn panicking(&self, good: u32) -> impl Stream<Item = u32> + use<> {
        stream::iter(0..).map(move |number| {
            assert!(number < good, "panic in a stream");
            number
        })
    }

    /// Refuses to start, or does not.
    pub async fn opening(&self, open: bool) -> Result<impl Stream<Item = String> + use<>, OrderError> {
        if open { Ok(stream::iter(["a".to_string(), "b".to_string()])) } else { Err(OrderError::Closed) }
    }

    /// Numbers that JavaScript has no exact `Number` for.
    pub fn wide(&self) -> impl Stream<Item = u64> + use<> {
        stream::iter([1, u64::MAX])
    }

    /// `count` blocks of `size` bytes.
    pub fn blocks(&self, count: u32, size: u32) -> impl Stream<Item = Vec<u8>> + use<> {
        stream::iter(0..count).map(move |number| vec![number as u8; size as usize])
    }

    /// Adds what arrives.
    pub async fn sum(&self, label: String, mut numbers: RpcStream<u64>) -> Result<(String, u64, u32)> {
        let (mut sum, mut count) = (0, 0);
        while let Some(number) = numbers.next().await {
            sum += number?;
            count += 1;
        }
        Ok((label, sum, count))
    }

    /// Takes only the first item of what arrives.
    pub async fn first(&self, mut numbers: RpcStream<u64, CallError<OrderError>>) -> Result<u64, OrderError> {
        match numbers.next().await {
            Some(Err(CallError::Method(error))) => Err(error),
            Some(Ok(number)) => Ok(number),
            _ => Err(OrderError::SoldOut { dish: "numbers".into(), left: 0 }),
        }
    }

    /// Takes what cannot be sent.
    pub async fn pair(&self, _numbers: RpcStream<u64>, _other: Unsendable) {}

    /// A stream that calls another object for each of two items, with a pause before the second.
    pub async fn relayed(&self, pause_ms: u32) -> impl Stream<Item = String> {
        stream::iter(0..2).then(move |number| async move {
            sleep(Duration::from_millis(u64::from(pause_ms * number))).await;
            let counts = self.others.get_by_name("relay").counts().await;
            counts.map_or_else(|error| error.to_string(), |_| "in time".into())
        })
    }

    /// Resets the object.
    pub async fn reset(&self) {
        self.state.abort("reset by a test");
    }

    /// Takes `ms`, by way of so many other objects.
    pub async fn dawdle(&self, hops: u32, ms: u32) -> Result<u32> {
        let _guard = Guard;
        if hops > 0 {
            return Ok(Box::pin(self.others.get_by_name(&format!("hop-{hops}")).dawdle(hops - 1, ms)).await? + 1);
        }
        sleep(Duration::from_millis(ms.into())).await;
        Ok(0)
    }

    /// How many items were produced, and how many producers dropped.
    pub fn counts(&self) -> (u32, u32) {
        (PRODUCED.load(Ordering::Relaxed), DROPPED.load(Ordering::Relaxed))
    }
}

/// Serialises to nothing.
#[derive(serde::Deserialize)]
pub struct Unsendable;

impl serde::Serialize for Unsendable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this is never sent"))
    }
}

/// Reads on after the deadline of the call that opened a stream.
async fn late(belt: &crate::BeltStub) -> Result<Response> {
    let limit = Duration::from_millis(200);
    let items = deadline(limit, belt.relayed(400)).await.map_err(|elapsed| elapsed.to_string())??;
    json(&items.collect().await?)
}

/// What the Worker does with streams.
pub(crate) async fn consume(belts: &Namespace<Belt>, which: &str) -> Result<Response> {
    let belt = belts.get_by_name("rust");
    match which {
        "collect" => json(&belt.tick(5, 0).await?.collect().await?),
        "borrowed" => json(&belt.borrowed(3).await?.collect().await?),
        "order" => in_order(&belt).await,
        "failing" => {
            let mut items = belt.failing(2).await?;
            let mut seen = Vec::new();
            while let Some(item) = items.next().await {
                seen.push(item.map_or_else(|error| format!("{error:?}"), |item| item.to_string()));
            }
            json(&seen)
        }
        "opening" => {
            let refused = belt.opening(false).await.map(drop);
            let items = belt.opening(true).await.map_err(|error| error.to_string())?.collect().await?;
            json(&(items, format!("{refused:?}")))
        }
        "wide" => json(&format!("{:?}", belt.wide().await?.collect().await)),
        "drop" => {
            let before = belt.counts().await?.1;
            let mut items = belt.tick(1_000_000, 10).await?;
            let first = items.next().await.transpose()?;
            drop(items);
            while belt.counts().await?.1 == before {
                sleep(Duration::from_millis(5)).await;
            }
            json(&first)
        }
        "abandoned" => {
            let before = belt.counts().await?.1;
            let mut opening = Box::pin(belt.tick(1_000_000, 10));
            let answered = futures_util::poll!(&mut opening).is_ready();
            drop(opening);
            while belt.counts().await?.1 == before {
                sleep(Duration::from_millis(5)).await;
            }
            json(&answered)
        }
        "unsent" => {
            let before = belt.counts().await?.1;
            let guard = Guard;
            let numbers = stream::iter(0..).inspect(move |_| {
                let _ = &guard;
            });
            let refused = belt.pair(numbers, Unsendable).await.unwrap_err();
            json(&(format!("{:?}", refused.kind()), belt.counts().await?.1 - before))
        }
        "late" => late(&belt).await,
        "waiting" => {
            let _guard = Guard;
            PRODUCED.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(600)).await;
            json(&"too late")
        }
        "sum" => json(&belt.sum("all".into(), stream::iter(1..=1000)).await.map_err(|error| error.to_string())?),
        "first" => {
            let failing = belt.first(stream::iter([Err(OrderError::Closed)])).await;
            let dropped = belt.first(stream::iter((7..).map(Ok))).await;
            json(&format!("{failing:?} {dropped:?}"))
        }
        "bulk" => bulk(&belt).await,
        "http" => Ok(stream_response(belt.tick(5, 20).await?.map_ok(|number| format!("{number}\n")))),
        "http-endless" => Ok(stream_response(belt.tick(u32::MAX, 5).await?.map_ok(|number| format!("{number}\n")))),
        "http-failing" => Ok(stream_response(belt.failing(2).await?.map_ok(|number| format!("{number}\n")))),
        "counts" => json(&belt.counts().await?),
        _ => Ok(Response::error("no such stream", 404)?),
    }
}

/// Calls with a deadline, over several hops: every hop gives up, and nobody waits longer.
pub(crate) async fn deadlines(belts: &Namespace<Belt>) -> Result<Response> {
    let belt = belts.get_by_name("start");
    let in_time = deadline(Duration::from_secs(20), belt.dawdle(2, 1)).await;
    let before = belt.counts().await?.1;
    let late = deadline(Duration::from_millis(100), belt.dawdle(2, 60_000)).await;
    // Three hops, each with a guard.
    while belt.counts().await?.1 < before + 3 {
        sleep(Duration::from_millis(5)).await;
    }
    // The nearest deadline counts, also if it is the outer one.
    let inner = deadline(Duration::from_secs(60), belt.dawdle(0, 60_000));
    let outer = deadline(Duration::from_millis(100), inner).await;
    json(&[format!("{in_time:?}"), format!("{late:?}"), format!("{outer:?}")])
}

/// Reads an item only after asking how many were produced: the producer must never be more than the chunk ahead.
async fn in_order(belt: &crate::BeltStub) -> Result<Response> {
    let before = belt.counts().await?.0;
    let mut items = belt.tick(4, 30).await?;
    let mut seen = Vec::new();
    while let Some(item) = items.next().await {
        seen.push((item?, belt.counts().await?.0 - before));
    }
    json(&seen)
}

/// 100 MB, checked, without keeping them.
async fn bulk(belt: &crate::BeltStub) -> Result<Response> {
    let mut items = belt.blocks(100, 1 << 20).await?;
    let (mut bytes, mut number) = (0_u64, 0_u8);
    while let Some(block) = items.next().await {
        let block = block?;
        if block.iter().any(|byte| *byte != number) {
            return Err("a block has another content".into());
        }
        number += 1;
        bytes += block.len() as u64;
    }
    json(&(bytes, core::arch::wasm32::memory_size(0) >> 4))
}
