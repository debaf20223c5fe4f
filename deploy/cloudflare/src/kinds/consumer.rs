//! A Worker as the consumer of a queue. A queue has at most one.

use super::beside::{self, Beside, alike, gone, known, props_of, script_of, unreadable};
use crate::{Client, client::Body};
use realgar_engine::{Facts, Failure, Found, Kind, Output, Recorded, Wanted};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(crate) const CONSUMER: &str = "queue_consumer";

/// What a program says about the consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consumer {
    /// The name of the Worker.
    pub(crate) script: Output<String>,
    /// The id of the queue.
    pub(crate) queue: Output<String>,
    /// The name of the queue for messages that failed too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter_queue: Option<Output<String>>,
    /// The settings that the program says something about, as Cloudflare's API has them.
    pub(crate) settings: Map<String, Value>,
}

impl Beside for Consumer {
    fn script(&self) -> &Output<String> {
        &self.script
    }
}

/// What becomes known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Id {
    pub(crate) id: String,
}

/// The kind.
#[derive(Debug)]
pub(super) struct Consumers {
    client: Client,
}

impl Consumers {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

fn path(props: &Consumer) -> Result<String, Failure> {
    Ok(format!("/queues/{}/consumers", known(&props.queue)?))
}

fn body(props: &Consumer) -> Result<Body, Failure> {
    let dead_letters = props.dead_letter_queue.as_ref().map(known).transpose()?;
    let script = script_of(props)?;
    let mut body = json!({ "type": "worker", "script_name": script, "settings": props.settings });
    if let Some(queue) = dead_letters {
        body["dead_letter_queue"] = queue.into();
    }
    Ok(Body::Json(body))
}

/// What an answer means. Two names are in use for the Worker.
fn read(props: &Consumer, entry: &Value) -> Result<Found<Id>, Failure> {
    let id = entry["consumer_id"].as_str().ok_or_else(|| unreadable("the consumer of a queue", entry))?.to_string();
    let script = entry["script_name"].as_str().or_else(|| entry["script"].as_str());
    let ours = script == Some(script_of(props)?);
    let own = props.settings.iter().map(|(key, own)| (key.clone(), alike(own, &entry["settings"][key])));
    let mut effective = json!({ "script": script, "settings": own.collect::<Map<_, _>>() });
    if props.dead_letter_queue.is_some() {
        effective["dead_letter_queue"] = entry["dead_letter_queue"].clone();
    }
    Ok(Found::new(Id { id }, effective, ours))
}

impl Kind for Consumers {
    type Props = Consumer;
    type Attributes = Id;

    fn name(&self) -> &'static str {
        CONSUMER
    }

    fn facts(&self) -> Facts {
        // A Worker that consumes messages cannot be deleted, so this has to be deleted first.
        Facts { replacing: &["queue", "script"], dies_with_parent: false, ..beside::facts("queue consumer", &[]) }
    }

    fn find(&self, wanted: &[Wanted<Consumer, Id>]) -> Result<Vec<Option<Found<Id>>>, Failure> {
        let look = |wanted: &Wanted<Consumer, Id>| {
            let Some(props) = &wanted.props else { return Ok(None) };
            match self.client.list(&path(props)?, None, 100) {
                Ok(entries) => entries.first().map(|entry| read(props, entry)).transpose(),
                Err(failure) if failure.status == 404 => Ok(None),
                Err(failure) => Err(failure.into()),
            }
        };
        wanted.iter().map(look).collect()
    }

    fn create(&self, wanted: &Wanted<Consumer, Id>) -> Result<Found<Id>, Failure> {
        let props = props_of(&wanted.fqn, wanted.props.as_ref())?;
        read(props, &self.client.change("POST", &path(props)?, &body(props)?)?)
    }

    fn update(&self, recorded: &Recorded<Consumer, Id>, props: &Consumer) -> Result<Found<Id>, Failure> {
        let path = format!("{}/{}", path(props)?, recorded.attributes.id);
        read(props, &self.client.change("PUT", &path, &body(props)?)?)
    }

    fn delete(&self, recorded: &Recorded<Consumer, Id>) -> Result<(), Failure> {
        let path = format!("{}/{}", path(&recorded.props)?, recorded.attributes.id);
        gone(self.client.change("DELETE", &path, &Body::Empty))
    }
}
