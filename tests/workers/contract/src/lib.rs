//! A contract crate: what callers and hosts agree on, and nothing that runs.

#![forbid(unsafe_code)]

use realgar::prelude::*;
use serde::{Deserialize, Serialize};

/// What accounts a bank keeps.
#[durable_object]
pub struct Ledger;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[cfg(not(feature = "changed"))]
    pub amount: i64,
    #[cfg(feature = "changed")]
    pub amount: String,
    pub notes: Vec<String>,
    #[cfg(feature = "added")]
    #[serde(default)]
    pub tag: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LedgerError {
    #[error("an entry needs a note")]
    NoNote,
}

#[rpc(for = Ledger)]
pub trait LedgerRpc {
    /// Adds an entry, and returns how many there are.
    async fn add(&self, entry: Entry) -> Result<usize, LedgerError>;

    /// All entries.
    async fn entries(&self) -> Vec<Entry>;

    /// All entries, one after the other.
    fn each(&self) -> impl Stream<Item = Entry>;

    /// Who says this.
    #[rpc(name = "whoSays")]
    async fn origin(&self) -> String;
}

/// Hosts ledgers.
#[worker(hosts(Ledger))]
pub struct Bank;

/// Hosts other ledgers.
#[worker(hosts(Ledger))]
pub struct Branch;

#[rpc(for = Bank)]
pub trait BankRpc {
    /// The entries of an account.
    async fn statement(&self, account: String) -> Result<Vec<Entry>>;

    /// The motto.
    #[cfg(not(feature = "fewer"))]
    async fn motto(&self) -> String;
}

/// What only the bank's own people may do.
#[worker(entrypoint_of = Bank)]
pub struct Vault;

#[rpc(for = Vault)]
pub trait VaultRpc {
    /// Opens it.
    async fn open(&self, codes: Vec<u32>) -> Result<String>;
}
