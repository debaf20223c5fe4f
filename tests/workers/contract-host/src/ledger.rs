//! What a ledger does.

use contract::{Entry, Ledger, LedgerError, LedgerRpc};
use futures_util::stream;
use realgar::prelude::*;
use std::cell::RefCell;

/// A text that only the implementation has.
pub const MARK: &str = "only-the-ledger-says-this";

#[durable_object(of = Ledger)]
pub struct LedgerLive {
    entries: RefCell<Vec<Entry>>,
}

impl DurableObject for LedgerLive {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(LedgerLive { entries: RefCell::default() }) }
    }
}

#[rpc]
impl LedgerRpc for LedgerLive {
    async fn add(&self, entry: Entry) -> Result<usize, LedgerError> {
        if entry.notes.is_empty() {
            return Err(LedgerError::NoNote);
        }
        self.entries.borrow_mut().push(entry);
        Ok(self.entries.borrow().len())
    }

    async fn entries(&self) -> Vec<Entry> {
        self.entries.borrow().clone()
    }

    fn each(&self) -> impl Stream<Item = Entry> {
        stream::iter(self.entries.borrow().clone())
    }

    async fn origin(&self) -> String {
        MARK.into()
    }
}
