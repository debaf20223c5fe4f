//! Watches a value while it serialises, to find what would make bytes that read back as something else.

use realgar_wire::Unfit;
use serde::{
    Serialize,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use std::{cell::RefCell, collections::HashMap, fmt};

/// The names under which values were serialised, by the names of their types. The lists of names that serde gives to a deserialiser
/// are not enough, because they have the aliases, too.
#[derive(Default)]
pub(super) struct Names {
    /// The names of the fields of a struct.
    pub(super) fields: HashMap<String, Vec<String>>,
    /// The names of the variants of an enum, by their index.
    pub(super) variants: HashMap<(String, u32), String>,
}

/// Serialises `value` into nothing, and adds its names to `names`.
pub(super) fn watch<T: Serialize>(value: &T, names: &mut Names) -> Result<(), Unfit> {
    let names = RefCell::new(names);
    value.serialize(Watcher(&names)).map_err(|stop| {
        let path: Vec<String> = stop.path.into_iter().rev().collect();
        Unfit { path: path.join("."), reason: stop.reason }
    })
}

/// What was found, and where: the segments of the path, innermost first.
#[derive(Debug)]
struct Found {
    path: Vec<String>,
    reason: String,
}

impl Found {
    fn new(reason: impl Into<String>) -> Self {
        Self { path: Vec::new(), reason: reason.into() }
    }

    fn inside(mut self, segment: &str) -> Self {
        self.path.push(segment.into());
        self
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Found {}

impl ser::Error for Found {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Watcher<'a>(&'a RefCell<&'a mut Names>);

impl<'a> Watcher<'a> {
    fn variant(self, name: &str, index: u32, variant: &str) -> Self {
        self.0.borrow_mut().variants.insert((name.into(), index), variant.into());
        self
    }

    fn counted(self, count: usize, variant: Option<&'static str>) -> Counted<'a> {
        Counted { watcher: self, left: count, at: 0, variant, name: None, fields: Vec::new() }
    }
}

/// A container, with how many elements it announced.
struct Counted<'a> {
    watcher: Watcher<'a>,
    left: usize,
    at: usize,
    /// The variant of an enum whose content this is.
    variant: Option<&'static str>,
    /// The name of the struct, if the container is one.
    name: Option<&'static str>,
    fields: Vec<String>,
}

impl Counted<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, segment: &str, value: &T) -> Result<(), Found> {
        self.at += 1;
        if self.name.is_some() {
            self.fields.push(segment.into());
        }
        value.serialize(self.watcher).map_err(|found| self.named(found.inside(segment)))
    }

    fn named(&self, found: Found) -> Found {
        match self.variant {
            Some(variant) => found.inside(variant),
            None => found,
        }
    }

    fn skipped(&self, field: &str) -> Result<(), Found> {
        Err(self.named(Found::new("the field is left out of some values (`skip_serializing_if`)").inside(field)))
    }

    fn end(self) -> Result<(), Found> {
        if self.at == self.left {
            if let Some(name) = self.name {
                self.watcher.0.borrow_mut().fields.insert(name.into(), self.fields);
            }
            return Ok(());
        }
        Err(self.named(Found::new(format!("it announces {} elements and has {}", self.left, self.at))))
    }
}

macro_rules! plain {
    ($($method:ident $type:ty,)*) => {
        $(
            fn $method(self, _: $type) -> Result<(), Found> {
                Ok(())
            }
        )*
    };
}

impl<'a> ser::Serializer for Watcher<'a> {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Counted<'a>;
    type SerializeTuple = Counted<'a>;
    type SerializeTupleStruct = Counted<'a>;
    type SerializeTupleVariant = Counted<'a>;
    type SerializeMap = Counted<'a>;
    type SerializeStruct = Counted<'a>;
    type SerializeStructVariant = Counted<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    plain! {
        serialize_bool bool,
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_i128 i128,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
        serialize_u128 u128,
        serialize_f32 f32,
        serialize_f64 f64,
        serialize_char char,
        serialize_str &str,
        serialize_bytes &[u8],
    }

    fn serialize_none(self) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Found> {
        Ok(())
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<(), Found> {
        self.variant(name, index, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        value.serialize(self.variant(name, index, variant)).map_err(|found| found.inside(variant))
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<Counted<'a>, Found> {
        match count {
            Some(count) => Ok(self.counted(count, None)),
            None => Err(Found::new("it is a sequence that does not say how long it is")),
        }
    }

    fn serialize_tuple(self, count: usize) -> Result<Counted<'a>, Found> {
        Ok(self.counted(count, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, count: usize) -> Result<Counted<'a>, Found> {
        Ok(self.counted(count, None))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Counted<'a>, Found> {
        Ok(self.variant(name, index, variant).counted(count, Some(variant)))
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Counted<'a>, Found> {
        match count {
            Some(count) => Ok(self.counted(count, None)),
            None => Err(Found::new("it does not say how many entries it has (`flatten`)")),
        }
    }

    fn serialize_struct(self, name: &'static str, count: usize) -> Result<Counted<'a>, Found> {
        Ok(Counted { name: Some(name), ..self.counted(count, None) })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Counted<'a>, Found> {
        Ok(self.variant(name, index, variant).counted(count, Some(variant)))
    }
}

impl SerializeSeq for Counted<'_> {
    type Ok = ();
    type Error = Found;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        self.element("[]", value)
    }

    fn end(self) -> Result<(), Found> {
        self.end()
    }
}

impl SerializeMap for Counted<'_> {
    type Ok = ();
    type Error = Found;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Found> {
        key.serialize(self.watcher).map_err(|found| found.inside("[key]"))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        self.element("[]", value)
    }

    fn end(self) -> Result<(), Found> {
        self.end()
    }
}

macro_rules! tuples {
    ($($name:ident $method:ident,)*) => {
        $(
            impl $name for Counted<'_> {
                type Ok = ();
                type Error = Found;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
                    let segment = self.at.to_string();
                    self.element(&segment, value)
                }

                fn end(self) -> Result<(), Found> {
                    self.end()
                }
            }
        )*
    };
}

tuples! {
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! structs {
    ($($name:ident,)*) => {
        $(
            impl $name for Counted<'_> {
                type Ok = ();
                type Error = Found;

                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    field: &'static str,
                    value: &T,
                ) -> Result<(), Found> {
                    self.element(field, value)
                }

                fn skip_field(&mut self, field: &'static str) -> Result<(), Found> {
                    self.skipped(field)
                }

                fn end(self) -> Result<(), Found> {
                    self.end()
                }
            }
        )*
    };
}

structs! {
    SerializeStruct,
    SerializeStructVariant,
}
