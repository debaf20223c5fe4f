//! A Worker that binds one of every resource.

mod photos;

use realgar::{
    AnalyticsClient, AnalyticsDataset, Assets, AssetsClient, Consume, ConsumerOptions, DataPoint, JsonVar,
    JsonVarClient, KvClient, KvList, KvNamespace, KvPut, MessageBatch, Period, Queue, QueueClient, R2Bucket, R2Client,
    RateLimit, RateLimitClient, RawBinding, Resource, Scheduled, ScheduledEvent, Secret, SecretClient, StoreSecret,
    Var, VarClient, VersionMetadata, VersionMetadataClient, prelude::*,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

static JARS: D1Database = D1Database::new("JARS").migrations("migrations");
static PHOTOS: R2Bucket = R2Bucket::new("photos");
static NOTES: KvNamespace = KvNamespace::new("NOTES");
static JOBS: Queue<Job> = Queue::new("jobs");
static DEAD: Queue<Job> = Queue::new("dead-jobs");
static LIMIT: Var<u32> = Var::new("LIMIT").or("7");
static CONFIG: JsonVar<Config> = JsonVar::new("CONFIG").or(r#"{"beta":true,"names":["a","b"]}"#);
static API_KEY: Secret = Secret::new("API_KEY");
static VAULT: StoreSecret = StoreSecret::new("VAULT", "main", "vault-key");
static FILES: Assets = Assets::new("FILES", "public");
static LOGINS: RateLimit = RateLimit::new("LOGINS", 1, 2, Period::Minute);
static VISITS: AnalyticsDataset = AnalyticsDataset::new("VISITS");
static VERSION: VersionMetadata = VersionMetadata::new("VERSION");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Job {
    Fill { jar: String },
    FailUntil { attempt: u32 },
    Broken,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    beta: bool,
    names: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Jar {
    label: String,
    grams: Option<f64>,
    sealed: bool,
}

#[worker]
pub struct Larder {
    jars: D1Client,
    photos: R2Client,
    notes: KvClient,
    jobs: QueueClient<Job>,
    limit: VarClient<u32>,
    config: JsonVarClient<Config>,
    api_key: SecretClient,
    vault: SecretClient,
    files: AssetsClient,
    logins: RateLimitClient,
    visits: AnalyticsClient,
    version: VersionMetadataClient,
    ai: RawBinding,
}

impl Worker for Larder {
    fn init(cx: &mut Init) -> Self {
        cx.cron("*/5 * * * *");
        cx.cron("0 0 * * *");
        cx.consume(
            &JOBS,
            ConsumerOptions {
                max_batch_timeout: Some(0),
                max_retries: Some(2),
                dead_letter_queue: Some(DEAD_NAME),
                ..ConsumerOptions::default()
            },
        );
        cx.consume(&DEAD, ConsumerOptions { max_batch_timeout: Some(0), ..ConsumerOptions::default() });
        Larder {
            jars: cx.bind(&JARS),
            photos: cx.bind(&PHOTOS),
            notes: cx.bind(&NOTES),
            jobs: cx.bind(&JOBS),
            limit: cx.bind(&LIMIT),
            config: cx.bind(&CONFIG),
            api_key: cx.bind(&API_KEY),
            vault: cx.bind(&VAULT),
            files: cx.bind(&FILES),
            logins: cx.bind(&LOGINS),
            visits: cx.bind(&VISITS),
            version: cx.bind(&VERSION),
            ai: cx.bind(Resource::ai("AI")),
        }
    }

    async fn fetch(&self, mut request: Request, _cx: &Context) -> Result<Response> {
        match request.path().as_str() {
            path if path.starts_with("/r2/") => photos::route(self.photos, &path[4..], request).await,
            "/d1" => self.d1().await,
            "/kv" => self.kv().await,
            "/send" => {
                let jobs: Vec<Job> = request.json().await?;
                self.jobs.send_batch(&jobs).await?;
                self.jobs.send_after(&Job::Fill { jar: "late".into() }, Duration::from_secs(600)).await?;
                json(&jobs.len())
            }
            "/log" => json(&self.notes.list(&KvList { prefix: "log/".into(), ..KvList::default() }).await?.keys.len()),
            "/logged" => self.logged().await,
            "/vars" => {
                let (key, vault) = (self.api_key.get().await?, self.vault.get().await?);
                let shown = format!("{key:?}");
                json(&(self.limit.get()?, self.config.get()?, key.expose(), vault.expose(), shown))
            }
            "/rate" => {
                let mut allowed = Vec::new();
                for key in ["ada", "ada", "ada", "bob"] {
                    allowed.push(self.logins.allows(key).await?);
                }
                json(&allowed)
            }
            "/point" => {
                self.visits.write(DataPoint { index: Some("home"), doubles: &[1.5], blobs: &["a", "b"] })?;
                json(&())
            }
            "/version" => json(&self.version.get()?.id),
            "/ai" => json(&self.ai.get().map(|_| ()).unwrap_err().to_string()),
            "/file" => {
                Ok(self.files.fetch(Request::new("http://assets/hello.txt", realgar::worker::Method::Get)?).await?)
            }
            _ => Ok(Response::error("no such route", 404)?),
        }
    }
}

const DEAD_NAME: &str = "dead-jobs";

impl Larder {
    async fn d1(&self) -> Result<Response> {
        let insert = "INSERT INTO jars (label, grams, sealed) VALUES (?, ?, ?)";
        let rows = [("fig", Some(1.0), true), ("quince", None, false)];
        let changed = self.jars.batch(rows.map(|(label, grams, sealed)| (insert, (label, grams, sealed)))).await?;
        // The second one is there already, so that the first one is not kept either.
        let twice =
            self.jars.batch([("pear", 1), ("fig", 2)].map(|(label, grams)| (insert, (label, grams, true)))).await;
        let jars: Vec<Jar> = self.jars.query("SELECT label, grams, sealed FROM jars ORDER BY label", ()).await?;
        json(&serde_json::json!({ "changed": changed, "failed": twice.is_err(), "jars": jars }))
    }

    async fn kv(&self) -> Result<Response> {
        let kv = &self.notes;
        kv.put_text("plain", "naïve 🦀", KvPut::default()).await?;
        let bytes: Vec<u8> = (0..=255).collect();
        kv.put_bytes("bytes", &bytes, KvPut::default()).await?;
        let metadata = Some(serde_json::json!({ "by": "ada" }));
        kv.put_json("json", &("x", 1), KvPut { ttl: Some(Duration::from_secs(600)), metadata }).await?;
        let with_metadata: Option<(String, Option<serde_json::Value>)> = kv.get_with_metadata("json").await?;
        let wrong = kv.get_json::<u32>("json").await.map(drop).map_err(|error| error.to_string());
        kv.delete("plain").await?;
        let page = kv.list(&KvList { limit: Some(1), ..KvList::default() }).await?;
        let rest = kv.list(&KvList { cursor: page.cursor.clone(), ..KvList::default() }).await?;
        let json_value: Option<(String, u32)> = kv.get_json("json").await?;
        json(&serde_json::json!({
            "gone": kv.get_text("plain").await?,
            "bytes": kv.get_bytes("bytes").await?.is_some_and(|found| found == bytes),
            "json": json_value,
            "metadata": with_metadata,
            "wrong": wrong,
            "first": page.keys.first().map(|key| &key.name),
            "rest": rest.keys.iter().map(|key| (&key.name, key.expiration.is_some())).collect::<Vec<_>>(),
            "last": rest.cursor,
        }))
    }

    async fn logged(&self) -> Result<Response> {
        let page = self.notes.list(&KvList { prefix: "log/".into(), ..KvList::default() }).await?;
        let mut lines = Vec::new();
        for key in page.keys {
            lines.push(self.notes.get_text(&key.name).await?);
        }
        json(&lines)
    }

    async fn log(&self, key: &str, text: &str) -> Result<()> {
        self.notes.put_text(&format!("log/{key}"), text, KvPut::default()).await
    }
}

impl Consume for Larder {
    type Message = Job;

    async fn consume(&self, batch: MessageBatch<Job>, _cx: &Context) -> Result<()> {
        for message in batch.messages() {
            let (queue, attempts) = (batch.queue(), message.attempts());
            let line = |what: &str| format!("{queue}: {what} at attempt {attempts}");
            match message.body() {
                Ok(Job::FailUntil { attempt }) if attempts < attempt && queue != DEAD_NAME => message.retry(),
                Ok(job) => {
                    self.log(&format!("{}-{attempts}", message.id()), &line(&format!("{job:?}"))).await?;
                    message.ack();
                }
                Err(error) => {
                    self.log(&message.id(), &line(&error.to_string())).await?;
                    message.ack();
                }
            }
        }
        Ok(())
    }
}

impl Scheduled for Larder {
    async fn scheduled(&self, event: ScheduledEvent, _cx: &Context) -> Result<()> {
        if event.cron() != "*/5 * * * *" {
            return Err(format!("nothing is done at `{}`", event.cron()).into());
        }
        self.log("cron", &format!("cron {}", event.time_ms() > 0)).await
    }
}

fn json(value: &impl Serialize) -> Result<Response> {
    Ok(Response::from_json(value)?)
}

realgar::export!(Larder);
