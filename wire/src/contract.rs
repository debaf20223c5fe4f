//! What the values of a call look like: what two programs must agree on, and what TypeScript is told.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The methods of a class, as a caller must know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The Rust type that stands for the class, by its full path.
    pub rust: String,
    /// Its methods.
    pub methods: Vec<MethodContract>,
}

/// The types of one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodContract {
    /// The name on the wire.
    pub name: String,
    /// The documentation, a line each.
    pub doc: Vec<String>,
    /// Whether the source asks for plain JavaScript values.
    pub native: bool,
    /// The parameters, in order.
    pub params: Vec<ParameterContract>,
    /// What it returns, or what the items of its stream are.
    pub result: Flow,
    /// What it may fail with.
    pub error: Option<TypeContract>,
}

/// A parameter of a method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterContract {
    /// Its name.
    pub name: String,
    /// Its type.
    pub flow: Flow,
}

/// A value, or values one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// One value.
    Value(TypeContract),
    /// A stream of items, which may end with an error of its own.
    Stream {
        /// The items.
        item: TypeContract,
        /// The error.
        error: Option<TypeContract>,
    },
}

/// What a probe saw of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeContract {
    /// Its form where values describe themselves, as in JavaScript.
    pub native: Shape,
    /// Its form as bytes, which only the same contract can read; or why it has none.
    pub bytes: Result<Shape, Unfit>,
    /// What could not be tried, because no value of the type could be made.
    pub untried: Option<Unfit>,
}

/// Why values of a type cannot travel as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// Where in the type.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

/// The form of a type: its root, and the types with names inside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The type itself.
    pub root: Form,
    /// Structs and enums, by the full path of their Rust type.
    pub types: BTreeMap<String, Composite>,
}

/// The form of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Nothing was seen of it.
    Unknown,
    /// Whatever describes itself.
    Any,
    /// No data.
    Unit,
    /// `bool`.
    Bool,
    /// An integer: its width in bits, and whether it has a sign.
    Integer(u8, bool),
    /// A floating point number: its width in bits.
    Float(u8),
    /// One character.
    Char,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// Something or nothing.
    Option(Box<Form>),
    /// Any number of values.
    Seq(Box<Form>),
    /// Values by keys.
    Map(Box<Form>, Box<Form>),
    /// Values one after the other.
    Tuple(Vec<Form>),
    /// A struct or an enum, by its key in [`Shape::types`].
    Named(String),
}

/// A struct or an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Composite {
    /// The name that serde knows it by.
    pub name: String,
    /// What it consists of.
    pub body: Body,
}

/// What a struct or an enum consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Fields with names.
    Fields(Vec<(String, Form)>),
    /// A single value, which it looks like.
    Newtype(Form),
    /// Values without names.
    Tuple(Vec<Form>),
    /// Nothing.
    Unit,
    /// One of several bodies.
    Variants(Vec<(String, Body)>),
    /// Nothing was seen of it.
    Unknown,
}
