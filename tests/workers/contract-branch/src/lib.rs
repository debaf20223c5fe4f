//! Another Worker that hosts the same class.

#[path = "../../contract-host/src/ledger.rs"]
mod ledger;

use contract::Branch;
use ledger::LedgerLive;
use realgar::prelude::*;

#[worker(of = Branch)]
pub struct BranchLive;

impl Worker for BranchLive {
    fn init(_cx: &mut Init) -> Self {
        BranchLive
    }
}

realgar::export!(BranchLive, objects(LedgerLive));
