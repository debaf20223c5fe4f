//! Streams of items between isolates.
//!
//! The runtime carries only streams of bytes, so items travel as frames (`frame.rs`). The end of a stream is a frame of its own: a
//! stream that stops without one is an error at the consumer. JavaScript polls the producing end, one chunk at a time
//! (`produce.rs`, and `Pump` in `instance.js`), so items are produced only when somebody wants them, and a consumer that goes away
//! drops the producer.

mod consume;
mod frame;
mod produce;

pub use consume::{RpcStream, StreamError};
pub use produce::{Sink, StreamArgument, StreamHandle, stream_response};

pub(crate) use frame::Format;
pub(crate) use produce::{open, raw};
