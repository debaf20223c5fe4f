//! An object that is written in JavaScript, in another Worker, and fails as the platform does.

use crate::json;
use futures_util::stream;
use realgar::{Namespace, deadline, prelude::*};
use std::time::Duration;

/// The class `FlakyObject` of the driver.
#[durable_object(name = "FlakyObject")]
pub struct Flaky;

#[rpc(for = Flaky)]
pub trait FlakyRpc {
    /// Fails the first `times`, with an error that has the property `flag`, and then says how often it was called.
    #[rpc(idempotent)]
    async fn price(&self, times: u32, flag: String) -> u32;

    /// As `price`, and may not be repeated.
    async fn order(&self, times: u32, flag: String) -> u32;

    /// Values of JavaScript as they are.
    async fn swap(&self, pair: (String, Vec<u8>)) -> (Vec<u8>, String);

    /// How many lines a stream has.
    async fn lines(&self, numbers: RpcStream<u32>) -> u32;
}

/// Calls with a deadline, of which a plain call cannot tell.
pub(crate) async fn call_in_time(flaky: &Namespace<Flaky>) -> Result<Response> {
    let object = flaky.get_by_name("lines");
    let lines = || deadline(Duration::from_secs(20), object.lines(stream::iter(0..9)));
    let outcome = (lines().await, lines().await);
    json(&format!("{outcome:?}"))
}

pub(crate) async fn call(flaky: &Namespace<Flaky>) -> Result<Response> {
    let get = |name: &str| flaky.get_by_name(name);
    let kind = |result: Result<u32, realgar::RpcError>| result.map_err(|error| format!("{:?}", error.kind()));
    json(&(
        kind(get("a").price(2, "retryable".into()).await),
        kind(get("b").price(9, "retryable".into()).await),
        kind(get("c").price(1, "overloaded".into()).await),
        kind(get("d").order(1, "retryable".into()).await),
        kind(get("b").price(0, String::new()).await),
        get("e").swap(("text".into(), vec![1, 2])).await?,
    ))
}
