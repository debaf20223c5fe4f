//! Serde's data model to JavaScript values.

use super::{CodecError, DEPTH_MAX, SAFE_INTEGER_MAX, SOME_OF_NOTHING};
use crate::runtime::js;
use js_sys::{Array, BigInt, Map, Object, Uint8Array};
use serde::{Serialize, ser};
use wasm_bindgen::JsValue;

type Encoded = Result<JsValue, CodecError>;

/// Encodes one value.
pub(super) struct Encoder<'a> {
    /// How many containers are around the value.
    depth: u32,
    /// Where a `u8` goes, while a sequence of them is collected.
    bytes: Option<&'a mut Vec<u8>>,
}

impl Encoder<'_> {
    pub(super) fn new() -> Self {
        Self::at(0)
    }

    fn at(depth: u32) -> Self {
        Self { depth, bytes: None }
    }

    /// The depth of the contents of this value, which is a container.
    fn inside(&self) -> Result<u32, CodecError> {
        if self.depth < DEPTH_MAX { Ok(self.depth + 1) } else { Err(CodecError::too_deep()) }
    }

    fn list(&self, variant: Option<&'static str>) -> Result<List, CodecError> {
        Ok(List { depth: self.inside()?, items: Array::new(), variant })
    }

    fn record(&self, variant: Option<&'static str>) -> Result<Record, CodecError> {
        Ok(Record { depth: self.inside()?, object: Object::new(), variant })
    }
}

/// Whether `T` is `u8` or a reference to one.
fn is_byte<T>() -> bool {
    typeid::of::<T>() == typeid::of::<&u8>() || typeid::of::<T>() == typeid::of::<u8>()
}

/// `{ [variant]: content }`, or the content alone where there is no variant.
fn tagged(variant: Option<&'static str>, content: JsValue) -> JsValue {
    let Some(variant) = variant else { return content };
    let object = Object::new();
    js::define(&object, variant, &content);
    object.into()
}

impl ser::Serializer for Encoder<'_> {
    type Ok = JsValue;
    type Error = CodecError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Entries;
    type SerializeStruct = Record;
    type SerializeStructVariant = Record;

    fn serialize_bool(self, v: bool) -> Encoded {
        Ok(v.into())
    }

    fn serialize_i8(self, v: i8) -> Encoded {
        Ok(v.into())
    }

    fn serialize_i16(self, v: i16) -> Encoded {
        Ok(v.into())
    }

    fn serialize_i32(self, v: i32) -> Encoded {
        Ok(v.into())
    }

    fn serialize_i64(self, v: i64) -> Encoded {
        Ok(if v.unsigned_abs() <= SAFE_INTEGER_MAX { JsValue::from_f64(v as f64) } else { BigInt::from(v).into() })
    }

    fn serialize_i128(self, v: i128) -> Encoded {
        match i64::try_from(v) {
            Ok(v) => self.serialize_i64(v),
            Err(_) => Ok(BigInt::from(v).into()),
        }
    }

    fn serialize_u8(self, v: u8) -> Encoded {
        let Some(bytes) = self.bytes else { return Ok(v.into()) };
        bytes.push(v);
        Ok(JsValue::UNDEFINED)
    }

    fn serialize_u16(self, v: u16) -> Encoded {
        Ok(v.into())
    }

    fn serialize_u32(self, v: u32) -> Encoded {
        Ok(v.into())
    }

    fn serialize_u64(self, v: u64) -> Encoded {
        Ok(if v <= SAFE_INTEGER_MAX { JsValue::from_f64(v as f64) } else { BigInt::from(v).into() })
    }

    fn serialize_u128(self, v: u128) -> Encoded {
        match u64::try_from(v) {
            Ok(v) => self.serialize_u64(v),
            Err(_) => Ok(BigInt::from(v).into()),
        }
    }

    fn serialize_f32(self, v: f32) -> Encoded {
        Ok(v.into())
    }

    fn serialize_f64(self, v: f64) -> Encoded {
        Ok(v.into())
    }

    fn serialize_char(self, v: char) -> Encoded {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Encoded {
        Ok(JsValue::from_str(v))
    }

    fn serialize_bytes(self, v: &[u8]) -> Encoded {
        Ok(Uint8Array::from(v).into())
    }

    fn serialize_none(self) -> Encoded {
        Ok(JsValue::NULL)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Encoded {
        let encoded = value.serialize(self)?;
        if encoded.is_null() || encoded.is_undefined() {
            return Err(CodecError::new(SOME_OF_NOTHING));
        }
        Ok(encoded)
    }

    /// On its own, `()` is `undefined`. Inside another value it is `null`, which JSON keeps.
    fn serialize_unit(self) -> Encoded {
        Ok(if self.depth == 0 { JsValue::UNDEFINED } else { JsValue::NULL })
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Encoded {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Encoded {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Encoded {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Encoded {
        let content = value.serialize(Encoder::at(self.inside()?)).map_err(|e| e.inside(variant))?;
        Ok(tagged(Some(variant), content))
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<List, CodecError> {
        self.list(None)
    }

    /// Sequences of `u8` are bytes. This is the one place that sees the element type: serde calls it for `Vec<u8>`,
    /// `[u8]` and the other collections.
    fn collect_seq<I>(self, sequence: I) -> Encoded
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        let items = sequence.into_iter();
        if is_byte::<I::Item>() {
            let mut bytes = Vec::with_capacity(items.size_hint().0);
            for item in items {
                item.serialize(Encoder { depth: self.depth, bytes: Some(&mut bytes) })?;
            }
            return self.serialize_bytes(&bytes);
        }
        let mut list = self.list(None)?;
        for item in items {
            ser::SerializeSeq::serialize_element(&mut list, &item)?;
        }
        ser::SerializeSeq::end(list)
    }

    fn serialize_tuple(self, _len: usize) -> Result<List, CodecError> {
        self.list(None)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<List, CodecError> {
        self.list(None)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<List, CodecError> {
        self.list(Some(variant))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Entries, CodecError> {
        Ok(Entries { depth: self.inside()?, key: JsValue::UNDEFINED, pairs: Vec::new() })
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Record, CodecError> {
        self.record(None)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Record, CodecError> {
        self.record(Some(variant))
    }
}

/// Sequences and tuples: an `Array`.
pub(super) struct List {
    depth: u32,
    items: Array,
    variant: Option<&'static str>,
}

impl ser::SerializeSeq for List {
    type Ok = JsValue;
    type Error = CodecError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let item = value.serialize(Encoder::at(self.depth)).map_err(|error| error.at(self.items.length() as usize))?;
        self.items.push(&item);
        Ok(())
    }

    fn end(self) -> Encoded {
        Ok(tagged(self.variant, self.items.into()))
    }
}

macro_rules! list_like {
    ($($trait:ident :: $method:ident),*) => {$(
        impl ser::$trait for List {
            type Ok = JsValue;
            type Error = CodecError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                ser::SerializeSeq::serialize_element(self, value)
            }

            fn end(self) -> Encoded {
                ser::SerializeSeq::end(self)
            }
        }
    )*};
}

list_like!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// Structs: a plain object.
pub(super) struct Record {
    depth: u32,
    object: Object,
    variant: Option<&'static str>,
}

impl ser::SerializeStruct for Record {
    type Ok = JsValue;
    type Error = CodecError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CodecError> {
        let value = value.serialize(Encoder::at(self.depth)).map_err(|error| error.inside(name))?;
        js::define(&self.object, name, &value);
        Ok(())
    }

    fn end(self) -> Encoded {
        Ok(tagged(self.variant, self.object.into()))
    }
}

impl ser::SerializeStructVariant for Record {
    type Ok = JsValue;
    type Error = CodecError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CodecError> {
        ser::SerializeStruct::serialize_field(self, name, value)
    }

    fn end(self) -> Encoded {
        ser::SerializeStruct::end(self)
    }
}

/// Maps: a plain object where every key is a string, a `Map` otherwise.
pub(super) struct Entries {
    depth: u32,
    key: JsValue,
    pairs: Vec<(JsValue, JsValue)>,
}

impl ser::SerializeMap for Entries {
    type Ok = JsValue;
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        self.key = key.serialize(Encoder::at(self.depth))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let key = std::mem::replace(&mut self.key, JsValue::UNDEFINED);
        let value = value.serialize(Encoder::at(self.depth)).map_err(|error| error.inside(&js::display(&key)))?;
        self.pairs.push((key, value));
        Ok(())
    }

    fn end(self) -> Encoded {
        let names: Option<Vec<String>> = self.pairs.iter().map(|(key, _)| key.as_string()).collect();
        if let Some(names) = names {
            let object = Object::new();
            for (name, (_, value)) in names.iter().zip(&self.pairs) {
                js::define_any(&object, name, value);
            }
            return Ok(object.into());
        }
        let map = Map::new();
        for (key, value) in &self.pairs {
            map.set(key, value);
        }
        Ok(map.into())
    }
}
