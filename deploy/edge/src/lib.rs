//! Cloudflare on this machine: a supervisor that runs Workers on the real runtime, workerd.
//!
//! An [`Edge`] owns the listening sockets and hands them to one workerd process that runs all its scripts. So a new version
//! takes over without a closed port: it is first started on its own, to see whether it starts at all; then the old process
//! ends, and connections wait in the socket for the new one. WebSockets do not survive that.
//!
//! Objects and databases are on disk and outlive the process, the machine's supervisor included.
//!
//! Everything that listens beside the Workers themselves wants a secret of the run, and every file is its owner's alone:
//! other users and the pages of a browser reach the same loopback addresses.

mod check;
mod error;
mod migrations;
mod namespaces;
mod os;
mod outbound;
mod private;
mod r2;
mod script;
mod supervisor;
mod values;
mod workerd;

pub use error::EdgeError;
pub use outbound::{Outbound, OutboundAnswer, OutboundRequest, OutboundResponse, OutboundRules};
pub use private::{SECRET_HEADER, Secret};
pub use script::Script;
pub use supervisor::{Admin, Edge, EdgeOptions, EndSink, LogSink, RequestSink};
pub use values::read_values;
pub use workerd::{
    hooks::Hooks,
    process::{LogLine, ServedRequest, Source},
};
