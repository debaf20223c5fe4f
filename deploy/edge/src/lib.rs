//! Cloudflare on this machine: a supervisor that runs Workers on the real runtime, workerd.
//!
//! An [`Edge`] owns the listening sockets and hands them to one workerd process, which runs all its scripts. So a new version takes
//! over without a closed port. The new version is first started in a process of its own, to see whether it starts at all. Then the
//! old process ends, and connections wait in the sockets until the new process accepts them. WebSockets do not survive this.
//!
//! Objects and databases are on disk. They outlive workerd and the supervisor.
//!
//! Other users of the machine and the pages of a browser reach the same loopback addresses. So every listener except those of the
//! Workers themselves requires a secret that is new for each run, and every file is accessible to its owner only.

mod check;
mod error;
mod migrations;
mod namespaces;
mod os;
mod outbound;
mod private;
mod r2;
mod rest;
mod script;
mod supervisor;
mod values;
mod workerd;

pub use error::EdgeError;
pub use outbound::{Outbound, OutboundAnswer, OutboundRequest, OutboundResponse, OutboundRules};
pub use private::{SECRET_HEADER, Secret};
pub use rest::{LOCAL_ACCOUNT, Rest, RestOptions};
pub use script::Script;
pub use supervisor::{Admin, Edge, EdgeOptions, EndSink, LogSink, RequestSink};
pub use values::read_values;
pub use workerd::{
    hooks::Hooks,
    process::{LogLine, ServedRequest, Source},
};
