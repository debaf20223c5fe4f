//! The Worker that implements the contract.

#![forbid(unsafe_code)]

mod ledger;

pub use ledger::LedgerLive;

use contract::{Bank, BankRpc, Entry, Ledger, Vault, VaultRpc};
use realgar::prelude::*;

#[worker(of = Bank)]
pub struct BankLive {
    ledgers: Namespace<Ledger>,
}

impl Worker for BankLive {
    fn init(cx: &mut Init) -> Self {
        BankLive { ledgers: cx.bind(Ledger::from::<Bank>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        Ok(Response::ok(format!("the bank got {}", request.path()))?)
    }
}

#[rpc]
impl BankRpc for BankLive {
    async fn statement(&self, account: String) -> Result<Vec<Entry>> {
        Ok(self.ledgers.get_by_name(&account).entries().await?)
    }

    #[cfg(not(feature = "fewer"))]
    async fn motto(&self) -> String {
        "safe and sound".into()
    }
}

#[worker(of = Vault)]
pub struct VaultLive;

impl Worker for VaultLive {
    fn init(_cx: &mut Init) -> Self {
        VaultLive
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        Ok(Response::ok(format!("the vault got {}", request.path()))?)
    }
}

#[rpc]
impl VaultRpc for VaultLive {
    async fn open(&self, codes: Vec<u32>) -> Result<String> {
        if codes == [1, 2, 3] { Ok("open".into()) } else { Err("wrong codes".into()) }
    }
}

realgar::export!(BankLive, objects(LedgerLive), entrypoints(VaultLive));
