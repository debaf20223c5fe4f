//! Streams of items between isolates.
//!
//! The runtime carries streams of bytes only, so items travel as frames (`frame.rs`) and the end of a stream is a frame of
//! its own: a stream that stops without one is an error at the consumer. The producing end is polled by JavaScript, one
//! chunk at a time (`produce.rs`, and `Pump` in `instance.js`), so nothing is produced that nobody wants, and a consumer
//! that goes away drops the producer.

mod consume;
mod frame;
mod produce;

pub use consume::{RpcStream, StreamError};
pub use produce::{Sink, StreamArgument, StreamHandle, stream_response};

pub(crate) use frame::Format;
pub(crate) use produce::{open, raw};
