//! JavaScript values to serde's data model.

use super::{CodecError, DEPTH_MAX, SAFE_INTEGER_MAX};
use crate::js;
use js_sys::{Array, Uint8Array};
use serde::{
    de::{self, DeserializeSeed, Visitor, value::StringDeserializer},
    forward_to_deserialize_any,
};
use wasm_bindgen::{JsCast, JsValue};

/// What a value is. The numbers are those that `kind` in `realgar.js` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    Boolean,
    Number,
    String,
    BigInt,
    Bytes,
    Array,
    Map,
    Set,
    Date,
    Object,
    Other,
}

impl Kind {
    fn of(value: &JsValue) -> Self {
        match js::kind(value) {
            0 => Self::Nothing,
            1 => Self::Boolean,
            2 => Self::Number,
            3 => Self::String,
            4 => Self::BigInt,
            5 => Self::Bytes,
            6 => Self::Array,
            7 => Self::Map,
            8 => Self::Set,
            9 => Self::Date,
            10 => Self::Object,
            _ => Self::Other,
        }
    }

    fn describe(self, value: &JsValue) -> String {
        match self {
            Self::Nothing => js::display(value),
            Self::Boolean | Self::Number => format!("`{}`", js::display(value)),
            Self::BigInt => format!("`{}n`", js::display(value)),
            Self::String => "a string".into(),
            Self::Bytes => "bytes".into(),
            Self::Array => "an array".into(),
            Self::Map => "a Map".into(),
            Self::Set => "a Set".into(),
            Self::Date => "a Date".into(),
            Self::Object => "an object".into(),
            Self::Other => "a value that cannot be data".into(),
        }
    }
}

/// Decodes one value.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    value: &'a JsValue,
    around: Around,
}

/// What a value is inside of.
#[derive(Clone, Copy)]
struct Around {
    /// How many containers there are.
    depth: u32,
    /// Whether they are the rows of a database, where 0 and 1 are booleans.
    rows: bool,
    /// Whether they are from JSON, which has no `BigInt`.
    json: bool,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(value: &'a JsValue) -> Self {
        Self { value, around: Around { depth: 0, rows: false, json: false } }
    }

    pub(super) fn of_rows(value: &'a JsValue) -> Self {
        Self { value, around: Around { depth: 0, rows: true, json: false } }
    }

    pub(super) fn of_json(value: &'a JsValue) -> Self {
        Self { value, around: Around { depth: 0, rows: false, json: true } }
    }

    /// For what is inside this value, which is a container.
    fn inside(self) -> Result<Around, CodecError> {
        if self.around.depth == DEPTH_MAX {
            return Err(CodecError::too_deep());
        }
        Ok(Around { depth: self.around.depth + 1, ..self.around })
    }

    fn unexpected(self, expected: &dyn de::Expected) -> CodecError {
        let found = Kind::of(self.value).describe(self.value);
        CodecError::new(format!("expected {expected}, got {found}"))
    }

    fn string(self) -> Result<Option<String>, CodecError> {
        let Some(text) = self.value.as_string() else { return Ok(None) };
        // The bridge writes U+FFFD where a string is not Unicode text; only then is the slow check worth it.
        if text.contains(char::REPLACEMENT_CHARACTER) && !js::well_formed(self.value) {
            return Err(CodecError::new("the string has half of a surrogate pair, so it is not Unicode text"));
        }
        Ok(Some(text))
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if let Some(number) = self.value.as_f64() {
            return self.whole_number(number, visitor);
        }
        if Kind::of(self.value) == Kind::BigInt {
            return self.big_integer(visitor);
        }
        Err(self.unexpected(&visitor))
    }

    fn whole_number<'de, V: Visitor<'de>>(self, number: f64, visitor: V) -> Result<V::Value, CodecError> {
        if number.fract() != 0.0 || !number.is_finite() {
            return Err(self.unexpected(&visitor));
        }
        if number.abs() > SAFE_INTEGER_MAX as f64 {
            let shown = js::display(self.value);
            if self.around.rows {
                return Err(CodecError::new(format!(
                    "the platform has rounded the integer `{shown}`, which a statement that writes has returned; let it return \
                     `CAST(column AS TEXT)`, into a `String`"
                )));
            }
            let how = if self.around.json { "send it as a string" } else { "pass a BigInt" };
            return Err(CodecError::new(format!(
                "the number `{shown}` is beyond 2^53 - 1, where numbers are rounded; {how}"
            )));
        }
        if number < 0.0 { visitor.visit_i64(number as i64) } else { visitor.visit_u64(number as u64) }
    }

    fn big_integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let digits = js::display(self.value);
        if let Ok(v) = digits.parse() {
            visitor.visit_u64(v)
        } else if let Ok(v) = digits.parse() {
            visitor.visit_i64(v)
        } else if let Ok(v) = digits.parse() {
            visitor.visit_u128(v)
        } else if let Ok(v) = digits.parse() {
            visitor.visit_i128(v)
        } else {
            Err(CodecError::new("the BigInt has more than 128 bits"))
        }
    }

    fn bytes(self) -> Vec<u8> {
        self.value.dyn_ref::<Uint8Array>().map_or_else(|| js::bytes(self.value).to_vec(), Uint8Array::to_vec)
    }

    fn sequence<'de, V: Visitor<'de>>(self, items: &Array, visitor: V) -> Result<V::Value, CodecError> {
        let mut items = Items { around: self.inside()?, items, next: 0 };
        let value = visitor.visit_seq(&mut items)?;
        if items.next < items.items.length() {
            let (length, taken) = (items.items.length(), items.next);
            return Err(CodecError::new(format!("expected {taken} elements, got {length}")));
        }
        Ok(value)
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let pairs = js::entries(self.value).map_err(|thrown| CodecError::new(js::display(&thrown)))?;
        visitor.visit_map(Pairs { around: self.inside()?, pairs, next: 0 })
    }
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::Nothing => visitor.visit_unit(),
            Kind::Boolean => visitor.visit_bool(self.value.is_truthy()),
            Kind::Number => {
                let number = self.value.as_f64().unwrap_or(f64::NAN);
                let whole = number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX as f64;
                if whole { self.whole_number(number, visitor) } else { visitor.visit_f64(number) }
            }
            Kind::String => match self.string()? {
                Some(text) => visitor.visit_string(text),
                None => Err(self.unexpected(&visitor)),
            },
            Kind::BigInt => self.big_integer(visitor),
            Kind::Bytes => visitor.visit_byte_buf(self.bytes()),
            Kind::Array => self.sequence(self.value.unchecked_ref(), visitor),
            Kind::Set => self.sequence(&Array::from(self.value), visitor),
            Kind::Map | Kind::Object => self.map(visitor),
            Kind::Date | Kind::Other => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let number = if self.around.rows { self.value.as_f64() } else { None };
        match (self.value.as_bool(), number) {
            (Some(v), _) => visitor.visit_bool(v),
            (None, Some(0.0)) => visitor.visit_bool(false),
            (None, Some(1.0)) => visitor.visit_bool(true),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value.as_f64() {
            Some(v) => visitor.visit_f64(v),
            // A column is what it is, however large one of its values: the program takes it as a float.
            None if self.around.rows && Kind::of(self.value) == Kind::BigInt => self.big_integer(visitor),
            None => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.string()? {
            Some(text) => visitor.visit_string(text),
            None => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::Bytes => visitor.visit_byte_buf(self.bytes()),
            Kind::Array => self.sequence(self.value.unchecked_ref(), visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.value.is_null() || self.value.is_undefined() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::Nothing => visitor.visit_unit(),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &str, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &str, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::Array => self.sequence(self.value.unchecked_ref(), visitor),
            Kind::Set => self.sequence(&Array::from(self.value), visitor),
            Kind::Bytes => {
                let bytes = self.bytes();
                let mut items = de::value::SeqDeserializer::new(bytes.into_iter());
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::Map | Kind::Object => self.map(visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::Object => match js::fields(self.value, fields) {
                Some(values) => visitor.visit_map(Fields { around: self.inside()?, names: fields, values, next: 0 }),
                // It lacks some, or has what the struct does not know and may deny.
                None => self.map(visitor),
            },
            Kind::Map => self.map(visitor),
            Kind::Array => self.sequence(self.value.unchecked_ref(), visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        match Kind::of(self.value) {
            Kind::String => visitor.visit_enum(Variant {
                name: self.string()?.unwrap_or_default(),
                content: &JsValue::UNDEFINED,
                around: self.around,
            }),
            Kind::Object => {
                let pairs = js::entries(self.value).map_err(|thrown| CodecError::new(js::display(&thrown)))?;
                if pairs.length() != 2 {
                    return Err(CodecError::new("expected an object with the variant as its only property"));
                }
                visitor.visit_enum(Variant {
                    name: pairs.get(0).as_string().unwrap_or_default(),
                    content: &pairs.get(1),
                    around: self.inside()?,
                })
            }
            _ => Err(self.unexpected(&"a variant")),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_string(visitor)
    }

    /// Looks at nothing: an ignored value may be cyclic.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }
}

struct Items<'a> {
    around: Around,
    items: &'a Array,
    next: u32,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, CodecError> {
        if self.next == self.items.length() {
            return Ok(None);
        }
        let index = self.next;
        self.next += 1;
        let decoder = Decoder { value: &self.items.get(index), around: self.around };
        seed.deserialize(decoder).map(Some).map_err(|error| error.at(index as usize))
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.items.length() - self.next) as usize)
    }
}

/// The fields of a plain object that has these and no others. Their names need not come from JavaScript.
struct Fields {
    around: Around,
    names: &'static [&'static str],
    values: Array,
    next: u32,
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        let Some(name) = self.names.get(self.next as usize) else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        let at = self.next;
        self.next += 1;
        let decoder = Decoder { value: &self.values.get(at), around: self.around };
        seed.deserialize(decoder).map_err(|error| error.inside(self.names[at as usize]))
    }
}

struct Pairs {
    around: Around,
    pairs: Array,
    next: u32,
}

impl<'de> de::MapAccess<'de> for Pairs {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        if self.next == self.pairs.length() {
            return Ok(None);
        }
        let key = self.pairs.get(self.next);
        if let Some(name) = key.as_string() {
            return seed.deserialize(Key(name)).map(Some);
        }
        let decoder = Decoder { value: &key, around: self.around };
        seed.deserialize(decoder).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        let at = self.next;
        self.next += 2;
        let decoder = Decoder { value: &self.pairs.get(at + 1), around: self.around };
        seed.deserialize(decoder).map_err(|error| error.inside(&js::display(&self.pairs.get(at))))
    }
}

/// A property name. JavaScript has no other keys in plain objects, so numbers and booleans are read from the text.
struct Key(String);

macro_rules! parsed_keys {
    ($($method:ident => $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            match self.0.parse() {
                Ok(v) => visitor.$visit(v),
                Err(_) => Err(CodecError::new(format!("expected {}, got the property name `{}`", &visitor as &dyn de::Expected, self.0))),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Key {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_string(self.0)
    }

    parsed_keys!(
        deserialize_bool => visit_bool,
        deserialize_i8 => visit_i8,
        deserialize_i16 => visit_i16,
        deserialize_i32 => visit_i32,
        deserialize_i64 => visit_i64,
        deserialize_i128 => visit_i128,
        deserialize_u8 => visit_u8,
        deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64,
        deserialize_u128 => visit_u128
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &str, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_enum(StringDeserializer::new(self.0), name, variants, visitor)
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant<'a> {
    name: String,
    content: &'a JsValue,
    around: Around,
}

struct Content<'a> {
    name: String,
    decoder: Decoder<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = CodecError;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), CodecError> {
        let variant = seed.deserialize(Key(self.name.clone()))?;
        let decoder = Decoder { value: self.content, around: self.around };
        Ok((variant, Content { name: self.name, decoder }))
    }
}

impl<'de> de::VariantAccess<'de> for Content<'_> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        if self.decoder.value.is_undefined() || self.decoder.value.is_null() {
            return Ok(());
        }
        Err(CodecError::new("expected nothing beside the variant").inside(&self.name))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CodecError> {
        seed.deserialize(self.decoder).map_err(|error| error.inside(&self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_seq(self.decoder, visitor).map_err(|error| error.inside(&self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_struct(self.decoder, "", fields, visitor)
            .map_err(|error| error.inside(&self.name))
    }
}
