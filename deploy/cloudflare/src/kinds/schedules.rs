//! The cron triggers of a Worker. They are set all at once.

use super::beside::{self, Beside, gone, props_of, script_of, unreadable};
use crate::{ApiFailure, Client, client::Body};
use realgar_engine::{Facts, Failure, Found, Kind, Output, Recorded, Wanted};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) const SCHEDULES: &str = "worker_schedules";

/// What a program says about the cron triggers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedules {
    /// The name of the Worker.
    pub(crate) script: Output<String>,
    /// The expressions, sorted. There is at least one.
    pub(crate) crons: Vec<String>,
}

impl Beside for Schedules {
    fn script(&self) -> &Output<String> {
        &self.script
    }
}

/// Nothing becomes known when cron triggers are set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The kind.
#[derive(Debug)]
pub(super) struct AllSchedules {
    client: Client,
}

impl AllSchedules {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn put(&self, script: &str, crons: &[String]) -> Result<Value, ApiFailure> {
        let body: Vec<Value> = crons.iter().map(|cron| json!({ "cron": cron })).collect();
        self.client.change("PUT", &path(script), &Body::Json(body.into()))
    }

    fn set(&self, props: &Schedules) -> Result<Found<Nothing>, Failure> {
        let answer = self.put(script_of(props)?, &props.crons)?;
        read(props, &answer)?.ok_or_else(|| unreadable("cron triggers that were set", &answer))
    }
}

fn path(script: &str) -> String {
    format!("/workers/scripts/{script}/schedules")
}

/// What an answer means. `None` if the Worker has no cron triggers.
fn read(props: &Schedules, answer: &Value) -> Result<Option<Found<Nothing>>, Failure> {
    let entries = answer["schedules"].as_array().into_iter().flatten();
    let crons = entries.map(|entry| entry["cron"].as_str().map(str::to_string)).collect::<Option<Vec<_>>>();
    let mut crons =
        crons.filter(|_| answer["schedules"].is_array()).ok_or_else(|| unreadable("cron triggers", answer))?;
    crons.sort();
    if crons.is_empty() {
        return Ok(None);
    }
    // Others that somebody else has set are not ours.
    let same = crons == props.crons;
    Ok(Some(Found::new(Nothing {}, json!({ "crons": crons }), same)))
}

impl Kind for AllSchedules {
    type Props = Schedules;
    type Attributes = Nothing;

    fn name(&self) -> &'static str {
        SCHEDULES
    }

    fn facts(&self) -> Facts {
        beside::facts("cron triggers", &[])
    }

    fn find(&self, wanted: &[Wanted<Schedules, Nothing>]) -> Result<Vec<Option<Found<Nothing>>>, Failure> {
        beside::find(&self.client, wanted, path, read)
    }

    fn create(&self, wanted: &Wanted<Schedules, Nothing>) -> Result<Found<Nothing>, Failure> {
        self.set(props_of(&wanted.fqn, wanted.props.as_ref())?)
    }

    fn update(&self, _recorded: &Recorded<Schedules, Nothing>, props: &Schedules) -> Result<Found<Nothing>, Failure> {
        self.set(props)
    }

    fn delete(&self, recorded: &Recorded<Schedules, Nothing>) -> Result<(), Failure> {
        gone(self.put(script_of(&recorded.props)?, &[]))
    }
}
