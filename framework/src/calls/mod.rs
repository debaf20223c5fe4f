//! Calls between isolates: stubs and namespaces, the two ends of a call, its streams, and the errors that a caller sees.
//!
//! On the wire a call is a method call on a stub with positional plain values, and a failure is a thrown `Error` whose own
//! properties carry the data. So a JavaScript caller needs no adapter, and neither does a JavaScript object.

mod arguments;
mod error;
mod lane;
pub(crate) mod namespace;
mod reply;
mod send;
pub(crate) mod stream;
pub(crate) mod stub;

pub use arguments::Arguments;
pub use error::{CallError, RpcError, RpcErrorKind};
pub use reply::{Refusal, Reply};
pub use send::{Argument, MethodName, call_stream, call_stream_fallible};

pub(crate) use error::{Failure, METHOD_ERROR};
pub(crate) use lane::Lane;
pub(crate) use send::{Named, call_fallible, call_value, fetch};
