//! Calls between isolates: the errors a caller sees, and the two ends of a call.
//!
//! On the wire a call is a method call on a stub with positional plain values, and a failure is a thrown `Error` whose own
//! properties carry the data. So a JavaScript caller needs no adapter, and neither does a JavaScript object.

mod arguments;
pub(crate) mod call;
mod error;

pub use arguments::Arguments;
pub use call::{Argument, MethodName};
pub use error::{CallError, RpcError, RpcErrorKind};

pub(crate) use arguments::Lane;
pub(crate) use call::{Named, call, call_fallible, call_stream, call_stream_fallible, fetch};
pub(crate) use error::{Failure, METHOD_ERROR};
