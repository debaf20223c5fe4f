//! A source of values for deserialising a type. It answers every question of the type, and remembers the questions.
//!
//! A type is deserialised many times. Each run combines large answers (`Some`, one element, a number) and small ones (`None`, no
//! elements, zero) in another way, and takes enums through another variant, until every variant was seen with every combination. A
//! type that contains itself gets answers that are as small as possible, so that the answers end.

use super::watch::Names;
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

/// How often a type may be inside of itself before the answers become as small as possible.
const NESTING_FULL: usize = 1;
/// How deep the answers go at all.
const DEPTH_MAX: usize = 64;
/// How many answers a run gives before they become as small as possible.
const ANSWERS_FULL: u32 = 2_000;
/// How many combinations of large and small answers there are: for options, for sequences, and whether that changes from level to
/// level.
const MODES: u32 = 8;
/// The most runs for one type.
const RUNS_MAX: u32 = 4_000;
/// How often a variant may fail in a row before it is given up.
const FAILURES_MAX: u32 = 32;

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
    /// What is known of the variants of each enum.
    variants: HashMap<String, Vec<Seen>>,
    /// How many fields each struct asked for. Its list of names may be longer, because it has the aliases, too.
    asked: HashMap<String, usize>,
    /// Where in [`TEXTS`] a type begins, for each type that reads itself from text.
    texts: HashMap<&'static str, usize>,
    run: u32,
    /// How many answers this run gave.
    answers: u32,
    /// The path to the current value, from the outside in.
    path: Vec<String>,
    /// The types that the current value is inside of.
    inside: Vec<String>,
    untried: Option<Unfit>,
}

/// What is known of a variant.
#[derive(Clone, Default)]
struct Seen {
    /// The combinations with which the variant was read to its end, a bit for each.
    modes: u8,
    /// The least number of answers that this took.
    cost: Option<u32>,
    /// How often the variant has failed in a row since.
    failures: u32,
    /// Whether the enum has no such variant. The list of names has the aliases, too, so it may be too long.
    missing: bool,
}

impl Seen {
    fn is_done(&self) -> bool {
        self.missing || self.modes == u8::MAX || self.failures > FAILURES_MAX
    }
}

/// Why a run made no value.
#[derive(Debug)]
pub(super) enum Stop {
    /// The type needs a format that describes itself.
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
            variants: HashMap::new(),
            asked: HashMap::new(),
            texts: HashMap::new(),
            run: 0,
            answers: 0,
            path: Vec::new(),
            inside: Vec::new(),
            untried: None,
        }
    }

    /// The form that was seen. `names` are the names under which values were serialised.
    pub(super) fn into_shape(mut self, names: &Names) -> Shape {
        for (key, composite) in &mut self.types {
            match &mut composite.body {
                Body::Fields(fields) => {
                    let asked = self.asked.get(key).copied().unwrap_or(fields.len());
                    let known = names.fields.get(&composite.name).filter(|names| names.len() == asked);
                    if asked < fields.len() {
                        fields.truncate(asked);
                        for ((name, _), known) in fields.iter_mut().zip(known.into_iter().flatten()) {
                            name.clone_from(known);
                        }
                    }
                }
                Body::Variants(variants) => {
                    let missing =
                        self.variants.get(key).map_or(0, |seen| seen.iter().filter(|seen| seen.missing).count());
                    if missing > 0 {
                        variants.truncate(variants.len() - missing);
                        for (index, (name, _)) in variants.iter_mut().enumerate() {
                            if let Some(known) = names.variants.get(&(composite.name.clone(), index as u32)) {
                                name.clone_from(known);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        Shape { root: self.root, types: self.types }
    }

    /// Why no value could be made, where none could.
    pub(super) fn untried(&self) -> Option<Unfit> {
        self.untried.clone()
    }

    /// Runs `T` until all its variants were seen with all combinations, and passes every value to `check`.
    pub(super) fn run<T: DeserializeOwned>(
        &mut self,
        check: &mut dyn FnMut(&T) -> Result<(), Unfit>,
    ) -> Result<(), Unfit> {
        let (mut made, mut refusal) = (0_u32, None);
        // How many runs there were since the last one that showed anything.
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
            if made >= MODES && idle >= MODES as usize && self.variants.values().flatten().all(Seen::is_done) {
                break;
            }
        }
        let given_up = |seen: &Seen| !seen.missing && seen.cost.is_none();
        if made == 0 || self.variants.values().flatten().any(given_up) {
            self.untried = refusal;
        }
        Ok(())
    }

    fn once<T: DeserializeOwned>(&mut self) -> (Result<T, Stop>, String) {
        self.path.clear();
        self.inside.clear();
        self.answers = 0;
        let mut root = std::mem::replace(&mut self.root, Form::Unknown);
        let shared = RefCell::new(std::mem::replace(self, Self::new(self.human_readable)));
        let outcome = T::deserialize(Source { tracer: &shared, form: &mut root });
        *self = shared.into_inner();
        self.root = root;
        (outcome, self.path.join("."))
    }

    /// A number that grows with everything that is seen for the first time.
    fn progress(&self) -> u32 {
        self.variants.values().flatten().map(|seen| seen.modes.count_ones() + u32::from(seen.missing)).sum()
    }

    fn mode(&self) -> u8 {
        1 << (self.run % MODES)
    }

    /// The index of the variant of an enum that comes next: one that was not seen with this combination yet. If the enum is inside
    /// of itself, it is the variant with the smallest answers.
    fn pick(&self, key: &str, count: usize) -> usize {
        let seen = self.variants.get(key).map(Vec::as_slice).unwrap_or_default();
        let turn = self.run as usize / MODES as usize;
        let nested = self.inside.iter().filter(|name| *name == key).count() > 1;
        let smallest = seen.iter().enumerate().filter_map(|(index, seen)| Some((seen.cost?, index))).min();
        if let Some((_, index)) = smallest.filter(|_| nested || self.answers > ANSWERS_FULL) {
            return index;
        }
        let open = |seen: &Seen| !seen.is_done() && seen.modes & self.mode() == 0;
        let open: Vec<usize> = (0..count).filter(|index| seen.get(*index).is_none_or(open)).collect();
        match open.len() {
            _ if nested => (turn + self.run as usize + self.inside.len()) % count,
            0 => smallest.map_or(turn % count, |(_, index)| index),
            // A variant that fails must not keep the others waiting.
            many => open[turn % many],
        }
    }
}

/// Answers the questions of one value, and writes its form down.
struct Source<'a> {
    tracer: &'a RefCell<Tracer>,
    form: &'a mut Form,
}

type Shared<'a> = &'a RefCell<Tracer>;

/// Writes `form` down if nothing is known yet.
fn note(place: &mut Form, form: Form) {
    if *place == Form::Unknown {
        *place = form;
    }
}

impl<'a> Source<'a> {
    /// Whether to give a large answer, which bit `bit` of the number of the run decides.
    fn much(&self, bit: u32) -> bool {
        let mut tracer = self.tracer.borrow_mut();
        tracer.answers += 1;
        let nesting = tracer.inside.last().map_or(0, |own| tracer.inside.iter().filter(|key| *key == own).count());
        let alternate = tracer.run & 4 != 0 && tracer.path.len() % 2 == 1;
        let little = (tracer.run & bit != 0) != alternate;
        nesting <= NESTING_FULL && tracer.answers < ANSWERS_FULL && !little
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
        // Both zero and one are tried: zero is the value that is left out most often, and some types refuse it.
        u8::from(self.much(OPTIONS))
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

/// Runs `body` inside of the type `key`. `body` gets what is known of the type, and adds to it.
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
    // The type may contain itself, and may have been seen there.
    match tracer.types.get_mut(key) {
        Some(composite) => merge(&mut composite.body, known),
        None => {
            tracer.types.insert(key.into(), Composite { name: name.into(), body: known });
        }
    }
    outcome
}

/// Adds what `seen` knows to `known`.
fn merge(known: &mut Body, seen: Body) {
    match (known, seen) {
        (known @ Body::Unknown, seen) => *known = seen,
        (Body::Newtype(known), Body::Newtype(seen)) => merge_form(known, seen),
        (Body::Tuple(known), Body::Tuple(seen)) => {
            known.iter_mut().zip(seen).for_each(|(known, seen)| merge_form(known, seen));
        }
        (Body::Fields(known), Body::Fields(seen)) => {
            known.iter_mut().zip(seen).for_each(|((_, known), (_, seen))| merge_form(known, seen));
        }
        (Body::Variants(known), Body::Variants(seen)) => {
            known.iter_mut().zip(seen).for_each(|((_, known), (_, seen))| merge(known, seen));
        }
        _ => {}
    }
}

fn merge_form(known: &mut Form, seen: Form) {
    match (known, seen) {
        (known @ Form::Unknown, seen) => *known = seen,
        (Form::Option(known), Form::Option(seen)) | (Form::Seq(known), Form::Seq(seen)) => merge_form(known, *seen),
        (Form::Map(key, value), Form::Map(seen_key, seen_value)) => {
            merge_form(key, *seen_key);
            merge_form(value, *seen_value);
        }
        (Form::Tuple(known), Form::Tuple(seen)) => {
            known.iter_mut().zip(seen).for_each(|(known, seen)| merge_form(known, seen));
        }
        _ => {}
    }
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
        // In a format whose values describe themselves, `null` is a value.
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
        visitor.visit_f32(if self.much(OPTIONS) { 0.5 } else { 0.0 })
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Float(64));
        visitor.visit_f64(if self.much(OPTIONS) { 0.5 } else { 0.0 })
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::Char);
        visitor.visit_char(if self.much(OPTIONS) { 'a' } else { '\0' })
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        note(self.form, Form::String);
        let key = type_name::<V::Value>();
        let index = {
            let tracer = self.tracer.borrow();
            let start = tracer.texts.get(key).copied().unwrap_or(0);
            // A type that is made of text may refuse the text only afterwards, so each run tries another one.
            (start + tracer.run as usize) % TEXTS.len()
        };
        let outcome = visitor.visit_str(TEXTS[index]);
        if outcome.is_ok() && key != type_name::<String>() {
            // From now on, the type gets the text that it accepted.
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
        visitor.visit_byte_buf(vec![1; usize::from(self.much(SEQUENCES))])
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
        let key = type_name::<V::Value>();
        composite(self.tracer, self.form, (key, name), |body| {
            let mut known = fields(body, names);
            let mut left = known.iter_mut();
            let outcome = visitor.visit_seq(Fields { tracer: self.tracer, left: &mut left });
            let asked = names.len() - left.len();
            if outcome.is_ok() {
                self.tracer.borrow_mut().asked.insert(key.into(), asked);
            }
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
            let (index, before) = {
                let mut tracer = self.tracer.borrow_mut();
                tracer.variants.entry(key.into()).or_insert_with(|| vec![Seen::default(); names.len()]);
                tracer.answers += 1;
                (tracer.pick(key, names.len()), tracer.answers)
            };
            let mut exists = true;
            let (own, known) = (&mut variants[index].1, &mut exists);
            let variant = Variant { tracer: self.tracer, index, name: names[index], body: own, exists: known };
            let outcome = visitor.visit_enum(variant);
            let mut tracer = self.tracer.borrow_mut();
            let (cost, mode) = (tracer.answers - before, tracer.mode());
            if let Some(seen) = tracer.variants.get_mut(key).and_then(|seen| seen.get_mut(index)) {
                seen.missing |= !exists;
                if outcome.is_ok() {
                    seen.modes |= mode;
                    seen.failures = 0;
                    seen.cost = Some(seen.cost.map_or(cost, |known| known.min(cost)));
                } else {
                    seen.failures += 1;
                }
            }
            drop(tracer);
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
    /// Cleared if the enum does not know the index.
    exists: &'a mut bool,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Stop;
    type Variant = Variant<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Stop> {
        let index = u32::try_from(self.index).unwrap_or(u32::MAX);
        let deserializer: de::value::U32Deserializer<Stop> = index.into_deserializer();
        match seed.deserialize(deserializer) {
            Ok(value) => Ok((value, self)),
            Err(stop) => {
                *self.exists = false;
                Err(stop)
            }
        }
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
