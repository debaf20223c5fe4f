//! How the items of a stream are written, and read again.
//!
//! | | to JavaScript: one JSON document a line | between Rust and Rust |
//! |---|---|---|
//! | start | | one byte, 1 |
//! | an item | `{"item":…}` | kind 0, postcard |
//! | the method's own error, which ends the stream | `{"error":{"code":"method_error","message":…,"data":…}}` | kind 1, postcard |
//! | any other failure, which ends the stream | `{"error":{"code":…,"message":…}}` | kind 2, `code NUL message` |
//! | the end, with the number of items | `{"end":…}` | kind 3, four bytes, little-endian |
//!
//! A frame between Rust and Rust starts with four bytes, little-endian: its length times four, plus its kind.
//! `instance.js` writes frames of kind 2 for a producer whose instance died.

use super::StreamError;
use crate::{
    CodecError, RpcError, RpcErrorKind,
    calls::METHOD_ERROR,
    codec::{self, bytes},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::fmt::Display;

const MAGIC: u8 = 1;
const ITEM: u32 = 0;
const METHOD: u32 = 1;
const FAILURE: u32 = 2;
const END: u32 = 3;

/// The largest frame that is read, in bytes: what the platform allows in one call (32 MiB).
const FRAME_SIZE_MAX: usize = 32 << 20;

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Nothing but the bytes of the items: a body.
    Raw = 0,
    /// JSON lines.
    Lines = 1,
    /// Frames of postcard.
    Frames = 2,
}

/// `{"item":…}`
#[derive(Serialize)]
struct ItemLine<T> {
    item: T,
}

/// `{"error":…}`
#[derive(Serialize)]
struct ErrorLine<B> {
    error: B,
}

/// The method's own error.
#[derive(Serialize)]
struct MethodBody<'a, E> {
    code: &'a str,
    message: &'a str,
    data: E,
}

/// Any other failure.
#[derive(Serialize)]
struct FailureBody<'a> {
    code: &'a str,
    message: &'a str,
}

/// `{"end":…}`
#[derive(Serialize)]
struct EndLine {
    end: u32,
}

impl Format {
    /// Appends an item.
    pub(super) fn item<T: Serialize>(self, buffer: &mut Vec<u8>, item: &T) -> Result<(), CodecError> {
        match self {
            Self::Raw | Self::Frames => self.frame(buffer, ITEM, |buffer| bytes::append(buffer, item)),
            Self::Lines => line(buffer, &ItemLine { item }),
        }
    }

    /// Appends the error that the method ended with.
    pub(super) fn method_error<E: Serialize + Display>(
        self,
        buffer: &mut Vec<u8>,
        error: &E,
    ) -> Result<(), CodecError> {
        match self {
            Self::Raw | Self::Frames => self.frame(buffer, METHOD, |buffer| bytes::append(buffer, error)),
            Self::Lines => {
                let message = error.to_string();
                line(buffer, &ErrorLine { error: MethodBody { code: METHOD_ERROR, message: &message, data: error } })
            }
        }
    }

    /// Appends a failure that is not the method's own.
    pub(super) fn failure(self, buffer: &mut Vec<u8>, kind: RpcErrorKind, message: &str) {
        let code = kind.code();
        let written = match self {
            Self::Raw | Self::Frames => self.frame(buffer, FAILURE, |buffer| {
                buffer.extend_from_slice(code.as_bytes());
                buffer.push(0);
                buffer.extend_from_slice(message.as_bytes());
                Ok(())
            }),
            Self::Lines => line(buffer, &ErrorLine { error: FailureBody { code, message } }),
        };
        debug_assert!(written.is_ok(), "text can always be written");
    }

    /// Appends the end.
    pub(super) fn end(self, buffer: &mut Vec<u8>, items: u32) {
        let written = match self {
            Self::Raw | Self::Frames => self.frame(buffer, END, |buffer| {
                buffer.extend_from_slice(&items.to_le_bytes());
                Ok(())
            }),
            Self::Lines => line(buffer, &EndLine { end: items }),
        };
        debug_assert!(written.is_ok(), "a number can always be written");
    }

    /// Appends a frame. What a failing `body` wrote is taken back.
    fn frame(
        self,
        buffer: &mut Vec<u8>,
        kind: u32,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        let outcome = body(buffer).and_then(|()| match buffer.len() - start - 4 {
            length if length <= FRAME_SIZE_MAX => Ok(length),
            length => Err(too_large(length)),
        });
        match outcome {
            Ok(length) => {
                let header = (length as u32) << 2 | kind;
                buffer[start..start + 4].copy_from_slice(&header.to_le_bytes());
                Ok(())
            }
            Err(error) => {
                buffer.truncate(start);
                Err(error)
            }
        }
    }

    /// Appends what a stream starts with.
    pub(super) fn start(self, buffer: &mut Vec<u8>) {
        if self == Self::Frames {
            buffer.push(MAGIC);
        }
    }
}

fn line<T: Serialize>(buffer: &mut Vec<u8>, document: &T) -> Result<(), CodecError> {
    let start = buffer.len();
    let written = codec::json::append(buffer, document);
    match written {
        Ok(()) => buffer.push(b'\n'),
        Err(_) => buffer.truncate(start),
    }
    written
}

fn too_large(length: usize) -> CodecError {
    CodecError::new(format!("an item of {length} bytes is larger than the {FRAME_SIZE_MAX} that may travel"))
}

/// Parses a stream of bytes, in either of the two formats.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// How much of the buffer was read.
    at: usize,
    /// How far the buffer was searched for the end of a line.
    searched: usize,
    format: Option<Format>,
    items: u32,
    /// Whether the producer has another contract. If so, an item that does not fit is not the producer's mistake.
    skewed: bool,
}

/// What comes next in a stream.
pub(super) enum Next<T, E> {
    Item(T),
    /// The stream ended with this error.
    Error(E),
    End,
    /// The next item has not arrived completely.
    More,
}

impl Reader {
    /// A reader of what a peer sends. `skewed` says that the peer has another contract.
    pub(super) fn new(skewed: bool) -> Self {
        Self { skewed, ..Self::default() }
    }

    /// Says that the stream has ended. Returns whether there is more to read now: the last line may have come without a newline.
    pub(super) fn close(&mut self) -> bool {
        let open = self.format == Some(Format::Lines) && self.at < self.buffer.len();
        if open {
            self.buffer.push(b'\n');
        }
        open
    }

    /// Appends what arrived.
    pub(super) fn push(&mut self, extend: impl FnOnce(&mut Vec<u8>)) {
        self.buffer.drain(..self.at);
        self.searched = self.searched.saturating_sub(self.at);
        self.at = 0;
        extend(&mut self.buffer);
    }

    pub(super) fn next<T: DeserializeOwned, E: StreamError>(&mut self, method: &str) -> Next<T, E> {
        let next = match self.format() {
            Ok(None) => Ok(Next::More),
            Ok(Some(Format::Lines)) => self.next_line(method),
            Ok(Some(_)) => self.next_frame(method),
            Err(error) => Err(error),
        };
        next.unwrap_or_else(|error| {
            let error = error.at(self.items as usize).inside("items");
            let error = RpcError::from_codec(RpcErrorKind::BadResult, method, &error);
            Next::Error(E::failed(if self.skewed { error.skewed() } else { error }))
        })
    }

    /// The format, which the first byte tells.
    fn format(&mut self) -> Result<Option<Format>, CodecError> {
        if self.format.is_none()
            && let Some(first) = self.buffer.first()
        {
            self.format = match *first {
                MAGIC => {
                    self.at = 1;
                    Some(Format::Frames)
                }
                b'{' => Some(Format::Lines),
                _ => {
                    return Err(CodecError::new(
                        "this is no stream of items: it starts with neither a frame nor a JSON line",
                    ));
                }
            };
        }
        Ok(self.format)
    }

    fn next_frame<T: DeserializeOwned, E: StreamError>(&mut self, method: &str) -> Result<Next<T, E>, CodecError> {
        let rest = &self.buffer[self.at..];
        let Some((header, rest)) = rest.split_first_chunk::<4>() else { return Ok(Next::More) };
        let header = u32::from_le_bytes(*header);
        let length = (header >> 2) as usize;
        if length > FRAME_SIZE_MAX {
            return Err(too_large(length));
        }
        let Some(body) = rest.get(..length) else { return Ok(Next::More) };
        self.at += 4 + length;
        match header & 3 {
            ITEM => {
                let item = bytes::decode(body)?;
                self.items = self.items.wrapping_add(1);
                Ok(Next::Item(item))
            }
            METHOD => E::returned(Encoded::Bytes(body)).map(Next::Error),
            FAILURE => {
                let text = String::from_utf8_lossy(body);
                let (code, message) = text.split_once('\0').unwrap_or(("remote", &text));
                Ok(Next::Error(E::failed(RpcError::of_code(code, method, message.into()))))
            }
            _ => {
                let count: [u8; 4] =
                    body.try_into().map_err(|_| CodecError::new("the end of the stream is malformed"))?;
                self.ended(u32::from_le_bytes(count))
            }
        }
    }

    fn next_line<T: DeserializeOwned, E: StreamError>(&mut self, method: &str) -> Result<Next<T, E>, CodecError> {
        /// The line's one key says what it is, so the value is looked at with the right type only.
        #[derive(Deserialize)]
        enum Line<'a> {
            #[serde(rename = "item", borrow)]
            Item(&'a RawValue),
            #[serde(rename = "error", borrow)]
            Error(Error<'a>),
            #[serde(rename = "end")]
            End(u32),
        }
        #[derive(Deserialize)]
        struct Error<'a> {
            code: String,
            #[serde(default)]
            message: String,
            #[serde(default, borrow)]
            data: Option<&'a RawValue>,
        }
        let start = self.at;
        let fresh = start.max(self.searched);
        let Some(length) = self.buffer[fresh..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            let length = self.buffer.len() - start;
            return if length > FRAME_SIZE_MAX { Err(too_large(length)) } else { Ok(Next::More) };
        };
        let end = fresh + length;
        self.at = end + 1;
        match codec::json::decode(&self.buffer[start..end])? {
            Line::Item(item) => {
                let item = codec::json::parse(item.get())?;
                self.items = self.items.wrapping_add(1);
                Ok(Next::Item(item))
            }
            Line::Error(Error { code, data, .. }) if code == METHOD_ERROR => {
                // An error without fields is `null`, which serde reads as `None`.
                let data = data.map_or("null", RawValue::get);
                E::returned(Encoded::Json(data)).map(Next::Error)
            }
            Line::Error(Error { code, message, .. }) => {
                Ok(Next::Error(E::failed(RpcError::of_code(&code, method, message))))
            }
            Line::End(count) => self.ended(count),
        }
    }

    fn ended<T, E>(&self, count: u32) -> Result<Next<T, E>, CodecError> {
        if count == self.items {
            return Ok(Next::End);
        }
        Err(CodecError::new(format!("the stream had {count} items, of which {} arrived", self.items)))
    }
}

/// A method's error as it arrived, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub enum Encoded<'a> {
    /// postcard.
    Bytes(&'a [u8]),
    /// A JSON document.
    Json(&'a str),
}

impl Encoded<'_> {
    pub(super) fn decode<E: DeserializeOwned>(self) -> Result<E, CodecError> {
        match self {
            Self::Bytes(body) => bytes::decode(body),
            Self::Json(text) => codec::json::parse(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallError;

    type Read = Result<u64, CallError<String>>;

    #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
    #[error("sold out")]
    struct SoldOut;

    fn read(bytes: &[u8], chunk: usize) -> Vec<Read> {
        let mut reader = Reader::default();
        let mut seen = Vec::new();
        for chunk in bytes.chunks(chunk) {
            reader.push(|buffer| buffer.extend_from_slice(chunk));
            loop {
                match reader.next::<u64, CallError<String>>("tick") {
                    Next::Item(item) => seen.push(Ok(item)),
                    Next::Error(error) => {
                        seen.push(Err(error));
                        return seen;
                    }
                    Next::End => return seen,
                    Next::More => break,
                }
            }
        }
        seen.push(Err(RpcError::new(RpcErrorKind::Truncated, "tick", "no end".into()).into()));
        seen
    }

    fn written(format: Format, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut buffer = Vec::new();
        format.start(&mut buffer);
        fill(&mut buffer);
        buffer
    }

    #[test]
    fn what_is_written_is_read_whatever_the_chunks() {
        for format in [Format::Lines, Format::Frames] {
            let stream = written(format, |buffer| {
                for item in [1_u64, 300, 1 << 40] {
                    format.item(buffer, &item).unwrap();
                }
                format.end(buffer, 3);
            });
            for chunk in 1..=stream.len() {
                assert_eq!(read(&stream, chunk), [Ok(1), Ok(300), Ok(1 << 40)], "{format:?} {chunk}");
            }
        }
    }

    #[test]
    fn errors_and_failures_arrive_as_what_they_are() {
        for format in [Format::Lines, Format::Frames] {
            let stream = written(format, |buffer| format.method_error(buffer, &"sold out").unwrap());
            assert_eq!(read(&stream, 7), [Err(CallError::Method("sold out".to_string()))]);
            let stream = written(format, |buffer| format.method_error(buffer, &SoldOut).unwrap());
            let mut reader = Reader::new(false);
            reader.push(|buffer| buffer.extend_from_slice(&stream));
            let Next::Error(error) = reader.next::<u64, CallError<SoldOut>>("buy") else { panic!("{format:?}") };
            assert_eq!(error, CallError::Method(SoldOut), "{format:?}: an error without fields");
            let stream = written(format, |buffer| format.failure(buffer, RpcErrorKind::Interrupted, "gone"));
            let Err(CallError::Rpc(error)) = read(&stream, 7).remove(0) else { panic!("{format:?}") };
            assert_eq!((error.kind(), error.message()), (RpcErrorKind::Interrupted, "gone"));
        }
    }

    #[test]
    fn a_lost_item_or_a_missing_end_is_an_error() {
        for format in [Format::Lines, Format::Frames] {
            let lost = written(format, |buffer| {
                format.item(buffer, &1_u64).unwrap();
                format.end(buffer, 2);
            });
            assert!(matches!(&read(&lost, 64)[..], [Ok(1), Err(CallError::Rpc(_))]));
            let cut = written(format, |buffer| format.item(buffer, &1_u64).unwrap());
            assert!(matches!(&read(&cut, 64)[..], [Ok(1), Err(CallError::Rpc(_))]));
        }
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let mut reader = Reader::new(false);
        reader.push(|buffer| buffer.extend_from_slice(b"{\"item\":7}\r\n{\"end\":1}"));
        assert!(matches!(reader.next::<u64, CallError<String>>("tick"), Next::Item(7)));
        assert!(matches!(reader.next::<u64, CallError<String>>("tick"), Next::More));
        assert!(reader.close());
        assert!(matches!(reader.next::<u64, CallError<String>>("tick"), Next::End));
        assert!(!reader.close(), "and that is all");
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let hostile: [&[u8]; 9] = [
            b"<html>",
            b"{}\n",
            b"{\"item\":\"text\"}\n",
            b"{\"item\":-1}\n",
            b"{\"end\":1}\n",
            b"{\"error\":{}}\n",
            &[1, 0xff, 0xff, 0xff, 0xff],
            &[1, 0, 0, 0, 0],
            &[1, 7, 0, 0, 0, 9],
        ];
        for bytes in hostile {
            assert!(matches!(read(bytes, 64).last(), Some(Err(_))), "{bytes:?}");
        }
    }

    #[test]
    fn an_item_that_does_not_fit_another_contract_is_told_as_that() {
        for format in [Format::Lines, Format::Frames] {
            let items = written(format, |buffer| format.item(buffer, &"text").unwrap());
            let errors = written(format, |buffer| format.method_error(buffer, &"sold out").unwrap());
            for stream in [items, errors] {
                for (skewed, kind) in [(false, RpcErrorKind::BadResult), (true, RpcErrorKind::VersionSkew)] {
                    let mut reader = Reader::new(skewed);
                    reader.push(|buffer| buffer.extend_from_slice(&stream));
                    let Next::Error(CallError::Rpc(error)) = reader.next::<bool, CallError<bool>>("tick") else {
                        panic!("{format:?}")
                    };
                    assert_eq!(error.kind(), kind, "{format:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_number_that_javascript_would_round_is_an_error() {
        let mut buffer = Vec::new();
        let error = Format::Lines.item(&mut buffer, &u64::MAX).unwrap_err();
        assert!(error.to_string().contains("2^53"), "{error}");
        assert!(buffer.is_empty());
    }
    #[test]
    fn what_json_would_drop_is_an_error_wherever_it_is() {
        #[derive(Serialize)]
        enum Part {
            Named { value: f32 },
            Tuple(u8, Option<f64>),
            New(f64),
        }
        fn refused(item: &impl Serialize, why: &str) {
            let mut buffer = Vec::new();
            let error = Format::Lines.item(&mut buffer, item).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(buffer.is_empty());
        }
        refused(&Some(f64::NAN), "has no form in JSON");
        refused(&vec![Part::Named { value: f32::INFINITY }], "has no form in JSON");
        refused(&std::collections::BTreeMap::from([("key", [f64::NEG_INFINITY])]), "has no form in JSON");
        refused(&(1, Part::Tuple(1, Some(f64::NAN))), "has no form in JSON");
        refused(&Part::New(f64::NAN), "has no form in JSON");
        refused(&Some(None::<u8>), "`Some` of nothing");
        refused(&vec![Some(())], "`Some` of nothing");
        let mut buffer = Vec::new();
        Format::Lines.item(&mut buffer, &(Part::New(1.5), None::<f64>, Part::Named { value: 0.5 })).unwrap();
        let line = "{\"item\":[{\"New\":1.5},null,{\"Named\":{\"value\":0.5}}]}\n";
        assert_eq!(String::from_utf8(buffer).unwrap(), line);
    }
}
