//! A serializer around another one. It refuses values that have no form in JSON: numbers that are not finite, and `Some` of
//! nothing. `serde_json` would write them as `null`, which an `Option` would read as `None`.

use super::SOME_OF_NOTHING;
use serde::{
    Serialize, Serializer,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use std::fmt::Display;

/// Serialises `T` with [`Finite`].
pub(super) struct Checked<'a, T: ?Sized>(pub(super) &'a T);

/// Serialises the content of a `Some` with [`Finite`].
struct Present<'a, T: ?Sized>(&'a T);

/// The serializer that refuses such values.
struct Finite<S> {
    inner: S,
    /// Whether the value is in a `Some`.
    present: bool,
}

/// A sequence, tuple, map or struct that [`Finite`] writes.
struct Compound<C>(C);

impl<T: Serialize + ?Sized> Serialize for Checked<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Finite { inner: serializer, present: false })
    }
}

impl<T: Serialize + ?Sized> Serialize for Present<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Finite { inner: serializer, present: true })
    }
}

/// Methods that only pass their arguments on.
macro_rules! pass {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            fn $method(self, $($argument: $type),*) -> Result<S::Ok, S::Error> {
                self.inner.$method($($argument),*)
            }
        )*
    };
}

/// Methods that write a value without content, which a `Some` must not hold.
macro_rules! nothing {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            fn $method(self, $($argument: $type),*) -> Result<S::Ok, S::Error> {
                if self.present {
                    return Err(S::Error::custom(SOME_OF_NOTHING));
                }
                self.inner.$method($($argument),*)
            }
        )*
    };
}

/// Methods that begin a compound.
macro_rules! begin {
    ($($method:ident($($argument:ident: $type:ty),*) -> $compound:ident;)*) => {
        $(
            fn $method(self, $($argument: $type),*) -> Result<Self::$compound, S::Error> {
                self.inner.$method($($argument),*).map(Compound)
            }
        )*
    };
}

/// Methods that write a floating-point number.
macro_rules! float {
    ($($method:ident: $type:ty,)*) => {
        $(
            fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
                if value.is_finite() {
                    return self.inner.$method(value);
                }
                let shown = super::not_finite(value.into());
                Err(S::Error::custom(format_args!("the number {shown} has no form in JSON; send it as a string")))
            }
        )*
    };
}

impl<S: Serializer> Serializer for Finite<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<S::SerializeSeq>;
    type SerializeTuple = Compound<S::SerializeTuple>;
    type SerializeTupleStruct = Compound<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<S::SerializeTupleVariant>;
    type SerializeMap = Compound<S::SerializeMap>;
    type SerializeStruct = Compound<S::SerializeStruct>;
    type SerializeStructVariant = Compound<S::SerializeStructVariant>;

    float! {
        serialize_f32: f32,
        serialize_f64: f64,
    }

    pass! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    nothing! {
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
    }

    begin! {
        serialize_seq(length: Option<usize>) -> SerializeSeq;
        serialize_tuple(length: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Present(value))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Checked(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, &Checked(value))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Compounds, whose parts are checked in turn.
macro_rules! compound {
    ($($trait:ident { $($method:ident($($key:ident: $type:ty)?)),* })*) => {
        $(
            impl<C: $trait> $trait for Compound<C> {
                type Ok = C::Ok;
                type Error = C::Error;

                $(
                    fn $method<T: Serialize + ?Sized>(&mut self, $($key: $type,)? value: &T) -> Result<(), C::Error> {
                        self.0.$method($($key,)? &Checked(value))
                    }
                )*

                fn end(self) -> Result<C::Ok, C::Error> {
                    self.0.end()
                }
            }
        )*
    };
}

compound! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeMap { serialize_key(), serialize_value() }
    SerializeStruct { serialize_field(key: &'static str) }
    SerializeStructVariant { serialize_field(key: &'static str) }
}
