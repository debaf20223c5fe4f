//! Photos: uploads stream into a bucket, a queue carries the work that comes after, and a database has the index.
//!
//! `PUT /NAME` stores, `GET /NAME` reads, `DELETE /NAME` removes, `GET /` lists what was indexed.

use realgar::{
    Consume, ConsumerOptions, MessageBatch, Queue, QueueClient, R2Bucket, R2Client, R2HttpMetadata, R2Put, prelude::*,
};
use serde::{Deserialize, Serialize};

pub static PHOTOS: R2Bucket = R2Bucket::new("photos");
pub static INDEX: D1Database = D1Database::new("INDEX").migrations("migrations");
pub static UPLOADS: Queue<Upload> = Queue::new("uploads");

/// Something happened to a photo.
#[derive(Debug, Serialize, Deserialize)]
pub struct Upload {
    name: String,
}

/// A row of the index.
#[derive(Debug, Serialize, Deserialize)]
struct Photo {
    name: String,
    size: u64,
    etag: String,
    r#type: Option<String>,
}

#[worker]
pub struct Photos {
    photos: R2Client,
    index: D1Client,
    uploads: QueueClient<Upload>,
}

impl Worker for Photos {
    fn init(cx: &mut Init) -> Self {
        cx.consume(&UPLOADS, ConsumerOptions { max_batch_timeout: Some(1), ..ConsumerOptions::default() });
        Photos { photos: cx.bind(&PHOTOS), index: cx.bind(&INDEX), uploads: cx.bind(&UPLOADS) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let name = request.path().trim_start_matches('/').to_string();
        match request.method() {
            Method::Get if name.is_empty() => {
                let photos: Vec<Photo> = self.index.query("SELECT * FROM photos ORDER BY name", ()).await?;
                Ok(Response::from_json(&photos)?)
            }
            Method::Get => match self.photos.get(&name).await? {
                Some(photo) => photo.into_response(),
                None => Ok(Response::error("no such photo", 404)?),
            },
            Method::Put if !name.is_empty() => {
                let content_type = request.headers().get("content-type")?;
                let http = R2HttpMetadata { content_type, ..R2HttpMetadata::default() };
                // As it arrives: the photo is never in memory as a whole.
                self.photos.put_body(&name, request, R2Put { http, ..R2Put::default() }).await?;
                self.changed(name).await
            }
            Method::Delete => {
                self.photos.delete(&name).await?;
                self.changed(name).await
            }
            _ => Ok(Response::error("PUT /NAME stores, GET /NAME reads, DELETE /NAME removes, GET / lists", 405)?),
        }
    }
}

impl Photos {
    async fn changed(&self, name: String) -> Result<Response> {
        self.uploads.send(&Upload { name }).await?;
        Ok(Response::empty()?.with_status(202))
    }

    /// Makes the index say what the bucket says. Delivered twice or out of order, it ends the same.
    async fn index(&self, name: &str) -> Result<()> {
        match self.photos.head(name).await? {
            Some(photo) => {
                let row = (photo.key, photo.size, photo.etag, photo.http.content_type);
                self.index.execute("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?)", row).await?;
            }
            None => {
                self.index.execute("DELETE FROM photos WHERE name = ?", (name,)).await?;
            }
        }
        Ok(())
    }
}

impl Consume for Photos {
    type Message = Upload;

    async fn consume(&self, batch: MessageBatch<Upload>, _cx: &Context) -> Result<()> {
        for message in batch.messages() {
            match self.index(&message.body()?.name).await {
                Ok(()) => message.ack(),
                // Only this one is delivered again.
                Err(error) => {
                    console_warn!("cannot index a photo: {error}");
                    message.retry();
                }
            }
        }
        Ok(())
    }
}

realgar::export!(Photos);
