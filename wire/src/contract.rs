//! The types of the values in a call. Caller and callee must agree on them, and the TypeScript declarations are made from them.

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
    /// The lines of its documentation.
    pub doc: Vec<String>,
    /// Whether the source asks for plain JavaScript values, with `#[rpc(native)]`.
    pub native: bool,
    /// The parameters, in order.
    pub params: Vec<ParameterContract>,
    /// The value that the method returns, or the stream.
    pub result: Flow,
    /// The type of the error that the method may fail with.
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

/// What a parameter or a result carries: one value, or a stream of values.
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

/// The shapes of a type, as the probe of its serde implementation saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeContract {
    /// The shape of its values in a format that describes itself, as JavaScript values do.
    pub native: Shape,
    /// The shape of its values as bytes, which only a program with the same contract can read; or why they cannot travel as bytes.
    pub bytes: Result<Shape, Unfit>,
    /// The part of the type that the probe could not try, because it could not make a value of it.
    pub untried: Option<Unfit>,
}

/// Why values of a type cannot travel as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// The place inside the type.
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
    /// Any value, in a format that describes itself.
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
    /// An optional value.
    Option(Box<Form>),
    /// A sequence of any length.
    Seq(Box<Form>),
    /// A map: the form of its keys, and that of its values.
    Map(Box<Form>, Box<Form>),
    /// A fixed number of values, each with a form of its own.
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
    /// A single value, whose form is also that of the newtype.
    Newtype(Form),
    /// Fields without names.
    Tuple(Vec<Form>),
    /// Nothing.
    Unit,
    /// One of several bodies.
    Variants(Vec<(String, Body)>),
    /// Nothing was seen of it.
    Unknown,
}
