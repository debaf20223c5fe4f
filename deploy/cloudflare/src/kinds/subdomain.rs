//! The address of a Worker below `workers.dev`.

use super::beside::{self, Beside, gone, props_of, script_of, unreadable};
use crate::{Client, client::Body};
use realgar_engine::{Facts, Failure, Found, Kind, Output, Recorded, Wanted};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) const SUBDOMAIN: &str = "worker_subdomain";

/// What a program says about the address: that the Worker has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subdomain {
    /// The name of the Worker.
    pub(crate) script: Output<String>,
}

impl Beside for Subdomain {
    fn script(&self) -> &Output<String> {
        &self.script
    }
}

/// What becomes known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    /// The address.
    pub(crate) url: String,
}

/// The kind.
#[derive(Debug)]
pub(super) struct Subdomains {
    client: Client,
}

impl Subdomains {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// What an answer means. `None` if the Worker has no address.
    fn read(&self, props: &Subdomain, answer: &Value) -> Result<Option<Found<Address>>, Failure> {
        let script = script_of(props)?;
        let malformed = || unreadable(&format!("the address of `{script}`"), answer);
        if !answer["enabled"].as_bool().ok_or_else(malformed)? {
            return Ok(None);
        }
        // The API on this machine says the address. At Cloudflare it follows from the name.
        let url = match answer["url"].as_str() {
            Some(url) => url.to_string(),
            None => {
                let account = self.client.get("/workers/subdomain")?;
                format!("https://{script}.{}.workers.dev", account["subdomain"].as_str().ok_or_else(malformed)?)
            }
        };
        Ok(Some(Found::new(Address { url }, json!({}), true)))
    }

    fn enable(&self, props: &Subdomain) -> Result<Found<Address>, Failure> {
        let script = script_of(props)?;
        let answer = self.client.change("POST", &path(script), &Body::Json(json!({ "enabled": true })))?;
        self.read(props, &answer)?.ok_or_else(|| unreadable(&format!("the address of `{script}`"), &answer))
    }
}

fn path(script: &str) -> String {
    format!("/workers/scripts/{script}/subdomain")
}

impl Kind for Subdomains {
    type Props = Subdomain;
    type Attributes = Address;

    fn name(&self) -> &'static str {
        SUBDOMAIN
    }

    fn facts(&self) -> Facts {
        beside::facts("workers.dev address", &["url"])
    }

    fn find(&self, wanted: &[Wanted<Subdomain, Address>]) -> Result<Vec<Option<Found<Address>>>, Failure> {
        beside::find(&self.client, wanted, path, |props, answer| self.read(props, answer))
    }

    fn create(&self, wanted: &Wanted<Subdomain, Address>) -> Result<Found<Address>, Failure> {
        self.enable(props_of(&wanted.fqn, wanted.props.as_ref())?)
    }

    fn update(&self, _recorded: &Recorded<Subdomain, Address>, props: &Subdomain) -> Result<Found<Address>, Failure> {
        self.enable(props)
    }

    fn delete(&self, recorded: &Recorded<Subdomain, Address>) -> Result<(), Failure> {
        gone(self.client.change("DELETE", &path(script_of(&recorded.props)?), &Body::Empty))
    }
}
