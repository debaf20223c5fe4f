//! The rows of a query, as one text: the number of columns, their names, and then the values, each with a NUL after it. A value is `n`; `i`
//! and an integer; `f` and the bits of a float in hexadecimal; or `s` and a text. `pack` in `host.js` writes it.
//!
//! Text crosses the boundary once, where each value of an object would cross it by itself. What has no such form, such as bytes, comes as a
//! list of lists.

use super::{
    CodecError,
    decode::{Decoder, Source},
};
use js_sys::Array;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use wasm_bindgen::{JsCast, JsValue};

/// The columns and rows of a query.
pub(crate) struct Table<'a> {
    columns: Vec<Cow<'a, str>>,
    rows: Rows<'a>,
}

enum Rows<'a> {
    /// What is left of the text, and the row that was read last.
    Text(Cells<'a>, Vec<&'a str>),
    /// The names of the columns and then the rows, as lists; the number of the next one, and the row that was read last.
    Js(&'a Array, u32, Vec<JsValue>),
}

impl<'a> Table<'a> {
    pub(crate) fn of_text(text: &'a str) -> Result<Self, CodecError> {
        let (columns, cells) = table(text).ok_or_else(unreadable)?;
        let row = Vec::with_capacity(columns.len());
        Ok(Self { columns: columns.into_iter().map(Cow::Borrowed).collect(), rows: Rows::Text(cells, row) })
    }

    pub(crate) fn of_js(table: &'a Array) -> Self {
        let names = table.get(0).unchecked_into::<Array>();
        let columns = names.iter().map(|name| name.as_string().unwrap_or_default().into()).collect();
        Self { columns, rows: Rows::Js(table, 1, Vec::new()) }
    }

    /// The rows that are left.
    pub(crate) fn decode<T: DeserializeOwned>(mut self) -> Result<Vec<T>, CodecError> {
        let mut rows = Vec::new();
        while let Some(row) = self.next()? {
            rows.push(T::deserialize(Decoder::of_row(&row)).map_err(|error| error.at(rows.len()))?);
        }
        Ok(rows)
    }

    fn next(&mut self) -> Result<Option<Row<'_>>, CodecError> {
        let values = match &mut self.rows {
            Rows::Text(cells, _) if cells.is_done() => return Ok(None),
            Rows::Js(table, next, _) if *next == table.length() => return Ok(None),
            Rows::Text(cells, row) => {
                row.clear();
                for _ in &self.columns {
                    row.push(cells.next().ok_or_else(unreadable)?);
                }
                Values::Text(row)
            }
            Rows::Js(table, next, row) => {
                *row = table.get(*next).unchecked_into::<Array>().to_vec();
                row.resize(self.columns.len(), JsValue::NULL);
                *next += 1;
                Values::Js(row)
            }
        };
        Ok(Some(Row { columns: &self.columns, values }))
    }
}

/// A row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a [Cow<'a, str>],
    values: Values<'a>,
}

/// The values of a row: as many as it has columns.
#[derive(Clone, Copy)]
enum Values<'a> {
    Text(&'a [&'a str]),
    Js(&'a [JsValue]),
}

impl<'a> Row<'a> {
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn column(&self, at: usize) -> &'a str {
        &self.columns[at]
    }

    pub(super) fn value(&self, at: usize) -> Source<'a> {
        match self.values {
            Values::Text(cells) => Source::Cell(cells[at]),
            Values::Js(values) => Source::Js(&values[at]),
        }
    }

    /// Its value, if it has one.
    pub(super) fn only(&self) -> Option<Source<'a>> {
        (self.len() == 1).then(|| self.value(0))
    }
}

pub(super) fn unreadable() -> CodecError {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    fn from_text<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, CodecError> {
        Table::of_text(text)?.decode()
    }

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
        assert_eq!(error(&packed(&["vegan"], &["i2"])), "`[0].vegan`: expected a boolean, got `2`");
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
