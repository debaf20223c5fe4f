//! The rows of a query, packed as one text and a list of numbers. The text has the number of columns and the number of numbers, the
//! names of the columns, and then the values. A value is `n` for NULL, `d` for the next number, or `s` and a text. A NUL follows
//! each name and each text. `pack` in `host.js` writes this form.
//!
//! In this form, the rows cross the boundary at once, while each value of an object would cross it by itself. Rows with other
//! values, such as bytes, come as a list of lists.

use super::{
    CodecError,
    decode::{Decoder, Source},
};
use crate::runtime::js;
use js_sys::Array;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use wasm_bindgen::{JsCast, JsValue};

/// The rows of a query, as JavaScript packed them.
#[derive(Debug)]
pub(crate) struct Packed {
    text: String,
    numbers: Vec<f64>,
}

impl Packed {
    /// The packed rows of a table, with the names of its columns. `None` if `table` is not packed.
    pub(crate) fn table(table: &JsValue) -> Option<Self> {
        let text = table.as_string()?;
        let has_numbers = text.split_once(' ').is_some_and(|(_, rest)| !rest.starts_with("0\0"));
        Some(Self { text, numbers: if has_numbers { js::numbers() } else { Vec::new() } })
    }

    /// Packed rows without the names of columns. They always have numbers.
    pub(crate) fn rows(text: String) -> Self {
        Self { text, numbers: js::numbers() }
    }

    /// The values, row by row, where there are no columns before them.
    pub(crate) fn cells(&self) -> Cells<'_> {
        Cells { text: &self.text, numbers: self.numbers.iter() }
    }

    /// The names of the columns, and the values.
    pub(crate) fn columns(&self) -> Option<(Vec<&str>, Cells<'_>)> {
        let mut cells = self.cells();
        let count: usize = cells.text_end()?.split_once(' ')?.0.parse().ok()?;
        let columns: Vec<&str> = (0..count).map(|_| cells.text_end()).collect::<Option<_>>()?;
        // Rows without columns would never end.
        (count > 0 || cells.is_done()).then_some((columns, cells))
    }
}

/// A type that can be read from the values of a row, in the order in which the query selects them. `None` where the values do not
/// fit.
pub(crate) trait FromCells: Sized {
    fn read(cells: &mut Cells<'_>) -> Option<Self>;
}

impl FromCells for Option<u64> {
    fn read(cells: &mut Cells<'_>) -> Option<Self> {
        cells.number()
    }
}

impl FromCells for Option<String> {
    fn read(cells: &mut Cells<'_>) -> Option<Self> {
        cells.text()
    }
}

pub(crate) fn read_all<T: FromCells>(mut cells: Cells<'_>) -> Option<Vec<T>> {
    let mut rows = Vec::new();
    while !cells.is_done() {
        rows.push(T::read(&mut cells)?);
    }
    Some(rows)
}

/// The columns and rows of a query.
pub(crate) struct Table<'a> {
    columns: Vec<Cow<'a, str>>,
    rows: Rows<'a>,
}

enum Rows<'a> {
    /// The values that are left, and the row that was read last.
    Packed(Cells<'a>, Vec<Cell<'a>>),
    /// The names of the columns and then the rows, as lists; the number of the next one, and the row that was read last.
    Js(&'a Array, u32, Vec<JsValue>),
}

impl<'a> Table<'a> {
    pub(crate) fn of_packed(packed: &'a Packed) -> Result<Self, CodecError> {
        let (columns, cells) = packed.columns().ok_or_else(unreadable)?;
        let row = Vec::with_capacity(columns.len());
        Ok(Self { columns: columns.into_iter().map(Cow::Borrowed).collect(), rows: Rows::Packed(cells, row) })
    }

    pub(crate) fn of_js(table: &'a Array) -> Self {
        let names = table.get(0).unchecked_into::<Array>();
        let columns = names.iter().map(|name| name.as_string().unwrap_or_default().into()).collect();
        Self { columns, rows: Rows::Js(table, 1, Vec::new()) }
    }

    /// Decodes the rows that are left.
    pub(crate) fn decode<T: DeserializeOwned>(mut self) -> Result<Vec<T>, CodecError> {
        let mut rows = Vec::new();
        while let Some(row) = self.next()? {
            rows.push(T::deserialize(Decoder::of_row(&row)).map_err(|error| error.at(rows.len()))?);
        }
        Ok(rows)
    }

    fn next(&mut self) -> Result<Option<Row<'_>>, CodecError> {
        let values = match &mut self.rows {
            Rows::Packed(cells, _) if cells.is_done() => return Ok(None),
            Rows::Js(table, next, _) if *next == table.length() => return Ok(None),
            Rows::Packed(cells, row) => {
                row.clear();
                for _ in &self.columns {
                    row.push(cells.next().ok_or_else(unreadable)?);
                }
                Values::Packed(row)
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
    Packed(&'a [Cell<'a>]),
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
            Values::Packed(cells) => Source::Cell(cells[at]),
            Values::Js(values) => Source::Js(&values[at]),
        }
    }

    /// The row's only value, if it has one column.
    pub(super) fn only(&self) -> Option<Source<'a>> {
        (self.len() == 1).then(|| self.value(0))
    }
}

fn unreadable() -> CodecError {
    CodecError::new("what a query returned has no form that is known")
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Null,
    Number(f64),
    Text(&'a str),
}

/// Values, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Cells<'a> {
    text: &'a str,
    numbers: std::slice::Iter<'a, f64>,
}

impl<'a> Cells<'a> {
    pub(crate) fn is_done(&self) -> bool {
        self.text.is_empty()
    }

    fn next(&mut self) -> Option<Cell<'a>> {
        let (kind, rest) = self.text.split_at_checked(1)?;
        self.text = rest;
        Some(match kind {
            "n" => Cell::Null,
            "d" => Cell::Number(*self.numbers.next()?),
            "s" => Cell::Text(self.text_end()?),
            _ => return None,
        })
    }

    /// The text up to the next NUL.
    fn text_end(&mut self) -> Option<&'a str> {
        let (text, rest) = self.text.split_once('\0')?;
        self.text = rest;
        Some(text)
    }

    /// Reads an integer that is not negative, or NULL. The outer `None` is for anything else.
    pub(crate) fn number(&mut self) -> Option<Option<u64>> {
        match self.next()? {
            Cell::Null => Some(None),
            Cell::Number(number) if number >= 0.0 && number.fract() == 0.0 => Some(Some(number as u64)),
            _ => None,
        }
    }

    /// Reads a text, or NULL. The outer `None` is for anything else.
    pub(crate) fn text(&mut self) -> Option<Option<String>> {
        match self.next()? {
            Cell::Null => Some(None),
            Cell::Text(text) => Some(Some(text.into())),
            Cell::Number(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    fn decode<T: DeserializeOwned>(packed: &Packed) -> Result<Vec<T>, CodecError> {
        Table::of_packed(packed)?.decode()
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

    fn packed(columns: &[&str], cells: &[Cell<'_>]) -> Packed {
        let (mut values, mut numbers) = (String::new(), Vec::new());
        for cell in cells {
            match cell {
                Cell::Null => values.push('n'),
                Cell::Number(number) => {
                    values.push('d');
                    numbers.push(*number);
                }
                Cell::Text(text) => values.push_str(&format!("s{text}\0")),
            }
        }
        let names: String = columns.iter().map(|name| format!("{name}\0")).collect();
        Packed { text: format!("{} {}\0{names}{values}", columns.len(), numbers.len()), numbers }
    }

    const NULL: Cell<'_> = Cell::Null;

    fn d(number: impl Into<f64>) -> Cell<'static> {
        Cell::Number(number.into())
    }

    fn s(text: &str) -> Cell<'_> {
        Cell::Text(text)
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
        let price = 0.918_629_444_768_333_9;
        let cells = [
            [d(-7), s("a \"quote\""), d(2), d(1), NULL, d(0), s("red"), NULL],
            [d(8), NULL, d(price), d(0), d(1), d(1), s("red"), s("")],
        ];
        assert_eq!(
            decode::<Dish>(&packed(&COLUMNS, &cells.concat())),
            Ok(vec![
                dish(-7, Some("a \"quote\""), 2.0, true, None, false),
                dish(8, None, price, false, Some(true), true)
            ])
        );
        let maps = decode::<BTreeMap<String, Option<f64>>>(&packed(&["a", "b"], &[d(1), NULL])).unwrap();
        assert_eq!(maps, [BTreeMap::from([("a".into(), Some(1.0)), ("b".into(), None)])]);
        assert_eq!(decode::<Dish>(&packed(&["id"], &[])), Ok(vec![]));
        assert_eq!(decode::<Dish>(&packed(&[], &[])), Ok(vec![]));
    }

    #[test]
    fn rows_are_tuples_and_single_values() {
        let pairs = packed(&["a", "b"], &[d(1), s("x"), d(2), NULL]);
        assert_eq!(decode::<(u8, Option<String>)>(&pairs), Ok(vec![(1, Some("x".into())), (2, None)]));
        let ones = packed(&["count"], &[d(1), d(0)]);
        assert_eq!(decode::<u64>(&ones), Ok(vec![1, 0]));
        assert_eq!(decode::<Wrapped>(&ones), Ok(vec![Wrapped(true), Wrapped(false)]));
        assert_eq!(decode::<Colour>(&packed(&["c"], &[s("red")])), Ok(vec![Colour::Red]));
        assert_eq!(decode::<Option<f64>>(&packed(&["max"], &[NULL])), Ok(vec![None]));
        let optional = packed(&["name"], &[d(5), NULL]);
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(decode(&optional), Ok(vec![Some(json("5")), None]));
        assert_eq!(decode(&optional), Ok(vec![json("5"), json("null")]), "a row of one column is its value");
        let zero = decode::<f64>(&packed(&["zero"], &[d(-0.0)])).unwrap()[0];
        assert!(zero == 0.0 && zero.is_sign_negative());
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_it() {
        let error = |packed: &Packed| decode::<Dish>(packed).unwrap_err().to_string();
        assert_eq!(error(&packed(&["vegan"], &[d(2)])), "`[0].vegan`: expected a boolean, got `2`");
        assert_eq!(error(&packed(&["id"], &[s("x")])), "`[0].id`: expected i64, got a string");
        assert_eq!(error(&packed(&["id"], &[d(0.5)])), "`[0].id`: expected i64, got a floating-point number");
        assert_eq!(
            error(&packed(&["id", "name", "price"], &[d(1), NULL, NULL])),
            "`[0].price`: expected f64, got null"
        );
        let raw = |text: &str| Packed { text: text.into(), numbers: vec![1.0] };
        let malformed = ["1 1\0id\0é", "1 1\0id\0x", "1 1\0id\0sx", "0 0\0n", "9 1\0", ""].map(raw);
        for other in [packed(&COLUMNS, &[d(1)])].iter().chain(&malformed) {
            assert!(error(other).ends_with("what a query returned has no form that is known"), "{other:?}");
        }
        let two = packed(&["count", "more"], &[d(1), d(2)]);
        assert_eq!(decode::<u64>(&two).unwrap_err().to_string(), "`[0]`: expected u64, got a row of 2 columns");
        let unit = decode::<()>(&packed(&["count"], &[d(1)])).unwrap_err();
        assert_eq!(unit.to_string(), "`[0]`: expected unit, got `1`");
        assert_eq!(decode::<(u64,)>(&two).unwrap_err().to_string(), "`[0]`: the row has 1 columns more");
    }
}
