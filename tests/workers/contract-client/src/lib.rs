//! A Worker that knows the contract only: it neither compiles nor ships what implements it.

use contract::{Bank, BankStub, Branch, Entry, Ledger, Vault, VaultStub};
use realgar::prelude::*;

#[worker]
pub struct Client {
    ledgers: Namespace<Ledger>,
    branch: Namespace<Ledger>,
    bank: BankStub,
    vault: VaultStub,
}

impl Worker for Client {
    fn init(cx: &mut Init) -> Self {
        Client {
            ledgers: cx.bind(Ledger::from::<Bank>()),
            branch: cx.bind(Ledger::from::<Branch>().named("BranchLedger")),
            bank: cx.bind(Bank::service()),
            vault: cx.bind(Vault::service()),
        }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let path = path.trim_start_matches('/');
        let (route, account) = path.split_once('/').unwrap_or((path, ""));
        let ledger = if account == "branch" { &self.branch } else { &self.ledgers }.get_by_name(account);
        let text = match route {
            "add" => format!("{:?}", ledger.add(entry()).await),
            "refused" => format!("{:?}", ledger.add(Entry { notes: Vec::new(), ..entry() }).await),
            "entries" => format!("{:?}", ledger.entries().await),
            "each" => match ledger.each().await {
                Ok(entries) => format!("{:?}", entries.collect().await),
                Err(error) => format!("{error:?}"),
            },
            "statement" => format!("{:?}", self.bank.statement(account.into()).await),
            "motto" => self.bank.motto().await?,
            "open" => format!("{:?} {:?}", self.vault.open(vec![1, 2, 3]).await, self.vault.open(vec![]).await),
            "vault" => return Ok(self.vault.fetch(request).await?),
            "mark" => ledger.origin().await?,
            _ => return Ok(self.bank.fetch(request).await?),
        };
        Ok(Response::ok(text)?)
    }
}

fn entry() -> Entry {
    Entry {
        #[cfg(feature = "added")]
        tag: Some("red".into()),
        amount: -5,
        notes: vec!["rent".into(), "May".into()],
    }
}

realgar::export!(Client);
