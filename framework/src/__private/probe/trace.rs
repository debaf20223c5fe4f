//! A source of values that answers every question of a type, and remembers the questions.
//!
//! A type is run several times. Each run takes enums through their next variant, and combines much (`Some`, one element) with
//! little (`None`, no elements) in another way. A type inside itself is answered with as little as possible once it is many
//! levels deep.

use realgar_wire::{Body, Composite, Form, Shape, Unfit};
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
};
use std::{
    any::type_name,
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
};

/// How deep the answers go before they become as small as possible.
const DEPTH_FULL: usize = 24;
/// How deep they go at all.
const DEPTH_MAX: usize = 64;
/// In how many ways much and little are combined: options, sequences, and whether that changes from level to level.
const MODES: u32 = 8;
/// The most runs for one type.
const RUNS_MAX: u32 = 2_000;

/// Text that types which read themselves from text accept: numbers, dates, addresses, ids.
const TEXTS: [&str; 14] = [
    "",
    "a",
    "1",
    "2020-01-01T00:00:00Z",
    "2020-01-01T00:00:00",
    "2020-01-01",
    "00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "http://a.b/",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "a@b.cd",
    "1.0.0",
];

const OPTIONS: u32 = 1;
const SEQUENCES: u32 = 2;

/// Everything that is remembered from run to run.
pub(super) struct Tracer {
    human_readable: bool,
    root: Form,
    types: BTreeMap<String, Composite>,
    /// Of each enum, the variants that were seen through to their end.
    complete: HashMap<String, Vec<bool>>,
    /// Where in [`TEXTS`] the types begin that read themselves from text.
    texts: HashMap<&'static str, usize>,
    run: u32,
    /// Where it is, from the outside in.
    path: Vec<String>,
    /// The types that it is inside of.
    inside: Vec<String>,
    untried: Option<Unfit>,
}

/// Why a run did not get through.
#[derive(Debug)]
pub(super) enum Stop {
    /// The type needs a format that says what comes next.
    Unfit(Unfit),
    /// The type refused an answer, or the answers went too deep.
    Refused(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(unfit) => f.write_str(&unfit.reason),
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(message.to_string())
    }
}

impl Tracer {
    pub(super) fn new(human_readable: bool) -> Self {
        Self {
            human_readable,
            root: Form::Unknown,
            types: BTreeMap::new(),
            complete: HashMap::new(),
            texts: HashMap::new(),
            run: 0,
            path: Vec::new(),
            inside: Vec::new(),
            untried: None,
        }
    }

    pub(super) fn into_shape(self) -> Shape {
        Shape { root: self.root, types: self.types }
    }

    /// Why no value could be made, where none could.
    pub(super) fn untried(&self) -> Option<Unfit> {
        self.untried.clone()
    }

    /// Runs `T` until all its variants were seen, and passes every value to `check`.
    pub(super) fn run<T: DeserializeOwned>(
        &mut self,
        check: &mut dyn FnMut(&T) -> Result<(), Unfit>,
    ) -> Result<(), Unfit> {
        let (mut made, mut refusal) = (0_u32, None);
        // How many runs there were since the last new variant: values differ, and text that is refused is tried otherwise.
        let mut idle = 0;
        while self.run < RUNS_MAX && idle < 2 * MODES as usize * TEXTS.len() {
            let before = self.progress();
            let (outcome, path) = self.once::<T>();
            match outcome {
                Ok(value) => {
                    made += 1;
                    check(&value)?;
                }
                Err(Stop::Unfit(unfit)) => return Err(unfit),
                Err(Stop::Refused(reason)) => refusal = Some(Unfit { path, reason }),
            }
            self.run += 1;
            idle = if self.progress() == before { idle + 1 } else { 0 };
            if made >= MODES && idle >= MODES as usize && self.is_complete() {
                break;
            }
        }
        if made == 0 || !self.is_complete() {
            self.untried = refusal;
        }
        Ok(())
    }

    fn once<T: DeserializeOwned>(&mut self) -> (Result<T, Stop>, String) {
        self.path.clear();
        self.inside.clear();
        let mut root = std::mem::replace(&mut self.root, Form::Unknown);
        let shared = RefCell::new(std::mem::replace(self, Self::new(self.human_readable)));
        let outcome = T::deserialize(Source { tracer: &shared, form: &mut root });
        *self = shared.into_inner();
        self.root = root;
        (outcome, self.path.join("."))
    }

    fn progress(&self) -> usize {
        self.complete.values().flatten().filter(|complete| **complete).count()
    }

    fn is_complete(&self) -> bool {
        self.complete.values().flatten().all(|complete| *complete)
    }

    /// Which variant of an enum comes next: one that was not seen through yet, but inside of itself one that was.
    fn pick(&self, key: &str, count: usize) -> usize {
        let complete = self.complete.get(key).map(Vec::as_slice).unwrap_or_default();
        let nested = self.inside.iter().filter(|name| *name == key).count() > 1;
        let wanted = complete.iter().position(|done| *done == nested);
        wanted.unwrap_or((self.run as usize / 3 + self.inside.len()) % count)
    }
}

/// Answers for one value, whose form it writes down.
struct Source<'a> {
    tracer: &'a RefCell<Tracer>,
    form: &'a mut Form,
}

type Shared<'a> = &'a RefCell<Tracer>;

/// Writes `form` down where nothing better is known.
fn note(place: &mut Form, form: Form) {
    if *place == Form::Unknown {
        *place = form;
    }
}

impl<'a> Source<'a> {
    /// Whether to answer with much, going by bit `bit` of the number of the run.
    fn much(&self, bit: u32) -> bool {
        let tracer = self.tracer.borrow();
        let alternate = tracer.run & 4 != 0 && tracer.path.len() % 2 == 1;
        let little = (tracer.run & bit != 0) != alternate;
        tracer.path.len() < DEPTH_FULL && !little
    }

    fn unfit<T>(&self, reason: &str) -> Result<T, Stop> {
        let tracer = self.tracer.borrow();
        if tracer.human_readable {
            return Err(Stop::Refused(reason.into()));
        }
        Err(Stop::Unfit(Unfit { path: tracer.path.join("."), reason: reason.into() }))
    }

    fn integer(self, bits: u8, signed: bool) -> u8 {
        note(self.form, Form::Integer(bits, signed));
        // Not zero: some types refuse that.
        1
    }
}

/// Runs `body` one level further in.
fn within<T>(tracer: Shared<'_>, segment: &str, body: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    {
        let mut tracer = tracer.borrow_mut();
        if tracer.path.len() >= DEPTH_MAX {
            return Err(Stop::Refused("the type contains itself without end".into()));
        }
        tracer.path.push(segment.into());
    }
    let outcome = body()?;
    tracer.borrow_mut().path.pop();
    Ok(outcome)
}

/// Runs `body` inside of the type `key`, which it describes anew from what was known.
fn composite<T>(
    tracer: Shared<'_>,
    form: &mut Form,
    (key, name): (&'static str, &str),
    body: impl FnOnce(&mut Body) -> Result<T, Stop>,
) -> Result<T, Stop> {
    note(form, Form::Named(key.into()));
    let mut known = {
        let mut tracer = tracer.borrow_mut();
        tracer.inside.push(key.into());
        tracer.types.get(key).map_or(Body::Unknown, |known| known.body.clone())
    };
    let outcome = body(&mut known);
    let mut tracer = tracer.borrow_mut();
    tracer.inside.pop();
    tracer.types.insert(key.into(), Composite { name: name.into(), body: known });
    outcome
}

/// The fields of a struct, in order.
fn fields(body: &mut Body, names: &'static [&'static str]) -> Vec<(String, Form)> {
    match std::mem::replace(body, Body::Unknown) {
        Body::Fields(known) if known.len() == names.len() => known,
        _ => names.iter().map(|name| (name.to_string(), Form::Unknown)).collect(),
    }
}

fn elements(body: &mut Body, count: usize) -> Vec<Form> {
    match std::mem::replace(body, Body::Unknown) {
        Body::Tuple(known) if known.len() == count => known,
        _ => vec![Form::Unknown; count],
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty, $signed:literal;)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
                visitor.$visit(self.integer(<$type>::BITS as u8, $signed) as $type)
            }
        )*
    };
}

const SELF_DESCRIBING: &str = "it needs a format that describes itself (`untagged`, an internal tag, `flatten`, \
                               `serde_json::Value`, `#[serde(other)]`)";

impl<'de> Deserializer<'de> for Source<'_> {
    type Error = Stop;

    fn is_human_readable(&self) -> bool {
        self.tracer.borrow().human_readable
    }

    integers! {
        deserialize_u8 visit_u8 u8, false;
        deserialize_u16 visit_u16 u16, false;
        deserialize_u32 visit_u32 u32, false;
        deserialize_u64 visit_u64 u64, false;
        deserialize_u128 visit_u128 u128, false;
        deserialize_i8 visit_i8 i8, true;
        deserialize_i16 visit_i16 i16, true;
        deserialize_i32 visit_i32 i32, true;
        deserialize_i64 visit_i64 i64, true;
        deserialize_i128 visit_i128 i128, true;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Any);
        // Where values describe themselves, `null` is one.
        if self.tracer.borrow().human_readable { visitor.visit_unit() } else { self.unfit(SELF_DESCRIBING) }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let value = self.much(OPTIONS);
        note(self.form, Form::Bool);
        visitor.visit_bool(value)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Float(32));
        visitor.visit_f32(0.5)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Float(64));
        visitor.visit_f64(0.5)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Char);
        visitor.visit_char('a')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::String);
        let key = type_name::<V::Value>();
        let index = {
            let tracer = self.tracer.borrow();
            let start = tracer.texts.get(key).copied().unwrap_or(0);
            // A type that is made of text may refuse it only afterwards, so each run tries another one.
            (start + tracer.run as usize) % TEXTS.len()
        };
        let outcome = visitor.visit_str(TEXTS[index]);
        if outcome.is_ok() && key != type_name::<String>() {
            // What it accepts is what it gets from now on.
            let run = self.tracer.borrow().run as usize;
            let start = (index + TEXTS.len() - (run + 1) % TEXTS.len()) % TEXTS.len();
            self.tracer.borrow_mut().texts.insert(key, start);
        }
        outcome
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Bytes);
        visitor.visit_byte_buf(vec![1])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let full = self.much(OPTIONS);
        note(self.form, Form::Option(Box::new(Form::Unknown)));
        match self.form {
            Form::Option(inner) if full => visitor.visit_some(Source { tracer: self.tracer, form: inner }),
            _ => visitor.visit_none(),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Unit);
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Stop> {
        let key = type_name::<V::Value>();
        composite(self.tracer, self.form, (key, name), |body| {
            let mut inner = match std::mem::replace(body, Body::Unknown) {
                Body::Newtype(known) => known,
                _ => Form::Unknown,
            };
            let outcome = visitor.visit_newtype_struct(Source { tracer: self.tracer, form: &mut inner });
            *body = Body::Newtype(inner);
            outcome
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let count = usize::from(self.much(SEQUENCES));
        note(self.form, Form::Seq(Box::new(Form::Unknown)));
        let mut scratch = Form::Unknown;
        let item = if let Form::Seq(item) = self.form { &mut **item } else { &mut scratch };
        visitor.visit_seq(Repeated { tracer: self.tracer, key: None, value: item, left: count })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Tuple(vec![Form::Unknown; count]));
        let mut scratch = vec![Form::Unknown; count];
        let forms = if let Form::Tuple(forms) = self.form { forms } else { &mut scratch };
        visitor.visit_seq(Elements::new(self.tracer, forms.iter_mut()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        composite(self.tracer, self.form, (type_name::<V::Value>(), name), |body| {
            let mut forms = elements(body, count);
            let outcome = visitor.visit_seq(Elements::new(self.tracer, forms.iter_mut()));
            *body = Body::Tuple(forms);
            outcome
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let count = usize::from(self.much(SEQUENCES));
        note(self.form, Form::Map(Box::new(Form::Unknown), Box::new(Form::Unknown)));
        let (mut key, mut value) = (Form::Unknown, Form::Unknown);
        let (key, value) =
            if let Form::Map(key, value) = self.form { (&mut **key, &mut **value) } else { (&mut key, &mut value) };
        visitor.visit_map(Repeated { tracer: self.tracer, key: Some(key), value, left: count })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        composite(self.tracer, self.form, (type_name::<V::Value>(), name), |body| {
            let mut known = fields(body, names);
            let outcome = visitor.visit_seq(Fields { tracer: self.tracer, left: known.iter_mut() });
            *body = Body::Fields(known);
            outcome
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let key = type_name::<V::Value>();
        if names.is_empty() {
            return Err(Stop::Refused("an enum without variants has no values".into()));
        }
        composite(self.tracer, self.form, (key, name), |body| {
            let mut variants = match std::mem::replace(body, Body::Unknown) {
                Body::Variants(known) if known.len() == names.len() => known,
                _ => names.iter().map(|name| (name.to_string(), Body::Unknown)).collect(),
            };
            let index = {
                let mut tracer = self.tracer.borrow_mut();
                tracer.complete.entry(key.into()).or_insert_with(|| vec![false; names.len()]);
                tracer.pick(key, names.len())
            };
            let variant = Variant { tracer: self.tracer, index, name: names[index], body: &mut variants[index].1 };
            let outcome = visitor.visit_enum(variant);
            if outcome.is_ok()
                && let Some(complete) = self.tracer.borrow_mut().complete.get_mut(key)
            {
                complete[index] = true;
            }
            *body = Body::Variants(variants);
            outcome
        })
    }

    /// The name of a field, which a struct asks for only where it is read as a map.
    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        note(self.form, Form::String);
        self.tracer.borrow_mut().path.pop();
        self.unfit("it is read as a map of fields (`flatten`)")
    }
}

/// The elements of a sequence, or the entries of a map.
struct Repeated<'a> {
    tracer: Shared<'a>,
    key: Option<&'a mut Form>,
    value: &'a mut Form,
    left: usize,
}

impl Repeated<'_> {
    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'de> SeqAccess<'de> for Repeated<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        if !self.next() {
            return Ok(None);
        }
        within(self.tracer, "[]", || seed.deserialize(Source { tracer: self.tracer, form: self.value })).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Repeated<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        let more = self.next();
        match &mut self.key {
            Some(key) if more => {
                within(self.tracer, "[key]", || seed.deserialize(Source { tracer: self.tracer, form: key })).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        within(self.tracer, "[]", || seed.deserialize(Source { tracer: self.tracer, form: self.value }))
    }
}

/// The elements of a tuple.
struct Elements<'a, I> {
    tracer: Shared<'a>,
    left: I,
    index: usize,
}

impl<'a, I> Elements<'a, I> {
    fn new(tracer: Shared<'a>, left: I) -> Self {
        Self { tracer, left, index: 0 }
    }
}

impl<'de, 'a, I: Iterator<Item = &'a mut Form>> SeqAccess<'de> for Elements<'a, I> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some(form) = self.left.next() else { return Ok(None) };
        let segment = self.index.to_string();
        self.index += 1;
        within(self.tracer, &segment, || seed.deserialize(Source { tracer: self.tracer, form })).map(Some)
    }
}

/// The fields of a struct.
struct Fields<'a, I> {
    tracer: Shared<'a>,
    left: I,
}

impl<'de, 'a, I: Iterator<Item = &'a mut (String, Form)>> SeqAccess<'de> for Fields<'a, I> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some((name, form)) = self.left.next() else { return Ok(None) };
        within(self.tracer, name, || seed.deserialize(Source { tracer: self.tracer, form })).map(Some)
    }
}

/// One variant of an enum.
struct Variant<'a> {
    tracer: Shared<'a>,
    index: usize,
    name: &'static str,
    body: &'a mut Body,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Stop;
    type Variant = Variant<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Stop> {
        let index = u32::try_from(self.index).unwrap_or(u32::MAX);
        let deserializer: de::value::U32Deserializer<Stop> = index.into_deserializer();
        Ok((seed.deserialize(deserializer)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        *self.body = Body::Unit;
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let mut form = match std::mem::replace(self.body, Body::Unknown) {
            Body::Newtype(known) => known,
            _ => Form::Unknown,
        };
        let source = Source { tracer: self.tracer, form: &mut form };
        let outcome = within(self.tracer, self.name, || seed.deserialize(source));
        *self.body = Body::Newtype(form);
        outcome
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Stop> {
        let mut forms = elements(self.body, count);
        let access = Elements::new(self.tracer, forms.iter_mut());
        let outcome = within(self.tracer, self.name, || visitor.visit_seq(access));
        *self.body = Body::Tuple(forms);
        outcome
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        let mut known = fields(self.body, names);
        let access = Fields { tracer: self.tracer, left: known.iter_mut() };
        let outcome = within(self.tracer, self.name, || visitor.visit_seq(access));
        *self.body = Body::Fields(known);
        outcome
    }
}
