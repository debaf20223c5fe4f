//! JavaScript values, and the rows of a database, to serde's data model.
//!
//! Each `Deserialize` impl is monomorphised once: there is one decoder, one kind of map and one of sequence, whatever they read
//! from. Little code is compiled for each type; the rest takes `dyn Expected`, and exists once for all types.

use super::{
    CodecError, DEPTH_MAX, SAFE_INTEGER_MAX,
    rows::{Cell, Row},
};
use crate::runtime::js;
use js_sys::{Array, Uint8Array};
use serde::de::{self, DeserializeSeed, Expected, Visitor};
use wasm_bindgen::{JsCast, JsValue};

/// The kind of a JavaScript value. The numbers are those that `kind` in `host.js` returns.
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
    source: Source<'a>,
    around: Around,
}

/// The value that a decoder decodes.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Js(&'a JsValue),
    /// A property name. JavaScript has no other keys in plain objects, so numbers and booleans are read from the text.
    Name(&'a str),
    /// One element of a sequence of bytes.
    Byte(u8),
    /// A value of a row that was packed.
    Cell(Cell<'a>),
    /// A row: a map from the names of its columns, a list of its values, or, if it has one column, that value.
    Row(&'a Row<'a>),
}

/// The context that a value is decoded in.
#[derive(Clone, Copy, Default)]
struct Around {
    /// How many containers are around the value.
    depth: u32,
    /// Whether the value is in a row of a database, where 0 and 1 are booleans.
    rows: bool,
    /// Whether the value is from JSON, which has no `BigInt`.
    json: bool,
}

/// An integer of JavaScript or SQL.
enum Integer {
    Unsigned(u64),
    Signed(i64),
    /// The digits of an integer that fits neither.
    Wide(String),
}

impl Integer {
    fn parse(digits: &str) -> Option<Self> {
        digits.parse().map(Self::Unsigned).or_else(|_| digits.parse().map(Self::Signed)).ok()
    }

    /// A whole number that JavaScript has not rounded.
    fn whole(number: f64) -> Option<Self> {
        let whole = number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX as f64;
        whole.then_some(if number < 0.0 { Self::Signed(number as i64) } else { Self::Unsigned(number as u64) })
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn new(value: &'a JsValue) -> Self {
        Self { source: Source::Js(value), around: Around::default() }
    }

    pub(super) fn of_json(value: &'a JsValue) -> Self {
        Self { source: Source::Js(value), around: Around { json: true, ..Around::default() } }
    }

    pub(super) fn of_row(row: &'a Row<'a>) -> Self {
        Self { source: Source::Row(row), around: Around { rows: true, ..Around::default() } }
    }

    /// The only value of a row that has one column.
    fn only(self) -> Option<Self> {
        match self.source {
            Source::Row(row) => row.only().map(|source| Self { source, ..self }),
            _ => None,
        }
    }

    /// The context of the contents of this value, which is a container.
    fn inside(self) -> Result<Around, CodecError> {
        if self.around.depth == DEPTH_MAX {
            return Err(CodecError::too_deep());
        }
        Ok(Around { depth: self.around.depth + 1, ..self.around })
    }

    #[cold]
    fn unexpected(self, expected: &dyn Expected) -> CodecError {
        let found = match self.source {
            Source::Js(value) => Kind::of(value).describe(value),
            Source::Name(name) => format!("the property name `{name}`"),
            Source::Byte(value) => format!("`{value}`"),
            Source::Cell(Cell::Null) => "null".into(),
            Source::Cell(Cell::Number(number)) if number.fract() == 0.0 => format!("`{}`", number as i64),
            Source::Cell(Cell::Number(_)) => "a floating-point number".into(),
            Source::Cell(Cell::Text(_)) => "a string".into(),
            Source::Row(row) => format!("a row of {} columns", row.len()),
        };
        CodecError::new(format!("expected {expected}, got {found}"))
    }

    /// Reads the only value of a row that has one column, with `read`.
    fn of_only<T>(
        self,
        expected: &dyn Expected,
        read: fn(Self, &dyn Expected) -> Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        self.only().map_or_else(|| Err(self.unexpected(expected)), |only| read(only, expected))
    }

    fn is_nothing(self) -> bool {
        match self.source {
            Source::Js(value) => value.is_null() || value.is_undefined(),
            Source::Cell(cell) => matches!(cell, Cell::Null),
            Source::Row(_) => self.only().is_some_and(Self::is_nothing),
            Source::Name(_) | Source::Byte(_) => false,
        }
    }

    /// A JavaScript value, with its kind.
    fn kind(self) -> Option<(Kind, &'a JsValue)> {
        match self.source {
            Source::Js(value) => Some((Kind::of(value), value)),
            _ => None,
        }
    }

    fn boolean(self, expected: &dyn Expected) -> Result<bool, CodecError> {
        let found = match self.source {
            Source::Js(value) => value.as_bool().or_else(|| match value.as_f64() {
                Some(0.0) if self.around.rows => Some(false),
                Some(1.0) if self.around.rows => Some(true),
                _ => None,
            }),
            Source::Cell(Cell::Number(0.0)) | Source::Name("false") => Some(false),
            Source::Cell(Cell::Number(1.0)) | Source::Name("true") => Some(true),
            Source::Row(_) => return self.of_only(expected, Self::boolean),
            _ => None,
        };
        found.ok_or_else(|| self.unexpected(expected))
    }

    fn integer(self, expected: &dyn Expected) -> Result<Integer, CodecError> {
        let found = match self.source {
            Source::Js(value) => match value.as_f64() {
                Some(number) => return self.whole_number(value, number, expected),
                None if Kind::of(value) == Kind::BigInt => {
                    let digits = js::display(value);
                    Some(Integer::parse(&digits).unwrap_or(Integer::Wide(digits)))
                }
                None => None,
            },
            Source::Byte(value) => Some(Integer::Unsigned(value.into())),
            Source::Cell(Cell::Number(number)) => Integer::whole(number),
            Source::Cell(_) => None,
            Source::Name(name) => Integer::parse(name).or_else(|| is_digits(name).then(|| Integer::Wide(name.into()))),
            Source::Row(_) => return self.of_only(expected, Self::integer),
        };
        found.ok_or_else(|| self.unexpected(expected))
    }

    fn whole_number(self, value: &JsValue, number: f64, expected: &dyn Expected) -> Result<Integer, CodecError> {
        if number.fract() != 0.0 || !number.is_finite() {
            return Err(self.unexpected(expected));
        }
        if number.abs() > SAFE_INTEGER_MAX as f64 {
            let shown = js::display(value);
            if self.around.rows {
                return Err(CodecError::new(format!(
                    "the platform has rounded the integer `{shown}`, which is beyond 2^53 - 1; let the statement return \
                     `CAST(column AS TEXT)`, into a `String`"
                )));
            }
            let how = if self.around.json { "send it as a string" } else { "pass a BigInt" };
            return Err(CodecError::new(format!(
                "the number `{shown}` is beyond 2^53 - 1, where numbers are rounded; {how}"
            )));
        }
        Integer::whole(number).ok_or_else(|| self.unexpected(expected))
    }

    fn float(self, expected: &dyn Expected) -> Result<f64, CodecError> {
        let found = match self.source {
            Source::Js(value) => match value.as_f64() {
                // A column of floats may hold a large integer, which is not a `Number` here: the program gets it as a float.
                None if self.around.rows => self.integer(expected).ok().and_then(as_float),
                number => number,
            },
            Source::Cell(Cell::Number(number)) => Some(number),
            Source::Byte(value) => Some(value.into()),
            Source::Row(_) => return self.of_only(expected, Self::float),
            _ => None,
        };
        found.ok_or_else(|| self.unexpected(expected))
    }

    fn text(self, expected: &dyn Expected) -> Result<String, CodecError> {
        let found = match self.source {
            Source::Js(value) => match value.as_string() {
                // The bridge writes U+FFFD where a string is not Unicode text; only then is the slow check worth it.
                Some(text) if has_replacement(&text) && !js::well_formed(value) => {
                    return Err(CodecError::new("the string has half of a surrogate pair, so it is not Unicode text"));
                }
                text => text,
            },
            Source::Name(name) => Some(name.into()),
            Source::Cell(Cell::Text(text)) => Some(text.into()),
            Source::Cell(_) => None,
            Source::Row(_) => return self.of_only(expected, Self::text),
            Source::Byte(_) => None,
        };
        found.ok_or_else(|| self.unexpected(expected))
    }

    /// Reads a sequence. `length` is that of a tuple. A tuple with as many elements as the row has columns is the row itself; any
    /// other sequence may be the value of the row's only column.
    fn sequence(self, length: Option<usize>, expected: &dyn Expected) -> Result<Items<'a>, CodecError> {
        if let Some(only) = self.only().filter(|only| length != Some(1) && only.is_list()) {
            return only.sequence(length, expected);
        }
        let list = match (self.source, self.kind()) {
            (_, Some((Kind::Array, value))) => List::Array(value.unchecked_ref::<Array>().clone()),
            (_, Some((Kind::Set, value))) => List::Array(Array::from(value)),
            (_, Some((Kind::Bytes, value))) => List::Bytes(bytes(value)),
            (Source::Row(row), _) => List::Row(row),
            _ => return Err(self.unexpected(expected)),
        };
        self.items(list)
    }

    fn is_list(self) -> bool {
        matches!(self.kind(), Some((Kind::Array | Kind::Bytes, _)))
    }

    fn items(self, list: List<'a>) -> Result<Items<'a>, CodecError> {
        let length = match &list {
            List::Array(array) => array.length() as usize,
            List::Bytes(bytes) => bytes.len(),
            List::Row(row) => row.len(),
        };
        Ok(Items { around: self.inside()?, list, length, next: 0 })
    }

    /// The entries of a value that is read as a struct with these `fields`, or as a map. The fields of a struct may also be in a
    /// list.
    fn map(self, fields: Option<&'static [&'static str]>, expected: &dyn Expected) -> Result<Contents<'a>, CodecError> {
        let entries = match (self.source, self.kind()) {
            (_, Some((Kind::Array, value))) if fields.is_some() => {
                return self.items(List::Array(value.unchecked_ref::<Array>().clone())).map(Contents::Items);
            }
            (_, Some((kind @ (Kind::Object | Kind::Map), value))) => {
                // `js::fields` returns `None` if the object lacks some fields, or has others, which the struct may deny.
                let known = fields.filter(|_| kind == Kind::Object);
                match known.and_then(|fields| Some((fields, js::fields(value, fields)?))) {
                    Some((fields, values)) => Entries::Fields(fields, values),
                    None => Entries::Pairs(pairs(value)?),
                }
            }
            (Source::Row(row), _) => Entries::Row(row),
            _ => return Err(self.unexpected(expected)),
        };
        let length = match &entries {
            Entries::Fields(names, _) => names.len(),
            Entries::Pairs(pairs) => pairs.length() as usize / 2,
            Entries::Row(row) => row.len(),
        };
        Ok(Contents::Map(Map { around: self.inside()?, entries, length, next: 0 }))
    }

    fn variant(self, expected: &dyn Expected) -> Result<Variant, CodecError> {
        let (name, content, around) = match self.kind() {
            Some((Kind::Object, value)) => {
                let pairs = pairs(value)?;
                if pairs.length() != 2 {
                    return Err(CodecError::new("expected an object with the variant as its only property"));
                }
                (pairs.get(0).as_string().unwrap_or_default(), Some(pairs.get(1)), self.inside()?)
            }
            _ => (self.text(expected)?, None, self.around),
        };
        let is_alone = content.is_none();
        Ok(Variant { name, is_alone, content: content.unwrap_or(JsValue::UNDEFINED), around })
    }
}

/// Whether U+FFFD is in a text. Most texts do not even have its first byte, which is found out fast.
fn has_replacement(text: &str) -> bool {
    const REPLACEMENT: &str = "\u{fffd}";
    text.as_bytes().contains(&REPLACEMENT.as_bytes()[0]) && js::says(text, REPLACEMENT)
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn as_float(integer: Integer) -> Option<f64> {
    match integer {
        Integer::Unsigned(v) => Some(v as f64),
        Integer::Signed(v) => Some(v as f64),
        Integer::Wide(_) => None,
    }
}

fn bytes(value: &JsValue) -> Vec<u8> {
    value.dyn_ref::<Uint8Array>().map_or_else(|| js::bytes(value).to_vec(), Uint8Array::to_vec)
}

fn pairs(value: &JsValue) -> Result<Array, CodecError> {
    js::entries(value).map_err(|thrown| CodecError::new(js::display(&thrown)))
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            match self.integer(&visitor)? {
                Integer::Unsigned(v) => visitor.visit_u64(v),
                Integer::Signed(v) => visitor.visit_i64(v),
                Integer::Wide(_) => Err(self.unexpected(&visitor)),
            }
        }
    )*};
}

macro_rules! wide_integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            match self.integer(&visitor)? {
                Integer::Unsigned(v) => visitor.visit_u64(v),
                Integer::Signed(v) => visitor.visit_i64(v),
                Integer::Wide(digits) => match (digits.parse(), digits.parse()) {
                    (Ok(v), _) => visitor.visit_u128(v),
                    (_, Ok(v)) => visitor.visit_i128(v),
                    _ => Err(CodecError::new("the integer has more than 128 bits")),
                },
            }
        }
    )*};
}

macro_rules! same {
    ($($method:ident($($argument:ident: $type:ty),*) => $other:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, CodecError> {
            self.$other(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.anything() {
            Anything::Nothing => visitor.visit_unit(),
            Anything::Boolean => self.deserialize_bool(visitor),
            Anything::Integer => self.deserialize_i128(visitor),
            Anything::Float => self.deserialize_f64(visitor),
            Anything::Text => self.deserialize_string(visitor),
            // Bytes are a sequence, too: serde keeps values of tagged and untagged types for a second look. It then refuses kept
            // bytes to a `Vec<u8>`, while types of bytes take a kept sequence.
            Anything::Sequence => self.deserialize_seq(visitor),
            Anything::Map => self.deserialize_map(visitor),
            Anything::Other => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let value = self.boolean(&visitor)?;
        visitor.visit_bool(value)
    }

    // Called for each byte of a sequence of bytes, so that path is short.
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if let Source::Byte(value) = self.source { visitor.visit_u8(value) } else { self.deserialize_u64(visitor) }
    }

    integers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u16 deserialize_u32 deserialize_u64 }

    wide_integers! { deserialize_i128 deserialize_u128 }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let value = self.float(&visitor)?;
        visitor.visit_f64(value)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let text = self.text(&visitor)?;
        visitor.visit_string(text)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.source {
            Source::Name(name) => visitor.visit_str(name),
            _ => visitor.visit_str(&self.text(&"a name")?),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let decoder = self.only().unwrap_or(self);
        match decoder.kind() {
            Some((Kind::Bytes, value)) => visitor.visit_byte_buf(bytes(value)),
            Some((Kind::Array, _)) => decoder.deserialize_seq(visitor),
            // Types of bytes also read text that is not a JavaScript string: a column, or a property name.
            None => decoder.deserialize_string(visitor),
            _ => Err(decoder.unexpected(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        // If the row has one column, the column's value is what may be missing.
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self.only().unwrap_or(self)) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let decoder = self.only().unwrap_or(self);
        if decoder.is_nothing() { visitor.visit_unit() } else { Err(decoder.unexpected(&visitor)) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &str, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.sequence(None, &visitor)?.visit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.sequence(Some(length), &visitor)?.visit(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let Contents::Map(map) = self.map(None, &visitor)? else { return Err(self.unexpected(&visitor)) };
        visitor.visit_map(map)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        match self.map(Some(fields), &visitor)? {
            Contents::Map(map) => visitor.visit_map(map),
            Contents::Items(items) => items.visit(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        let variant = self.only().unwrap_or(self).variant(&"a variant")?;
        visitor.visit_enum(&variant)
    }

    /// Does not look at the value: an ignored value may be cyclic.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    same! {
        deserialize_f32() => deserialize_f64;
        deserialize_char() => deserialize_string;
        deserialize_str() => deserialize_string;
        deserialize_bytes() => deserialize_byte_buf;
        deserialize_unit_struct(_name: &'static str) => deserialize_unit;
    }
}

/// The kind of a value whose type accepts anything.
enum Anything {
    Nothing,
    Boolean,
    Integer,
    Float,
    Text,
    Sequence,
    Map,
    Other,
}

impl Decoder<'_> {
    fn anything(self) -> Anything {
        match self.source {
            Source::Js(value) => match Kind::of(value) {
                Kind::Boolean => Anything::Boolean,
                Kind::Number => {
                    if value.as_f64().and_then(Integer::whole).is_some() {
                        Anything::Integer
                    } else {
                        Anything::Float
                    }
                }
                Kind::String => Anything::Text,
                Kind::BigInt => Anything::Integer,
                Kind::Bytes | Kind::Array | Kind::Set => Anything::Sequence,
                Kind::Map | Kind::Object => Anything::Map,
                Kind::Nothing => Anything::Nothing,
                Kind::Date | Kind::Other => Anything::Other,
            },
            Source::Byte(_) => Anything::Integer,
            Source::Name(_) => Anything::Text,
            Source::Cell(Cell::Number(number)) if Integer::whole(number).is_some() => Anything::Integer,
            Source::Cell(Cell::Number(_)) => Anything::Float,
            Source::Cell(Cell::Text(_)) => Anything::Text,
            Source::Cell(Cell::Null) => Anything::Nothing,
            // A row of one column is its value.
            Source::Row(_) => self.only().map_or(Anything::Map, Self::anything),
        }
    }
}

/// A value inside of another one.
enum Child<'a> {
    Js(JsValue),
    Other(Source<'a>),
}

impl Child<'_> {
    fn decoder(&self, around: Around) -> Decoder<'_> {
        let source = match self {
            Self::Js(value) => Source::Js(value),
            Self::Other(source) => *source,
        };
        Decoder { source, around }
    }
}

/// The elements of a sequence.
struct Items<'a> {
    around: Around,
    list: List<'a>,
    length: usize,
    next: usize,
}

enum List<'a> {
    Array(Array),
    Bytes(Vec<u8>),
    Row(&'a Row<'a>),
}

/// The contents of a value that is read as a struct.
enum Contents<'a> {
    Map(Map<'a>),
    Items(Items<'a>),
}

impl<'a> Items<'a> {
    fn visit<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, CodecError> {
        let value = visitor.visit_seq(&mut self)?;
        self.end()?;
        Ok(value)
    }

    /// The next element, and where it is.
    fn take(&mut self) -> Option<(usize, Child<'a>)> {
        let at = self.next;
        if at == self.length {
            return None;
        }
        self.next += 1;
        let child = match &self.list {
            List::Array(array) => Child::Js(array.get(at as u32)),
            List::Bytes(bytes) => Child::Other(Source::Byte(bytes[at])),
            List::Row(row) => Child::Other(row.value(at)),
        };
        Some((at, child))
    }

    fn locate(&self, at: usize, error: CodecError) -> CodecError {
        match &self.list {
            List::Row(row) => error.inside(row.column(at)),
            _ => error.at(at),
        }
    }

    /// Checks that all elements were taken.
    fn end(&self) -> Result<(), CodecError> {
        let (taken, length) = (self.next, self.length);
        match &self.list {
            _ if taken == length => Ok(()),
            List::Row(_) => Err(CodecError::new(format!("the row has {} columns more", length - taken))),
            _ => Err(CodecError::new(format!("expected {taken} elements, got {length}"))),
        }
    }
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_> {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, CodecError> {
        let Some((at, child)) = self.take() else { return Ok(None) };
        seed.deserialize(child.decoder(self.around)).map(Some).map_err(|error| self.locate(at, error))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.length - self.next)
    }
}

/// The entries of a map.
struct Map<'a> {
    around: Around,
    entries: Entries<'a>,
    length: usize,
    next: usize,
}

enum Entries<'a> {
    /// The values of a plain object that has exactly these fields. The names need not come from JavaScript.
    Fields(&'static [&'static str], Array),
    /// A key, its value, the next key, and so on.
    Pairs(Array),
    Row(&'a Row<'a>),
}

impl<'a> Map<'a> {
    fn key(&self) -> Option<Child<'a>> {
        if self.next == self.length {
            return None;
        }
        Some(match &self.entries {
            Entries::Fields(names, _) => Child::Other(Source::Name(names[self.next])),
            Entries::Pairs(pairs) => Child::Js(pairs.get(self.next as u32 * 2)),
            Entries::Row(row) => Child::Other(Source::Name(row.column(self.next))),
        })
    }

    fn take(&mut self) -> Child<'a> {
        let at = self.next;
        self.next += 1;
        match &self.entries {
            Entries::Fields(_, values) => Child::Js(values.get(at as u32)),
            Entries::Pairs(pairs) => Child::Js(pairs.get(at as u32 * 2 + 1)),
            Entries::Row(row) => Child::Other(row.value(at)),
        }
    }

    /// The error is about the value that was taken last.
    fn locate(&self, error: CodecError) -> CodecError {
        let at = self.next - 1;
        match &self.entries {
            Entries::Fields(names, _) => error.inside(names[at]),
            Entries::Pairs(pairs) => error.inside(&js::display(&pairs.get(at as u32 * 2))),
            Entries::Row(row) => error.inside(row.column(at)),
        }
    }
}

impl<'de> de::MapAccess<'de> for Map<'_> {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        let Some(key) = self.key() else { return Ok(None) };
        let name = if let Child::Js(value) = &key { value.as_string() } else { None };
        match &name {
            Some(name) => seed.deserialize(Decoder { source: Source::Name(name), around: self.around }),
            None => seed.deserialize(key.decoder(self.around)),
        }
        .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        let value = self.take();
        seed.deserialize(value.decoder(self.around)).map_err(|error| self.locate(error))
    }
}

struct Variant {
    name: String,
    /// Whether the variant has a name and no content.
    is_alone: bool,
    content: JsValue,
    around: Around,
}

struct Content<'a>(&'a Variant);

impl Content<'_> {
    fn decoder(&self) -> Decoder<'_> {
        Decoder { source: Source::Js(&self.0.content), around: self.0.around }
    }

    fn locate(&self, error: CodecError) -> CodecError {
        error.inside(&self.0.name)
    }
}

impl<'de, 'a> de::EnumAccess<'de> for &'a Variant {
    type Error = CodecError;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), CodecError> {
        let variant = seed.deserialize(Decoder { source: Source::Name(&self.name), around: self.around })?;
        Ok((variant, Content(self)))
    }
}

impl<'de> de::VariantAccess<'de> for Content<'_> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        if self.0.is_alone || self.decoder().is_nothing() {
            return Ok(());
        }
        Err(self.locate(CodecError::new("expected nothing beside the variant")))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CodecError> {
        seed.deserialize(self.decoder()).map_err(|error| self.locate(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_seq(self.decoder(), visitor).map_err(|error| self.locate(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        de::Deserializer::deserialize_struct(self.decoder(), "", fields, visitor).map_err(|error| self.locate(error))
    }
}
