//! A ledger: accounts and transfers between them in the SQL database of one object. A transfer is stored whole or not at all, and once,
//! however often it is sent.
//!
//! `PUT /accounts/ada` opens an account; `GET /accounts/ada` shows it; `POST /transfers` takes a [`Transfer`] in JSON.

use realgar::{Migration, Namespace, prelude::*};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The schema, step by step. What has run is never changed: what is new comes at the end.
static MIGRATIONS: [Migration; 2] = [
    Migration::new(
        "accounts and transfers",
        "CREATE TABLE accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0));
         CREATE TABLE transfers (id TEXT PRIMARY KEY, payer TEXT NOT NULL, payee TEXT NOT NULL, cents INTEGER NOT NULL)",
    ),
    Migration::new("what for", "ALTER TABLE transfers ADD COLUMN note TEXT"),
];

/// What an account has when it is opened, so that there is something to move.
const OPENING_CENTS: i64 = 10_000;

#[derive(Clone, Serialize, Deserialize)]
pub struct Transfer {
    /// Chosen by who sends it: the same again is the same transfer.
    id: String,
    payer: String,
    payee: String,
    cents: i64,
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Account {
    name: String,
    cents: i64,
    transfers: Vec<Transfer>,
}

/// Why a transfer is refused.
#[derive(Debug, Serialize, Deserialize)]
pub enum LedgerError {
    NoAccount {
        name: String,
    },
    NotEnough {
        name: String,
        cents: i64,
    },
    NotPositive,
    /// The id stands for a transfer that says something else.
    OtherTransfer {
        id: String,
    },
    Storage {
        message: String,
    },
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAccount { name } => write!(f, "there is no account `{name}`"),
            Self::NotEnough { name, cents } => write!(f, "`{name}` has {cents} cents only"),
            Self::NotPositive => f.write_str("a transfer moves at least one cent"),
            Self::OtherTransfer { id } => write!(f, "the transfer `{id}` is there, and is another one"),
            Self::Storage { message } => f.write_str(message),
        }
    }
}

impl From<realgar::Error> for LedgerError {
    fn from(error: realgar::Error) -> Self {
        Self::Storage { message: error.to_string() }
    }
}

#[durable_object]
pub struct Ledger {
    state: State,
}

impl DurableObject for Ledger {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            // Before any call arrives.
            state.sql().migrate(&MIGRATIONS)?;
            Ok(Ledger { state })
        }
    }
}

#[rpc]
impl Ledger {
    /// Opens an account. One that is open stays as it is.
    pub fn open(&self, name: String) -> Result<()> {
        let insert = "INSERT INTO accounts (name, cents) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.state.sql().execute(insert, (name, OPENING_CENTS)).map(drop)
    }

    pub fn account(&self, name: String) -> Result<Account, LedgerError> {
        let cents = self.balance(&name)?;
        let transfers =
            "SELECT id, payer, payee, cents, note FROM transfers WHERE payer = ?1 OR payee = ?1 ORDER BY rowid";
        Ok(Account { transfers: self.state.sql().query(transfers, (&name,))?, name, cents })
    }

    /// Moves money. Returns whether it did: a transfer that was done before is not done again.
    pub fn transfer(&self, transfer: Transfer) -> Result<bool, LedgerError> {
        if transfer.cents <= 0 {
            return Err(LedgerError::NotPositive);
        }
        self.state.storage().transaction_sync(|| {
            if self.is_known(&transfer)? {
                return Ok(false);
            }
            self.add(&transfer.payer, -transfer.cents)?;
            self.add(&transfer.payee, transfer.cents)?;
            let Transfer { id, payer, payee, cents, note } = transfer;
            let insert = "INSERT INTO transfers (id, payer, payee, cents, note) VALUES (?, ?, ?, ?, ?)";
            self.state.sql().execute(insert, (id, payer, payee, cents, note))?;
            Ok(true)
        })
    }
}

impl Ledger {
    fn balance(&self, name: &str) -> Result<i64, LedgerError> {
        let found: Vec<i64> = self.state.sql().query("SELECT cents FROM accounts WHERE name = ?", (name,))?;
        found.first().copied().ok_or_else(|| LedgerError::NoAccount { name: name.into() })
    }

    /// Changes a balance. Where that fails, the transaction takes back what was done before.
    fn add(&self, name: &str, cents: i64) -> Result<(), LedgerError> {
        let balance = self.balance(name)?;
        if balance + cents < 0 {
            return Err(LedgerError::NotEnough { name: name.into(), cents: balance });
        }
        self.state.sql().execute("UPDATE accounts SET cents = cents + ? WHERE name = ?", (cents, name))?;
        Ok(())
    }

    fn is_known(&self, transfer: &Transfer) -> Result<bool, LedgerError> {
        let select = "SELECT id, payer, payee, cents, note FROM transfers WHERE id = ?";
        let known: Vec<Transfer> = self.state.sql().query(select, (&transfer.id,))?;
        let Some(known) = known.first() else { return Ok(false) };
        let same = (&known.payer, &known.payee, known.cents) == (&transfer.payer, &transfer.payee, transfer.cents);
        if same { Ok(true) } else { Err(LedgerError::OtherTransfer { id: transfer.id.clone() }) }
    }
}

#[worker(hosts(Ledger))]
pub struct Bank {
    ledgers: Namespace<Ledger>,
}

impl Worker for Bank {
    fn init(cx: &mut Init) -> Self {
        Bank { ledgers: cx.bind(Ledger::from::<Self>()) }
    }

    async fn fetch(&self, mut request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let ledger = self.ledgers.get_by_name("main");
        let answer = match (request.method(), path.trim_matches('/').split_once('/')) {
            (Method::Put, Some(("accounts", name))) => {
                ledger.open(name.into()).await?;
                return Ok(Response::empty()?.with_status(204));
            }
            (Method::Get, Some(("accounts", name))) => {
                ledger.account(name.into()).await.map(|it| Response::from_json(&it))
            }
            (Method::Post, None) if path == "/transfers" => {
                let Ok(transfer) = request.json::<Transfer>().await else {
                    return Ok(Response::error("expected {\"id\", \"payer\", \"payee\", \"cents\"}", 400)?);
                };
                ledger.transfer(transfer).await.map(|done| Response::from_json(&done))
            }
            _ => return Ok(Response::error("no such thing", 404)?),
        };
        match answer {
            Ok(response) => Ok(response?),
            Err(CallError::Method(LedgerError::NoAccount { name })) => {
                Ok(Response::error(LedgerError::NoAccount { name }.to_string(), 404)?)
            }
            Err(CallError::Method(error)) => Ok(Response::error(error.to_string(), 409)?),
            Err(error) => Err(error.into()),
        }
    }
}

realgar::export!(Bank);
