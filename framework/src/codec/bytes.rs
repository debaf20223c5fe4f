//! postcard: the lane for composite values between two Rust programs of the same contract.

use super::CodecError;
use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

/// Appends `value`. If that fails, the caller has to take back what was written of it.
pub(crate) fn append<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    postcard::serialize_with_flavor(value, Tail(buffer)).map_err(|error| unwritten(&error))
}

/// Writes to the end of a buffer.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Decodes one value, which is all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, rest) = take(bytes)?;
    match rest.len() {
        0 => Ok(value),
        left => Err(CodecError::new(format!("{left} bytes are left over"))),
    }
}

/// Decodes the value that `bytes` starts with, and returns what follows it.
pub(crate) fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    postcard::take_from_bytes(bytes).map_err(|error| unread(&error))
}

// postcard's own error texts are not used: if one were, all of them would ship.

#[cold]
fn unwritten(error: &postcard::Error) -> CodecError {
    CodecError::new(match error {
        postcard::Error::SerializeSeqLengthUnknown => {
            "the value cannot be written as bytes: a sequence or map in it does not say how long it is"
        }
        _ => "the value cannot be written as bytes: its `Serialize` fails",
    })
}

#[cold]
fn unread(error: &postcard::Error) -> CodecError {
    CodecError::new(match error {
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end before the value does",
        _ => "the bytes do not fit the type",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serializer;

    /// A sequence of unknown length, and a value that fails.
    struct Endless;
    struct Failing;

    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_seq(None).map(|_| unreachable!("postcard writes the length first"))
        }
    }

    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let unwritten =
            |value: &dyn Fn(&mut Vec<u8>) -> Result<(), CodecError>| value(&mut Vec::new()).unwrap_err().to_string();
        assert!(unwritten(&|buffer| append(buffer, &Endless)).contains("how long it is"));
        assert!(unwritten(&|buffer| append(buffer, &Failing)).contains("its `Serialize` fails"));
        assert_eq!(decode::<(u8, u8)>(&[1]).unwrap_err().to_string(), "the bytes end before the value does");
        assert_eq!(decode::<bool>(&[7]).unwrap_err().to_string(), "the bytes do not fit the type");
        assert_eq!(decode::<u8>(&[7, 8]).unwrap_err().to_string(), "1 bytes are left over");
    }
}
