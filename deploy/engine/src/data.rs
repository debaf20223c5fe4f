//! The properties and attributes of resources as data: JSON, in which a property may stand for an attribute of another resource.
//!
//! Such a property is an object with the key `$output`. Whoever makes properties of what a user writes has to refuse that key.

use crate::Fqn;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Properties or attributes as JSON.
pub type Data = Value;

/// The key of an object that stands for an attribute of another resource.
pub const OUTPUT: &str = "$output";

/// A property of a resource: a value, or an attribute that another resource will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<T> {
    /// The value.
    Known(T),
    /// The attribute.
    Of(Reference),
}

/// An attribute of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The resource.
    pub of: Fqn,
    /// The name of the attribute.
    pub attribute: String,
}

impl<T> Output<T> {
    /// The value, once the engine has put it in. In properties that a kind's `create` or `update` gets, every output is known.
    ///
    /// # Errors
    /// When it stands for an attribute.
    pub fn known(&self) -> Result<&T, DataError> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Of(reference) => Err(DataError::Unknown(reference.clone())),
        }
    }
}

impl<T: Serialize> Serialize for Output<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Of(reference) => json!({ OUTPUT: reference }).serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Output<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = Data::deserialize(deserializer)?;
        match reference(&data).map_err(D::Error::custom)? {
            Some(reference) => Ok(Self::Of(reference)),
            None => serde_json::from_value(data).map(Self::Known).map_err(D::Error::custom),
        }
    }
}

/// Why data cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// What stands for an attribute cannot be read.
    #[error("`{0}` does not name an attribute of a resource")]
    Malformed(String),
    /// The attribute is not known yet.
    #[error("`{attribute}` of `{of}` is not known yet", attribute = .0.attribute, of = .0.of)]
    Unknown(Reference),
}

/// The attribute that `data` stands for, if it stands for one.
fn reference(data: &Data) -> Result<Option<Reference>, DataError> {
    let Some(inner) = data.as_object().and_then(|map| map.get(OUTPUT)) else { return Ok(None) };
    let malformed = |_| DataError::Malformed(inner.to_string());
    serde_json::from_value(inner.clone()).map(Some).map_err(malformed)
}

/// The attributes that stand somewhere in `data`.
pub(crate) fn references(data: &Data) -> Result<BTreeSet<Reference>, DataError> {
    let mut found = BTreeSet::new();
    collect(data, &mut found)?;
    Ok(found)
}

fn collect(data: &Data, found: &mut BTreeSet<Reference>) -> Result<(), DataError> {
    if let Some(reference) = reference(data)? {
        found.insert(reference);
        return Ok(());
    }
    match data {
        Value::Array(list) => list.iter().try_for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().try_for_each(|value| collect(value, found)),
        _ => Ok(()),
    }
}

/// `data` with the attributes that `find` knows in the places that stand for them.
pub(crate) fn resolve(data: &Data, find: &dyn Fn(&Reference) -> Option<Data>) -> Result<Data, DataError> {
    if let Some(reference) = reference(data)? {
        return Ok(find(&reference).unwrap_or_else(|| data.clone()));
    }
    Ok(match data {
        Value::Array(list) => list.iter().map(|item| resolve(item, find)).collect::<Result<_, _>>()?,
        Value::Object(map) => {
            let resolved = map.iter().map(|(key, value)| Ok((key.clone(), resolve(value, find)?)));
            Value::Object(resolved.collect::<Result<_, _>>()?)
        }
        other => other.clone(),
    })
}

/// The first attribute that `data` still stands for, if there is one.
pub(crate) fn unknown(data: &Data) -> Result<Option<Reference>, DataError> {
    references(data).map(|found| found.into_iter().next())
}

/// One difference between two versions of the properties of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The path of the property: names with `.` between them.
    pub path: String,
    /// What it was. `None` if it was absent.
    pub before: Option<Data>,
    /// What it will be. `None` if it will be absent.
    pub after: Option<Data>,
}

/// The differences between two versions, in the order of their paths. Lists are compared as a whole, unless their elements are
/// objects with a `name`: these are compared by it, so the order of bindings does not matter.
#[must_use]
pub fn changes(before: &Data, after: &Data) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(path: &str, before: Option<&Data>, after: Option<&Data>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let (mut old, mut new) = (before.and_then(members), after.and_then(members));
    // Beside a list whose elements have names, an empty one is a list of none of them.
    let is_empty = |data: Option<&Data>| data.is_some_and(|data| data.as_array().is_some_and(Vec::is_empty));
    match (&old, &new) {
        (Some(_), None) if is_empty(after) => new = Some(Map::new()),
        (None, Some(_)) if is_empty(before) => old = Some(Map::new()),
        _ => {}
    }
    let (Some(old), Some(new)) = (old, new) else {
        found.push(Difference { path: path.into(), before: before.cloned(), after: after.cloned() });
        return;
    };
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    for key in keys {
        let path = if path.is_empty() { key.into() } else { format!("{path}.{key}") };
        compare(&path, old.get(key), new.get(key), found);
    }
}

/// The members of an object, or of a list whose elements have names. An output has none: it stands for one value.
fn members(data: &Data) -> Option<Map<String, Value>> {
    match data {
        Value::Object(map) if !map.contains_key(OUTPUT) => Some(map.clone()),
        Value::Array(list) if !list.is_empty() => {
            let named = list.iter().map(|item| Some((item.get("name")?.as_str()?.to_string(), item.clone())));
            let members: Map<_, _> = named.collect::<Option<_>>()?;
            (members.len() == list.len()).then_some(members)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(of: &str) -> Output<String> {
        Output::Of(Reference { of: Fqn::new(of).unwrap(), attribute: "id".into() })
    }

    #[test]
    fn an_output_is_itself_in_json() {
        for output in [id_of("Events"), Output::Known("x".into())] {
            let json = serde_json::to_value(&output).unwrap();
            assert_eq!(serde_json::from_value::<Output<String>>(json).unwrap(), output);
        }
        for text in [r#"{"$output":1}"#, r#"{"$output":{"of":"a//b","attribute":"id"}}"#] {
            assert!(serde_json::from_str::<Output<String>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn known_attributes_take_their_places() {
        let data =
            json!({ "bindings": [{ "name": "DB", "id": id_of("Events") }, { "name": "KV", "id": id_of("Cache") }] });
        let resolved = resolve(&data, &|reference| (reference.of.as_str() == "Events").then(|| json!("1234"))).unwrap();
        assert_eq!(resolved["bindings"][0]["id"], "1234");
        assert_eq!(unknown(&resolved).unwrap().unwrap().of.as_str(), "Cache");
    }

    #[test]
    fn differences_are_those_of_properties_and_of_named_elements() {
        let before = json!({ "date": "1", "bindings": [{ "name": "A", "x": 1 }, { "name": "B" }], "flags": ["a"] });
        let after = json!({ "date": "1", "bindings": [{ "name": "B" }, { "name": "A", "x": 2 }], "flags": ["a", "b"] });
        let paths: Vec<String> = changes(&before, &after).into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["bindings.A.x", "flags"]);
        let none = json!({ "bindings": [] });
        assert_eq!(changes(&none, &json!({ "bindings": [{ "name": "A" }] }))[0].path, "bindings.A");
        let before = json!({ "id": id_of("Events") });
        assert_eq!(changes(&before, &json!({ "id": "1" }))[0].path, "id");
    }

    #[test]
    fn absent_and_empty_are_different() {
        let differences = changes(&json!({}), &json!({ "crons": [] }));
        assert_eq!(differences, [Difference { path: "crons".into(), before: None, after: Some(json!([])) }]);
    }
}
