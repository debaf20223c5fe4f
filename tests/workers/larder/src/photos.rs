//! Objects in R2: streams, ranges, conditions, uploads in parts.

use crate::json;
use futures_util::stream;
use realgar::{R2Client, R2Condition, R2Found, R2Get, R2HttpMetadata, R2List, R2Put, R2Range, prelude::*};
use std::collections::BTreeMap;

pub(crate) async fn route(photos: R2Client, route: &str, request: Request) -> Result<Response> {
    match route {
        "whole" => whole(photos).await,
        "conditions" => conditions(photos).await,
        "list" => list(photos).await,
        "parts" => parts(photos).await,
        "stream" => streamed(photos).await,
        "many" => many(photos).await,
        "tail" => match photos.get_with("m", R2Get { range: Some(R2Range::Suffix(4)), ..R2Get::default() }).await? {
            Some(R2Found::Object(body)) => body.into_response(),
            other => Err(format!("{other:?}").into()),
        },
        "packed" => {
            let gzip = R2HttpMetadata { content_encoding: Some("gzip".into()), ..R2HttpMetadata::default() };
            photos.put("packed", GZIPPED, R2Put { http: gzip, ..R2Put::default() }).await?;
            photos.get("packed").await?.ok_or("not put")?.into_response()
        }
        key if request.method() == Method::Put => {
            let options = R2Put {
                http: R2HttpMetadata { content_type: Some("image/test".into()), ..R2HttpMetadata::default() },
                ..R2Put::default()
            };
            let put = photos.put_body(key, request, options).await?;
            json(&put.map(|object| object.size))
        }
        key => match photos.get(key).await? {
            Some(body) => body.into_response(),
            None => Ok(Response::error("no such photo", 404)?),
        },
    }
}

/// `hello`, packed.
const GZIPPED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";

/// Many bodies that nobody reads yet, and then each of them written to another object.
async fn many(photos: R2Client) -> Result<Response> {
    const SIZE: usize = 3 << 20;
    photos.put("m", &vec![1; SIZE], R2Put::default()).await?;
    let bodies = futures_util::future::try_join_all((0..12).map(|_| photos.get("m"))).await?;
    let copies = bodies.into_iter().zip(0..).map(|(body, number)| async move {
        let body = body.ok_or("no body")?;
        photos.put_object(&format!("copy/ü{number}"), body, R2Put::default()).await
    });
    let copies = futures_util::future::try_join_all(copies).await?;
    let read = photos.get("copy/ü7").await?.ok_or("no copy")?.bytes().await?.len();
    let listed = photos.list(&R2List { prefix: "copy/ü1".into(), ..R2List::default() }).await?.objects.len();
    json(&(copies.iter().flatten().filter(|copy| copy.size == SIZE as u64).count(), read == SIZE, listed))
}

async fn whole(photos: R2Client) -> Result<Response> {
    let custom = BTreeMap::from([("by".to_string(), "ada".to_string())]);
    let bytes: Vec<u8> = (0..=255).collect();
    let put = photos.put("a/one", &bytes, R2Put { custom, ..R2Put::default() }).await?.ok_or("not put")?;
    let head = photos.head("a/one").await?.ok_or("no head")?;
    let missing = (photos.head("none").await?.is_none(), photos.get("none").await?.is_none());
    let same = photos.get("a/one").await?.ok_or("no body")?.bytes().await? == bytes;
    let mut ranges = Vec::new();
    for range in [R2Range::Bytes(2..5), R2Range::From(253), R2Range::Suffix(2)] {
        ranges.push(match photos.get_with("a/one", R2Get { range: Some(range), ..R2Get::default() }).await? {
            Some(R2Found::Object(body)) => body.bytes().await?,
            other => return Err(format!("{other:?}").into()),
        });
    }
    let beyond = R2Get { range: Some(R2Range::From(256)), ..R2Get::default() };
    let beyond = photos.get_with("a/one", beyond).await.map(drop).map_err(|error| error.to_string());
    let replaced = photos.put("a/one", b"short", R2Put::default()).await?.ok_or("not put")?;
    photos.delete_all(["a/one", "none"]).await?;
    json(&serde_json::json!({
        "size": (put.size, head.size),
        "same_version": put.version == head.version && put.version != replaced.version,
        "etag": head.etag,
        "custom": head.custom,
        "missing": missing,
        "same": same,
        "ranges": ranges,
        "beyond": beyond,
        "gone": photos.head("a/one").await?.is_none(),
    }))
}

async fn conditions(photos: R2Client) -> Result<Response> {
    let first = photos.put("c", b"first", R2Put::default()).await?.ok_or("not put")?;
    let only = |condition: R2Condition| R2Put { only_if: condition, ..R2Put::default() };
    let matches = |etag: &str| R2Condition { etag_matches: Some(etag.into()), ..R2Condition::default() };
    let differs = |etag: &str| R2Condition { etag_does_not_match: Some(etag.into()), ..R2Condition::default() };
    let lost = photos.put("c", b"lost", only(matches("another"))).await?.is_none();
    let create_only = photos.put("c", b"lost", only(differs("*"))).await?.is_none();
    let won = photos.put("c", b"second", only(matches(&first.etag))).await?.ok_or("the condition holds")?;
    let unchanged = photos.get_with("c", R2Get { only_if: differs(&won.etag), ..R2Get::default() }).await?;
    let changed = photos.get_with("c", R2Get { only_if: differs(&first.etag), ..R2Get::default() }).await?;
    let text = match changed {
        Some(R2Found::Object(body)) => body.text().await?,
        other => format!("{other:?}"),
    };
    let kept = matches!(unchanged, Some(R2Found::Kept(object)) if object.etag == won.etag);
    json(&(lost, create_only, kept, text))
}

async fn list(photos: R2Client) -> Result<Response> {
    for key in ["l/a", "l/b/1", "l/b/2", "l/c", "m", "l/ü"] {
        photos.put(key, key.as_bytes(), R2Put::default()).await?;
    }
    let mut pages = Vec::new();
    let mut options = R2List { prefix: "l/".into(), delimiter: Some("/".into()), limit: Some(2), ..R2List::default() };
    loop {
        let page = photos.list(&options).await?;
        let keys: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
        pages.push((keys, page.prefixes));
        options.cursor = page.cursor;
        if options.cursor.is_none() {
            return json(&pages);
        }
    }
}

async fn parts(photos: R2Client) -> Result<Response> {
    const SIZE: usize = 5 << 20;
    let upload = photos.create_upload("big", R2Put::default()).await?;
    let second = upload.part(2, b"the end").await?;
    let again = photos.resume_upload("big", &upload.id())?;
    let first = again.part(1, &vec![7; SIZE]).await?;
    let missing = again.complete(&[first.clone(), realgar::R2Part { part_number: 3, ..second.clone() }]).await.is_err();
    let whole = again.complete(&[first, second]).await?;
    let range = R2Get { range: Some(R2Range::From(SIZE as u64 - 2)), ..R2Get::default() };
    let tail = match photos.get_with("big", range).await? {
        Some(R2Found::Object(body)) => body.bytes().await?,
        other => return Err(format!("{other:?}").into()),
    };
    let given_up = photos.create_upload("never", R2Put::default()).await?;
    given_up.abort().await?;
    let aborted = given_up.part(1, b"x").await.is_err();
    json(&(missing, whole.size, tail, aborted, photos.head("never").await?.is_none()))
}

async fn streamed(photos: R2Client) -> Result<Response> {
    let chunks = |count: u8| stream::iter((0..count).map(|number| Ok::<_, String>([number; 1000])));
    let put = photos.put_stream("streamed", 50_000, chunks(50), R2Put::default()).await?.ok_or("not put")?;
    let short = photos.put_stream("short", 50_000, chunks(49), R2Put::default()).await.is_err();
    let failing = stream::iter([Ok([1; 1000]), Err("no more")]);
    let failed = photos.put_stream("failed", 50_000, failing, R2Put::default()).await.is_err();
    let left = (photos.head("short").await?.is_none(), photos.head("failed").await?.is_none());
    json(&(put.size, short, failed, left))
}
