//! D1 databases, KV namespaces, R2 buckets and queues: each has a name, which is found in the list of all, and an id.

use super::{NoProps, beside::gone};
use crate::{ApiFailure, Client, client::Body};
use realgar_engine::{Data, Facts, Failure, FailureKind, Found, Kind, NameRule, Recorded, Recovery, Wanted};
use realgar_wire::limits::{BUCKET_NAME_LENGTH, QUEUE_NAME_LENGTH_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) const DATABASE: &str = "d1_database";
pub(crate) const NAMESPACE: &str = "kv_namespace";
pub(crate) const BUCKET: &str = "r2_bucket";
pub(crate) const QUEUE: &str = "queue";

/// Where a kind differs from the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    kind: &'static str,
    title: &'static str,
    rule: NameRule,
    path: &'static str,
    /// Where a page of the list has its entries, if not at its top.
    inside: Option<&'static str>,
    /// How many entries a page of the list may have.
    per_page: u32,
    /// The field with the name.
    name_field: &'static str,
    /// The field with the id.
    id_field: &'static str,
    /// The code of the answer that the name is taken.
    taken: u32,
}

pub(super) const DATABASE_KIND: Own = Own {
    kind: DATABASE,
    title: "D1 database",
    rule: NameRule { length_max: 64, capitals: true, underscores: true },
    path: "/d1/database",
    inside: None,
    per_page: 1000,
    name_field: "name",
    id_field: "uuid",
    taken: 7502,
};

pub(super) const NAMESPACE_KIND: Own = Own {
    kind: NAMESPACE,
    title: "KV namespace",
    rule: NameRule { length_max: 512, capitals: true, underscores: true },
    path: "/storage/kv/namespaces",
    inside: None,
    per_page: 100,
    name_field: "title",
    id_field: "id",
    taken: 10014,
};

pub(super) const BUCKET_KIND: Own = Own {
    kind: BUCKET,
    title: "R2 bucket",
    rule: NameRule { length_max: *BUCKET_NAME_LENGTH.end(), capitals: false, underscores: false },
    path: "/r2/buckets",
    inside: Some("buckets"),
    per_page: 1000,
    name_field: "name",
    id_field: "name",
    taken: 10004,
};

pub(super) const QUEUE_KIND: Own = Own {
    kind: QUEUE,
    title: "queue",
    rule: NameRule { length_max: QUEUE_NAME_LENGTH_MAX, capitals: false, underscores: false },
    path: "/queues",
    inside: None,
    per_page: 100,
    name_field: "queue_name",
    id_field: "queue_id",
    taken: 11009,
};

/// What becomes known when one is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attributes {
    /// The id, which bindings and calls name.
    pub(crate) id: String,
    /// The name, which some bindings have instead.
    pub(crate) name: String,
}

/// One of the kinds.
#[derive(Debug)]
pub(super) struct Named {
    client: Client,
    own: Own,
}

impl Named {
    pub(super) fn new(client: Client, own: Own) -> Self {
        Self { client, own }
    }

    fn read(&self, entry: &Value) -> Result<Attributes, Failure> {
        let text = |key: &str| entry[key].as_str().map(str::to_string);
        let unreadable = |key| {
            let message = format!("the answer about a {} has no `{key}`: {entry}", self.own.title);
            Failure::new(FailureKind::Unreadable, message)
        };
        let id = text(self.own.id_field).ok_or_else(|| unreadable(self.own.id_field))?;
        Ok(Attributes { id, name: text(self.own.name_field).ok_or_else(|| unreadable(self.own.name_field))? })
    }
}

fn found(attributes: Attributes, ours: bool) -> Found<Attributes> {
    Found::new(attributes, json!({}), ours)
}

impl Kind for Named {
    type Props = NoProps;
    type Attributes = Attributes;

    fn name(&self) -> &'static str {
        self.own.kind
    }

    fn facts(&self) -> Facts {
        Facts {
            title: self.own.title,
            rule: self.own.rule,
            recovery: Recovery::Named,
            replacing: &[],
            side_by_side: true,
            stable: &["id", "name"],
            holds_data: |_: &Data| true,
            dies_with_parent: false,
            restarts: false,
            has_users: false,
            is_shared: true,
        }
    }

    fn find(&self, wanted: &[Wanted<NoProps, Attributes>]) -> Result<Vec<Option<Found<Attributes>>>, Failure> {
        let Own { path, inside, per_page, .. } = self.own;
        let mut names = BTreeMap::new();
        for entry in self.client.list(path, inside, per_page)? {
            let attributes = self.read(&entry)?;
            names.insert(attributes.name.clone(), attributes);
        }
        let find = |wanted: &Wanted<NoProps, Attributes>| {
            let there = names.get(&wanted.name.text)?;
            let ours = match &wanted.attributes {
                // One with another id was made by somebody else, after ours was deleted.
                Some(known) => known.id == there.id,
                // Names that nobody chose are made of the stack and the resource.
                None => wanted.adopted || !wanted.name.pinned || !wanted.instance.is_empty(),
            };
            Some(found(there.clone(), ours))
        };
        Ok(wanted.iter().map(find).collect())
    }

    fn create(&self, wanted: &Wanted<NoProps, Attributes>) -> Result<Found<Attributes>, Failure> {
        let body = Body::Json(json!({ self.own.name_field: wanted.name.text }));
        match self.client.change("POST", self.own.path, &body) {
            Ok(entry) => Ok(found(self.read(&entry)?, true)),
            Err(ApiFailure { code: Some(code), message, .. }) if code == self.own.taken => {
                let text = format!(
                    "a {} called `{}` appeared since the plan was made ({message})",
                    self.own.title, wanted.name
                );
                Err(Failure::new(FailureKind::Refused, text))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn update(&self, recorded: &Recorded<NoProps, Attributes>, _props: &NoProps) -> Result<Found<Attributes>, Failure> {
        // Nothing can be said of it that could change.
        Ok(found(recorded.attributes.clone(), true))
    }

    fn delete(&self, recorded: &Recorded<NoProps, Attributes>) -> Result<(), Failure> {
        gone(self.client.change("DELETE", &format!("{}/{}", self.own.path, recorded.attributes.id), &Body::Empty))
    }
}
