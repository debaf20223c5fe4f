//! Cloudflare's REST API on this machine: the part of it with which Workers and what they bind are deployed.
//!
//! What is uploaded runs on the [`Edge`]. What exists is in tables ([`tables`]), which survive the end of the process. An answer has
//! Cloudflare's envelope, codes and checks, as the documentation has them and as the answers to `wrangler` show.
//!
//! Whoever calls has to know the token of this edge. It is made once and kept in a file that only its owner can read. A page in a
//! browser is refused even if it knew the token.

mod answer;
mod assets;
mod consumers;
mod databases;
mod exports;
mod faults;
mod normalise;
mod resources;
mod scripts;
mod server;
mod services;
mod steps;
mod tables;
mod upload;
mod values;

pub use server::{LOCAL_ACCOUNT, Rest, RestOptions};
