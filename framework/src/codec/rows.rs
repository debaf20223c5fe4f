//! The rows of a query, from the text of a JSON list: the names of the columns, and then each row as a list.
//!
//! Text crosses the boundary once, where each value of an object would cross it by itself. What does not decode this way is decoded
//! again from JavaScript values, which tell better what is wrong.

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};
use std::{fmt, marker::PhantomData};

/// The rows. `None` where one does not decode.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Option<Vec<T>> {
    serde_json::Deserializer::from_str(text).deserialize_seq(Table(PhantomData)).ok()
}

struct Table<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Table<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the columns and rows of a query")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut table: A) -> Result<Vec<T>, A::Error> {
        let columns: Vec<String> = table.next_element()?.unwrap_or_default();
        let mut rows = Vec::new();
        while let Some(row) = table.next_element_seed(RowSeed { columns: &columns, row: PhantomData })? {
            rows.push(row);
        }
        Ok(rows)
    }
}

struct RowSeed<'a, T> {
    columns: &'a [String],
    row: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for RowSeed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, row: D) -> Result<T, D::Error> {
        T::deserialize(Row { columns: self.columns, row })
    }
}

/// A row: to whoever decodes it, a map from the names of its columns.
struct Row<'a, D> {
    columns: &'a [String],
    row: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Row<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.row.deserialize_seq(RowVisitor { columns: self.columns, visitor })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct RowVisitor<'a, V> {
    columns: &'a [String],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for RowVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<V::Value, A::Error> {
        let value = self.visitor.visit_map(Cells { columns: self.columns.iter(), row: &mut row })?;
        // A visitor that does not want all of them.
        while row.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

struct Cells<'a, 'r, A> {
    columns: std::slice::Iter<'a, String>,
    row: &'r mut A,
}

impl<'de, A: SeqAccess<'de>> MapAccess<'de> for Cells<'_, '_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.columns.next().map(|column| seed.deserialize(StrDeserializer::new(column))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        let cell = self.row.next_element_seed(CellSeed(seed))?;
        cell.ok_or_else(|| de::Error::custom("the row has fewer values than the query has columns"))
    }
}

struct CellSeed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for CellSeed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, cell: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Cell(cell))
    }
}

/// A value. The database has no booleans: 0 and 1 stand for them.
struct Cell<D>(D);

macro_rules! as_they_are {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Cell<D> {
    type Error = D::Error;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_u64(Bool(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Nullable(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    as_they_are! {
        deserialize_any(); deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64(); deserialize_i128();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128(); deserialize_f32();
        deserialize_f64(); deserialize_char(); deserialize_str(); deserialize_string(); deserialize_bytes();
        deserialize_byte_buf(); deserialize_unit(); deserialize_unit_struct(name: &'static str); deserialize_seq();
        deserialize_tuple(length: usize); deserialize_tuple_struct(name: &'static str, length: usize); deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]); deserialize_identifier();
        deserialize_ignored_any();
    }
}

struct Bool<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Bool<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<V::Value, E> {
        match value {
            0 | 1 => self.0.visit_bool(value == 1),
            other => self.0.visit_u64(other),
        }
    }
}

struct Nullable<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Nullable<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, cell: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Cell(cell))
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

    const DISHES: &str = r#"[["id","name","price","vegan","hot","sweet","colour","unknown"],
        [-7,"a \"quote\"",2,1,null,0,"red",null],[8,null,2.5,0,1,1,"red",[]]]"#;

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
        assert_eq!(
            from_text::<Dish>(DISHES),
            Some(vec![
                dish(-7, Some("a \"quote\""), 2.0, true, None, false),
                dish(8, None, 2.5, false, Some(true), true)
            ])
        );
        let maps = from_text::<BTreeMap<String, Option<f64>>>(r#"[["a","b"],[1,null]]"#).unwrap();
        assert_eq!(maps, [BTreeMap::from([("a".into(), Some(1.0)), ("b".into(), None)])]);
        assert_eq!(from_text::<Dish>(r#"[["id"]]"#), Some(vec![]));
    }

    #[test]
    fn what_does_not_fit_is_left_to_others() {
        for other in [r#"[["vegan"],[2]]"#, r#"[["id"],["x"]]"#, "[", ""] {
            assert_eq!(from_text::<Dish>(other), None, "{other}");
        }
        assert_eq!(from_text::<u64>(r#"[["count"],[1]]"#), None);
    }
}
