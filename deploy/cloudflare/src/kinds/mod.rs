//! The kinds of resources, one file each.
//!
//! A kind of which nothing but a name is said ([`named`]) is found in the list of all. A Worker is several resources: the script with
//! what it binds, and, each for itself, what is set beside it. So each has an outcome of its own, and the next run makes only what
//! is missing.

mod beside;
mod named;
mod schedules;
mod script;
mod subdomain;

use crate::Client;
use realgar_engine::{Fqn, Kinds, Stack};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

pub(crate) use named::{BUCKET, DATABASE, NAMESPACE, QUEUE};
pub(crate) use schedules::{SCHEDULES, Schedules};
pub(crate) use script::{Module, SCRIPT, ScriptProps, digest};
pub(crate) use subdomain::{SUBDOMAIN, Subdomain};

/// All kinds, for the resources of `stack`. `bundles` has the folder of the modules of each Worker.
#[must_use]
pub fn kinds(client: &Client, stack: &Stack, bundles: BTreeMap<Fqn, PathBuf>) -> Kinds {
    let named = [named::DATABASE_KIND, named::NAMESPACE_KIND, named::BUCKET_KIND, named::QUEUE_KIND];
    let kinds =
        named.into_iter().fold(Kinds::default(), |kinds, own| kinds.with(named::Named::new(client.clone(), own)));
    kinds
        .with(script::Scripts::new(client.clone(), stack.clone(), bundles))
        .with(subdomain::Subdomains::new(client.clone()))
        .with(schedules::AllSchedules::new(client.clone()))
}

/// The properties of a resource of which only the name is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoProps {}
