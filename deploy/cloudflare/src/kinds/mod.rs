//! The kinds of resources, one file each.
//!
//! A kind of which nothing but a name is said ([`named`]) is found in the list of all. A Worker is several resources: the script with
//! what it binds, and, each for itself, what is set beside it. So each has an outcome of its own, and the next run makes only what
//! is missing.

mod assets;
mod beside;
mod consumer;
mod form;
mod migrations;
mod named;
mod schedules;
mod script;
mod skew;
mod subdomain;

use crate::Client;
use realgar_engine::{Failure, FailureKind, Fqn, Kinds, Secret, Stack};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub(crate) use assets::{Asset, read as read_assets};
pub(crate) use consumer::{CONSUMER, Consumer};
pub(crate) use migrations::{MIGRATIONS, Migrations};
pub(crate) use named::{BUCKET, DATABASE, NAMESPACE, QUEUE};
pub(crate) use schedules::{SCHEDULES, Schedules};
pub use script::is_plain_worker;
pub(crate) use script::{FINGERPRINT, Module, SCRIPT, ScriptProps, digest};
pub(crate) use subdomain::{SUBDOMAIN, Subdomain};

/// What goes up with resources, and is in no properties: files and secrets.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The folder of the modules of each Worker, and of the migrations of each database.
    pub(crate) folders: BTreeMap<Fqn, PathBuf>,
    /// The folder of the static files of each Worker that has some.
    pub(crate) assets: BTreeMap<Fqn, PathBuf>,
    /// The values of secrets, by their fingerprints.
    pub(crate) secrets: BTreeMap<String, Secret>,
}

impl Files {
    fn folder(&self, fqn: &Fqn) -> Result<&Path, Failure> {
        self.folders.get(fqn).map(PathBuf::as_path).ok_or_else(|| no_files(fqn))
    }

    fn assets(&self, fqn: &Fqn) -> Result<&Path, Failure> {
        self.assets.get(fqn).map(PathBuf::as_path).ok_or_else(|| no_files(fqn))
    }
}

fn no_files(fqn: &Fqn) -> Failure {
    Failure::new(FailureKind::Refused, format!("the files of `{fqn}` are not here"))
}

/// All kinds, for the resources of `stack`.
#[must_use]
pub fn kinds(client: &Client, stack: &Stack, files: &Files) -> Kinds {
    let named = [named::DATABASE_KIND, named::NAMESPACE_KIND, named::BUCKET_KIND, named::QUEUE_KIND];
    let kinds =
        named.into_iter().fold(Kinds::default(), |kinds, own| kinds.with(named::Named::new(client.clone(), own)));
    kinds
        .with(consumer::Consumers::new(client.clone()))
        .with(migrations::AllMigrations::new(client.clone(), files.clone()))
        .with(script::Scripts::new(client.clone(), stack.clone(), files.clone()))
        .with(subdomain::Subdomains::new(client.clone()))
        .with(schedules::AllSchedules::new(client.clone()))
}

/// The properties of a resource of which only the name is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoProps {}
