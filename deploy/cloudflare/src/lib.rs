//! Deploys to Cloudflare: a client of its REST API, the kinds of resources that Workers are and bind, and the program that follows
//! from a set of bundles.
//!
//! The client speaks to a base address. For production that is Cloudflare's; for tests and for work without an account it is the API
//! of `realgar-edge` on this machine. All kinds share one [`Client`], so they also share its patience when Cloudflare is busy.

mod client;
mod codes;
mod declare;
mod gate;
mod kinds;

pub use client::{ApiFailure, Client, CredentialsError, Settings, Token};
pub use codes::remedies;
pub use declare::{DeclareError, Worker, declare};
pub use kinds::{Files, is_plain_worker, kinds};
