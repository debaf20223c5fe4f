//! Calls between isolates: the errors a caller sees, and the two ends of a call.
//!
//! On the wire a call is a method call on a stub with positional plain values, and a failure is a thrown `Error` whose own
//! properties carry the data. So a JavaScript caller needs no adapter, and neither does a JavaScript object.

mod arguments;
pub(crate) mod deadline;
mod error;
pub(crate) mod namespace;
mod reply;
mod send;
pub(crate) mod stream;
pub(crate) mod stub;

pub use arguments::Arguments;
pub use error::{CallError, RpcError, RpcErrorKind};
pub use reply::{Refusal, Reply};
pub use send::{Argument, MethodName};

pub(crate) use arguments::Lane;
pub(crate) use error::{Failure, METHOD_ERROR};
pub(crate) use send::{Named, call_fallible, call_stream, call_stream_fallible, call_value, fetch};
