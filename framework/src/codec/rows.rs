//! The rows of a query, as one text: the number of columns, their names, and then the values, each with a NUL after it. A value is `n`; `i`
//! and an integer; `f` and the bits of a float in hexadecimal; or `s` and a text. `pack` in `host.js` writes it.
//!
//! Text crosses the boundary once, where each value of an object would cross it by itself. What has no such form, such as bytes, comes as a
//! list of lists.

use super::{CodecError, decode::Decoder};
use js_sys::Array;
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use wasm_bindgen::{JsCast, JsValue};

/// The rows of such a text.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, CodecError> {
    let (columns, mut cells) = table(text).ok_or_else(unreadable)?;
    let mut rows = Vec::new();
    while !cells.is_done() {
        let row = T::deserialize(Row { columns: &columns, cells: &mut cells });
        rows.push(row.map_err(|error| error.at(rows.len()))?);
    }
    Ok(rows)
}

fn unreadable() -> CodecError {
    CodecError::new("what a query returned has no form that is known")
}

/// The names of the columns, and the values.
fn table(text: &str) -> Option<(Vec<&str>, Cells<'_>)> {
    let mut cells = Cells(text);
    let count: usize = cells.next()?.parse().ok()?;
    let columns: Vec<&str> = (0..count).map(|_| cells.next()).collect::<Option<_>>()?;
    // Rows without columns would never end.
    (count > 0 || cells.is_done()).then_some((columns, cells))
}

/// Values, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a>(&'a str);

impl<'a> Cells<'a> {
    /// Those of a table, row by row.
    pub(crate) fn of_table(text: &'a str) -> Option<Self> {
        table(text).map(|(_, cells)| cells)
    }

    /// Those of rows without the names of their columns.
    pub(crate) fn of_rows(text: &'a str) -> Self {
        Self(text)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> Option<&'a str> {
        let (cell, rest) = self.0.split_once('\0')?;
        self.0 = rest;
        Some(cell)
    }

    /// An integer that is not negative. The outer `None` is for anything else.
    pub(crate) fn number(&mut self) -> Option<Option<u64>> {
        match self.next()?.split_at_checked(1)? {
            ("n", _) => Some(None),
            ("i", number) => number.parse().ok().map(Some),
            _ => None,
        }
    }

    /// A text, likewise.
    pub(crate) fn text(&mut self) -> Option<Option<String>> {
        match self.next()?.split_at_checked(1)? {
            ("n", _) => Some(None),
            ("s", text) => Some(Some(text.into())),
            _ => None,
        }
    }
}

/// The rows of a table whose values are JavaScript's: its columns, and then each row, as lists.
pub(crate) fn from_table<T: DeserializeOwned>(table: &Array) -> Result<Vec<T>, CodecError> {
    let mut rows = table.iter().map(|row| row.unchecked_into::<Array>());
    let columns: Vec<String> =
        rows.next().map(|names| names.iter().filter_map(|name| name.as_string()).collect()).unwrap_or_default();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let row = |values| {
        let mut cells = Values { values, at: 0, current: JsValue::UNDEFINED };
        T::deserialize(Row { columns: &columns, cells: &mut cells })
    };
    rows.enumerate().map(|(index, values)| row(values).map_err(|error| error.at(index))).collect()
}

/// Where a row gets its values from, one after the other.
trait Source<'de> {
    type Value<'a>: Deserializer<'de, Error = CodecError>
    where
        Self: 'a;

    fn next(&mut self) -> Result<Self::Value<'_>, CodecError>;
}

impl<'de, 't> Source<'de> for Cells<'t> {
    type Value<'a>
        = Cell<'t>
    where
        Self: 'a;

    fn next(&mut self) -> Result<Cell<'t>, CodecError> {
        Cells::next(self).map(Cell).ok_or_else(unreadable)
    }
}

/// The values of one row.
struct Values {
    values: Array,
    at: u32,
    current: JsValue,
}

impl<'de> Source<'de> for Values {
    type Value<'a> = Decoder<'a>;

    fn next(&mut self) -> Result<Decoder<'_>, CodecError> {
        self.current = self.values.get(self.at);
        self.at += 1;
        Ok(Decoder::of_rows(&self.current))
    }
}

/// A row: to whoever decodes it, a map from the names of its columns, a tuple of its values, or, if it has one column, that value.
struct Row<'a, S> {
    columns: &'a [&'a str],
    cells: &'a mut S,
}

impl<'a, S> Row<'a, S> {
    fn fields(self) -> Fields<'a, S> {
        Fields { columns: self.columns.iter(), cells: self.cells }
    }

    /// The only value, for who wants `expected`.
    fn only<'de>(&mut self, expected: &dyn Expected) -> Result<S::Value<'_>, CodecError>
    where
        S: Source<'de>,
    {
        match self.columns.len() {
            1 => self.cells.next(),
            count => Err(CodecError::new(format!("expected {expected}, got a row of {count} columns"))),
        }
    }
}

macro_rules! only_value {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, $($argument: $type,)* visitor: V) -> Result<V::Value, CodecError> {
            self.only(&visitor)?.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, S: Source<'de>> Deserializer<'de> for Row<'_, S> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let mut fields = self.fields();
        let value = visitor.visit_map(&mut fields)?;
        fields.pass_over()?;
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let mut fields = self.fields();
        let value = visitor.visit_seq(&mut fields)?;
        match fields.columns.len() {
            0 => Ok(value),
            more => Err(CodecError::new(format!("the row has {more} columns more"))),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, CodecError> {
        match self.columns.len() {
            1 => self.only(&visitor)?.deserialize_option(visitor),
            _ => visitor.visit_some(self),
        }
    }

    only_value! {
        deserialize_bool(); deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64(); deserialize_i128();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128(); deserialize_f32();
        deserialize_f64(); deserialize_char(); deserialize_str(); deserialize_string(); deserialize_bytes();
        deserialize_byte_buf(); deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    forward_to_deserialize_any! { unit unit_struct map struct identifier ignored_any }
}

struct Fields<'a, S> {
    columns: std::slice::Iter<'a, &'a str>,
    cells: &'a mut S,
}

impl<S> Fields<'_, S> {
    /// Passes over the values that a visitor does not want.
    fn pass_over<'de>(&mut self) -> Result<(), CodecError>
    where
        S: Source<'de>,
    {
        for _ in self.columns.by_ref() {
            self.cells.next()?;
        }
        Ok(())
    }
}

impl<'de, S: Source<'de>> MapAccess<'de> for &mut Fields<'_, S> {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        self.columns.as_slice().first().map(|column| seed.deserialize(StrDeserializer::new(column))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        let column = self.columns.next().copied().unwrap_or_default();
        seed.deserialize(self.cells.next()?).map_err(|error| error.inside(column))
    }
}

impl<'de, S: Source<'de>> SeqAccess<'de> for &mut Fields<'_, S> {
    type Error = CodecError;

    fn next_element_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<Option<V::Value>, CodecError> {
        let Some(column) = self.columns.next() else { return Ok(None) };
        seed.deserialize(self.cells.next()?).map(Some).map_err(|error| error.inside(column))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.columns.len())
    }
}

/// A value. The database has no booleans: 0 and 1 stand for them.
struct Cell<'t>(&'t str);

impl<'de> Deserializer<'de> for Cell<'_> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.0.split_at_checked(1) {
            Some(("n", _)) => visitor.visit_unit(),
            Some(("i", number)) => visitor.visit_i64(number.parse().map_err(|_| unreadable())?),
            Some(("f", bits)) => {
                visitor.visit_f64(f64::from_bits(u64::from_str_radix(bits, 16).map_err(|_| unreadable())?))
            }
            Some(("s", text)) => visitor.visit_str(text),
            _ => Err(unreadable()),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.0 {
            "i0" => visitor.visit_bool(false),
            "i1" => visitor.visit_bool(true),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.0 == "n" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        match self.0.strip_prefix('s') {
            Some(variant) => visitor.visit_enum(variant.into_deserializer()),
            None => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(bool);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Dish {
        id: i64,
        name: Option<String>,
        price: f64,
        vegan: bool,
        hot: Option<bool>,
        sweet: Wrapped,
        colour: Colour,
        #[serde(default)]
        more: u8,
    }

    fn packed(columns: &[&str], cells: &[&str]) -> String {
        let count = columns.len().to_string();
        [count.as_str()].iter().chain(columns).chain(cells).map(|part| format!("{part}\0")).collect()
    }

    const COLUMNS: [&str; 8] = ["id", "name", "price", "vegan", "hot", "sweet", "colour", "unknown"];

    #[test]
    fn rows_are_structs_by_the_names_of_their_columns() {
        let dish = |id, name: Option<&str>, price, vegan, hot, sweet| Dish {
            id,
            name: name.map(Into::into),
            price,
            vegan,
            hot,
            sweet: Wrapped(sweet),
            colour: Colour::Red,
            more: 0,
        };
        let bits = format!("f{:x}", 0.918_629_444_768_333_9_f64.to_bits());
        let cells = [
            "i-7",
            "sa \"quote\"",
            "i2",
            "i1",
            "n",
            "i0",
            "sred",
            "n",
            "i8",
            "n",
            &bits,
            "i0",
            "i1",
            "i1",
            "sred",
            "s",
        ];
        assert_eq!(
            from_text::<Dish>(&packed(&COLUMNS, &cells)),
            Ok(vec![
                dish(-7, Some("a \"quote\""), 2.0, true, None, false),
                dish(8, None, 0.918_629_444_768_333_9, false, Some(true), true)
            ])
        );
        let maps = from_text::<BTreeMap<String, Option<f64>>>(&packed(&["a", "b"], &["i1", "n"])).unwrap();
        assert_eq!(maps, [BTreeMap::from([("a".into(), Some(1.0)), ("b".into(), None)])]);
        assert_eq!(from_text::<Dish>(&packed(&["id"], &[])), Ok(vec![]));
        assert_eq!(from_text::<Dish>(&packed(&[], &[])), Ok(vec![]));
    }

    #[test]
    fn rows_are_tuples_and_single_values() {
        let pairs = packed(&["a", "b"], &["i1", "sx", "i2", "n"]);
        assert_eq!(from_text::<(u8, Option<String>)>(&pairs), Ok(vec![(1, Some("x".into())), (2, None)]));
        let ones = packed(&["count"], &["i1", "i0"]);
        assert_eq!(from_text::<u64>(&ones), Ok(vec![1, 0]));
        assert_eq!(from_text::<Wrapped>(&ones), Ok(vec![Wrapped(true), Wrapped(false)]));
        assert_eq!(from_text::<Colour>(&packed(&["c"], &["sred"])), Ok(vec![Colour::Red]));
        assert_eq!(from_text::<Option<f64>>(&packed(&["max"], &["n"])), Ok(vec![None]));
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_it() {
        let error = |table: &str| from_text::<Dish>(table).unwrap_err().to_string();
        assert_eq!(error(&packed(&["vegan"], &["i2"])), "`[0].vegan`: expected a boolean, got integer `2`");
        assert_eq!(error(&packed(&["id"], &["sx"])), "`[0].id`: expected i64, got a string");
        assert_eq!(error(&packed(&["id", "name", "price"], &["i1", "n", "n"])), "`[0].price`: expected f64, got null");
        for other in
            [packed(&COLUMNS, &["i1"]), packed(&["id"], &["é"]), packed(&[], &["i1"]), "9\0".into(), String::new()]
        {
            assert!(error(&other).ends_with("what a query returned has no form that is known"), "{other:?}");
        }
        let two = packed(&["count", "more"], &["i1", "i2"]);
        assert_eq!(from_text::<u64>(&two).unwrap_err().to_string(), "`[0]`: expected u64, got a row of 2 columns");
        assert_eq!(from_text::<(u64,)>(&two).unwrap_err().to_string(), "`[0]`: the row has 1 columns more");
    }
}
