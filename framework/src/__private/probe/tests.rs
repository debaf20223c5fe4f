//! What the probe finds of types of every kind.

use super::of;
use realgar_wire::{Body, Form};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Plain {
    id: u64,
    name: Option<String>,
    tags: Vec<Tag>,
    by_name: BTreeMap<String, (i8, f32)>,
    next: Option<Box<Plain>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Tag {
    Empty,
    OneThing(u8),
    Two(u8, char),
    Named { on: bool, more: Vec<Tag> },
}

#[test]
fn structs_and_enums_are_seen_with_their_attributes() {
    let contract = of::<Plain>();
    let shape = contract.bytes.unwrap();
    assert_eq!(contract.native, shape);
    assert_eq!(contract.untried, None);
    let plain = &shape.types[std::any::type_name::<Plain>()];
    let Body::Fields(fields) = &plain.body else { panic!("{plain:?}") };
    let named = |ty: &str| Form::Named(ty.into());
    let tag = std::any::type_name::<Tag>();
    assert_eq!(
        *fields,
        [
            ("id".into(), Form::Integer(64, false)),
            ("name".into(), Form::Option(Box::new(Form::String))),
            ("tags".into(), Form::Seq(Box::new(named(tag)))),
            (
                "by_name".into(),
                Form::Map(Box::new(Form::String), Box::new(Form::Tuple(vec![Form::Integer(8, true), Form::Float(32)])))
            ),
            ("next".into(), Form::Option(Box::new(named(std::any::type_name::<Plain>())))),
        ]
    );
    assert_eq!(
        shape.types[tag].body,
        Body::Variants(vec![
            ("empty".into(), Body::Unit),
            ("one-thing".into(), Body::Newtype(Form::Integer(8, false))),
            ("two".into(), Body::Tuple(vec![Form::Integer(8, false), Form::Char])),
            (
                "named".into(),
                Body::Fields(vec![
                    ("on".into(), Form::Bool),
                    ("more".into(), Form::Seq(Box::new(Form::Named(tag.into()))))
                ])
            ),
        ])
    );
}

#[test]
fn what_is_inside_of_any_variant_is_seen() {
    #[derive(Serialize, Deserialize)]
    enum Command {
        Ping,
        Set(Option<u32>),
        Delete(Vec<String>),
        List,
        Nested(Option<Box<Command>>),
    }
    let shape = of::<Command>().bytes.unwrap();
    assert!(!format!("{shape:?}").contains("Unknown"), "{shape:?}");
    #[derive(Serialize, Deserialize)]
    struct Node {
        left: Option<Box<Node>>,
        right: Option<Box<Node>>,
        tags: Vec<Command>,
    }
    let shape = of::<Node>().bytes.unwrap();
    assert!(!format!("{shape:?}").contains("Unknown"), "{shape:?}");
    #[derive(Serialize, Deserialize)]
    enum Expression {
        Not(Box<Expression>),
        Literal(u8),
        And(Box<Expression>, Box<Expression>),
        Compare { left: Box<Expression>, right: Option<Box<Expression>>, by: Vec<Expression> },
    }
    let contract = of::<Expression>();
    assert_eq!(contract.untried, None);
    assert!(!format!("{:?}", contract.native).contains("Unknown"), "{contract:?}");
}

#[test]
fn aliases_are_no_names() {
    #[derive(Serialize, Deserialize)]
    struct User {
        #[serde(alias = "user_name", alias = "login")]
        name: String,
        #[serde(rename = "years", alias = "old")]
        age: u32,
        kind: Kind,
    }
    #[derive(Serialize, Deserialize)]
    enum Kind {
        #[serde(alias = "Boss")]
        Admin(u8),
        #[serde(alias = "Visitor")]
        Guest,
    }
    let contract = of::<User>();
    assert_eq!(contract.untried, None);
    let Body::Fields(fields) = &contract.native.types[std::any::type_name::<User>()].body else { panic!() };
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["name", "years", "kind"]);
    assert_eq!(
        contract.bytes.unwrap().types[std::any::type_name::<Kind>()].body,
        Body::Variants(vec![("Admin".into(), Body::Newtype(Form::Integer(8, false))), ("Guest".into(), Body::Unit)])
    );
}

#[test]
fn recursion_through_an_enum_ends() {
    #[derive(Serialize, Deserialize)]
    enum Tree {
        Fork(Box<Tree>, Box<Tree>),
        Leaf(u8),
    }
    assert!(of::<Tree>().bytes.is_ok());
}

/// Types that postcard would corrupt or refuse, each with what the build says of it.
mod unfit {
    use super::*;

    fn refused<T: Serialize + serde::de::DeserializeOwned>() -> (String, String) {
        let unfit = of::<T>().bytes.map(|_| ()).unwrap_err();
        (unfit.path, unfit.reason)
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct Inner {
        a: u8,
    }

    macro_rules! unfit {
        ($($test:ident: $path:literal, $reason:literal { $($item:item)* })*) => {
            $(
                #[test]
                fn $test() {
                    $($item)*
                    let (path, reason) = refused::<Unfit>();
                    assert!(path == $path && reason.contains($reason), "{path}: {reason}");
                }
            )*
        };
    }

    unfit! {
        flatten: "", "`flatten`" {
            #[derive(Serialize, Deserialize)]
            struct Unfit { #[serde(flatten)] inner: Inner, b: u8 }
        }

        untagged: "list.[]", "describes itself" {
            #[derive(Serialize, Deserialize)]
            #[serde(untagged)]
            enum Either { A(u8), B(String) }
            #[derive(Serialize, Deserialize)]
            struct Unfit { list: Vec<Either> }
        }

        internally_tagged: "of", "describes itself" {
            #[derive(Serialize, Deserialize)]
            #[serde(tag = "type")]
            enum Event { A { x: u8 }, B }
            #[derive(Serialize, Deserialize)]
            struct Unfit { of: Event }
        }

        adjacently_tagged: "", "" {
            #[derive(Serialize, Deserialize)]
            #[serde(tag = "t", content = "c")]
            enum Unfit { A(u8), B { x: u8 } }
        }

        json_value: "extra", "describes itself" {
            #[derive(Serialize, Deserialize)]
            struct Unfit { extra: serde_json::Value }
        }

        other: "", "" {
            #[derive(Serialize, Deserialize)]
            #[serde(tag = "type")]
            enum Unfit { A, #[serde(other)] Other }
        }

        skip_serializing_if: "list.[].note", "skip_serializing_if" {
            #[derive(Serialize, Deserialize)]
            struct Item { #[serde(default, skip_serializing_if = "Option::is_none")] note: Option<String>, id: u8 }
            #[derive(Serialize, Deserialize)]
            struct Unfit { list: Vec<Item> }
        }

        skip_serializing_if_on_a_number: "n", "skip_serializing_if" {
            fn is_zero(n: &u32) -> bool { *n == 0 }
            #[derive(Serialize, Deserialize)]
            struct Unfit { #[serde(default, skip_serializing_if = "is_zero")] n: u32, m: u32 }
        }

        skip_serializing_if_on_the_last_field: "note", "skip_serializing_if" {
            #[derive(Serialize, Deserialize)]
            struct Unfit { id: u8, #[serde(default, skip_serializing_if = "String::is_empty")] note: String }
        }

        skip_serializing_if_in_a_tuple: "", "" {
            #[derive(Serialize, Deserialize)]
            struct Unfit(u8, #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>);
        }

        skip_serializing_if_in_a_variant: "B.note", "skip_serializing_if" {
            #[derive(Serialize, Deserialize)]
            enum Unfit { A, B { #[serde(default, skip_serializing_if = "Option::is_none")] note: Option<u8> } }
        }

        skip_serializing: "", "" {
            #[derive(Serialize, Deserialize)]
            struct Unfit { #[serde(default, skip_serializing)] _a: u8, b: u8 }
        }

        skip_deserializing: "", "" {
            #[derive(Serialize, Deserialize)]
            struct Unfit { #[serde(skip_deserializing)] a: u8, b: u8 }
        }

        skipped_variant: "", "" {
            #[derive(Serialize, Deserialize)]
            #[expect(dead_code, reason = "what it is about")]
            enum Unfit { #[serde(skip)] Hidden, A, B(u8) }
        }

        deep: "inner.[].k.[]", "describes itself" {
            #[derive(Serialize, Deserialize)]
            struct Middle { k: BTreeMap<String, Option<serde_json::Value>> }
            #[derive(Serialize, Deserialize)]
            struct Unfit { inner: Vec<Middle> }
        }
    }
}

/// Types that survive, each with an attribute that might have been a problem.
#[test]
fn attributes_that_do_no_harm_are_accepted() {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Fine {
        #[serde(default)]
        with_default: u8,
        #[serde(skip)]
        _skipped: u8,
        #[serde(rename = "other", alias = "another")]
        renamed: String,
        address: std::net::IpAddr,
        duration: std::time::Duration,
        nonzero: std::num::NonZeroU32,
        wide: u128,
        converted: Text,
        wrapped: Wrapped,
    }
    #[derive(Clone, Serialize, Deserialize)]
    #[serde(try_from = "String", into = "String")]
    struct Text(String);
    impl From<Text> for String {
        fn from(text: Text) -> Self {
            text.0
        }
    }
    impl TryFrom<String> for Text {
        type Error = &'static str;
        fn try_from(text: String) -> Result<Self, Self::Error> {
            if text.starts_with("http") { Ok(Self(text)) } else { Err("no address") }
        }
    }
    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Wrapped {
        inner: Vec<u8>,
    }
    let contract = of::<Fine>();
    assert_eq!(contract.untried, None);
    let shape = contract.bytes.unwrap();
    assert_ne!(shape, contract.native, "an address is text where values describe themselves");
}

#[test]
fn what_cannot_be_tried_is_told() {
    #[derive(Serialize, Deserialize)]
    #[serde(try_from = "String")]
    struct Strict(String);
    impl TryFrom<String> for Strict {
        type Error = &'static str;
        fn try_from(_: String) -> Result<Self, Self::Error> {
            Err("never right")
        }
    }
    #[derive(Serialize, Deserialize)]
    struct Outer {
        strict: Strict,
    }
    let untried = of::<Outer>().untried.unwrap();
    assert_eq!((untried.path.as_str(), untried.reason.as_str()), ("strict", "never right"));
}
