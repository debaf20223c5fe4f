//! A Worker: its modules, what it binds, and the Durable Object classes that it hosts. All of it goes up in one call.

use super::{
    Files,
    assets::{self, Asset},
    beside::{gone, props_of, unreadable},
    form::Form,
};
use crate::{Client, client::Body};
use realgar_engine::{
    Data, Facts, Failure, FailureKind, Found, Fqn, Kind, Name, NameRule, OUTPUT, Recorded, Recovery, Stack, Wanted,
};
use realgar_wire::{ModuleKind, limits::SCRIPT_NAME_LENGTH_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

pub(crate) const SCRIPT: &str = "worker";

/// What a program says about a Worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptProps {
    /// The compatibility date.
    pub(crate) compatibility_date: String,
    /// The compatibility flags.
    pub(crate) compatibility_flags: Vec<String>,
    /// The module that the runtime loads first.
    pub(crate) main_module: String,
    /// The modules, by name.
    pub(crate) modules: BTreeMap<String, Module>,
    /// The bindings, as Cloudflare's API has them, in the order of their names.
    pub(crate) bindings: Vec<Map<String, Value>>,
    /// The classes, and what became of earlier ones, as Cloudflare's `exports` has them.
    pub(crate) exports: BTreeMap<String, Map<String, Value>>,
    /// The static files, by path. `None` for a Worker that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assets: Option<BTreeMap<String, Asset>>,
}

impl ScriptProps {
    /// The classes that it hosts.
    fn live(&self) -> impl Iterator<Item = &str> {
        self.exports.iter().filter(|(_, entry)| !entry.contains_key("state")).map(|(class, _)| class.as_str())
    }
}

/// A module. Its content is in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Module {
    /// How the runtime reads it.
    pub(crate) kind: ModuleKind,
    /// The SHA-256 of its content.
    pub(crate) sha256: String,
}

/// What becomes known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// The name, which bindings of others say.
    pub(crate) name: String,
    /// The id that stays when the Worker is renamed.
    pub(crate) tag: String,
}

/// The kind.
#[derive(Debug)]
pub(super) struct Scripts {
    client: Client,
    stack: Stack,
    files: Files,
}

impl Scripts {
    pub(super) fn new(client: Client, stack: Stack, files: Files) -> Self {
        Self { client, stack, files }
    }

    /// The tag with which a script says that it is the Worker `fqn` of this stack.
    fn mark(&self, fqn: &Fqn) -> String {
        format!("realgar:{}/{fqn}", self.stack)
    }

    fn upload(&self, fqn: &Fqn, name: &str, props: &ScriptProps) -> Result<Found<Script>, Failure> {
        let refused = |message: String| Failure::new(FailureKind::Refused, message);
        let folder = self.files.folder(fqn)?;
        let mut metadata = json!({
            "main_module": props.main_module, "bindings": props.bindings, "exports": props.exports,
            "compatibility_date": props.compatibility_date, "compatibility_flags": props.compatibility_flags,
            "keep_bindings": ["secret_text", "secret_key"], "tags": [self.mark(fqn)],
        });
        if let Some(files) = &props.assets {
            let token = assets::upload(&self.client, name, files, self.files.assets(fqn)?)?;
            metadata["assets"] = json!({ "jwt": token, "config": {} });
        }
        let mut form = Form::new();
        form.part("metadata", None, "application/json", metadata.to_string().as_bytes());
        for (module, Module { kind, sha256 }) in &props.modules {
            let path = folder.join(module);
            let content =
                fs::read(&path).map_err(|error| refused(format!("cannot read `{}`: {error}", path.display())))?;
            if digest(&content) != *sha256 {
                return Err(refused(format!("`{}` has changed since the plan was made", path.display())));
            }
            form.part(module, Some(module), content_type(*kind), &content);
        }
        let path = format!("/workers/scripts/{name}?excludeScript=true&bindings_inherit=strict");
        let (kind, body) = form.end();
        let answer = self.client.change("PUT", &path, &Body::Bytes(kind, body))?;
        let tag = answer["tag"].as_str().map(str::to_string);
        let tag = tag.ok_or_else(|| unreadable(&format!("the upload of `{name}`"), &answer))?;
        let effective = self.effective(name, props)?;
        Ok(Found { attributes: Script { name: name.into(), tag }, effective, ours: true })
    }

    /// Changes what a script is bound to, and leaves its code as it is.
    fn bind(&self, fqn: &Fqn, script: &Script, props: &ScriptProps) -> Result<Found<Script>, Failure> {
        let settings = json!({
            "bindings": props.bindings, "compatibility_date": props.compatibility_date,
            "compatibility_flags": props.compatibility_flags, "tags": [self.mark(fqn)],
        });
        let mut form = Form::new();
        form.part("settings", None, "application/json", settings.to_string().as_bytes());
        let (kind, body) = form.end();
        let path = format!("/workers/scripts/{}/settings", script.name);
        let answer = self.client.change("PATCH", &path, &Body::Bytes(kind, body))?;
        Ok(Found { attributes: script.clone(), effective: effective(&answer, props), ours: true })
    }

    /// The settings of a script, as far as `props` says something about them.
    fn effective(&self, name: &str, props: &ScriptProps) -> Result<Data, Failure> {
        let settings = self.client.get(&format!("/workers/scripts/{name}/settings"))?;
        Ok(effective(&settings, props))
    }
}

/// The part of `settings` that `props` says something about, in one form for all answers that mean the same.
fn effective(settings: &Value, props: &ScriptProps) -> Data {
    let there: BTreeMap<&str, &Value> = settings["bindings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|binding| Some((binding["name"].as_str()?, binding)))
        .collect();
    let bindings = props.bindings.iter().filter_map(|declared| {
        let there = there.get(declared.get("name")?.as_str()?)?;
        let own = declared.keys().filter_map(|key| Some((key.clone(), there.get(key)?.clone())));
        Some(Value::Object(own.collect()))
    });
    let flags = settings["compatibility_flags"].as_array().into_iter().flatten();
    let flags: BTreeSet<&str> = flags.filter_map(Value::as_str).collect();
    json!({
        "bindings": bindings.collect::<Vec<_>>(), "compatibility_date": settings["compatibility_date"], "compatibility_flags": flags,
    })
}

fn content_type(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::EsModule => "application/javascript+module",
        ModuleKind::Wasm => "application/wasm",
        ModuleKind::Text => "text/plain",
        ModuleKind::Data => "application/octet-stream",
    }
}

pub(crate) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Kind for Scripts {
    type Props = ScriptProps;
    type Attributes = Script;

    fn name(&self) -> &'static str {
        SCRIPT
    }

    fn facts(&self) -> Facts {
        Facts {
            title: "Worker",
            rule: NameRule { length_max: SCRIPT_NAME_LENGTH_MAX, capitals: false, underscores: false },
            recovery: Recovery::Named,
            replacing: &[],
            stable: &["name", "tag"],
            holds_data: |props: &Data| {
                let exports = props["exports"].as_object().into_iter().flatten();
                exports.into_iter().any(|(_, entry)| entry["state"].is_null())
            },
            dies_with_parent: false,
            restarts: true,
        }
    }

    fn find(&self, wanted: &[Wanted<ScriptProps, Script>]) -> Result<Vec<Option<Found<Script>>>, Failure> {
        let mut scripts = BTreeMap::new();
        for entry in self.client.list("/workers/scripts", None, 1000)? {
            let name = entry["id"].as_str().ok_or_else(|| unreadable("a Worker", &entry))?;
            scripts.insert(name.to_string(), entry);
        }
        let find = |wanted: &Wanted<ScriptProps, Script>| {
            let name = &wanted.name.text;
            let Some(there) = scripts.get(name) else { return Ok(None) };
            let mark = self.mark(&wanted.fqn);
            let ours = there["tags"].as_array().into_iter().flatten().any(|tag| *tag == mark);
            let tag = there["tag"].as_str().ok_or_else(|| unreadable("a Worker", there))?.to_string();
            let effective = match &wanted.props {
                Some(props) => self.effective(name, props)?,
                None => Data::Null,
            };
            Ok(Some(Found { attributes: Script { name: name.clone(), tag }, effective, ours }))
        };
        wanted.iter().map(find).collect()
    }

    fn create(&self, wanted: &Wanted<ScriptProps, Script>) -> Result<Found<Script>, Failure> {
        let props = props_of(&wanted.fqn, wanted.props.as_ref())?;
        self.upload(&wanted.fqn, &wanted.name.text, props)
    }

    fn update(&self, recorded: &Recorded<ScriptProps, Script>, props: &ScriptProps) -> Result<Found<Script>, Failure> {
        let old = &recorded.props;
        let same_code = old.modules == props.modules && old.main_module == props.main_module;
        // After a drift the code may be another one, although the program has not changed.
        if same_code && old.exports == props.exports && old.assets == props.assets && old != props {
            return self.bind(&recorded.fqn, &recorded.attributes, props);
        }
        self.upload(&recorded.fqn, &recorded.name.text, props)
    }

    fn refusal(&self, old: &ScriptProps, new: &ScriptProps) -> Option<String> {
        let gone = old.live().find(|class| !new.exports.contains_key(*class))?;
        Some(format!(
            "the Worker no longer hosts the class `{gone}`, and does not say what became of it; a class name is the home of its \
             objects' data, so say in `#[worker(..)]`: `renamed({gone} = NewName)`, `transferred_to({gone} = \"script\")`, or \
             `deleted({gone})`, which deletes that data"
        ))
    }

    fn loses_data(&self, old: &ScriptProps, new: &ScriptProps) -> bool {
        old.live()
            .any(|class| new.exports.get(class).is_some_and(|entry| entry.get("state") == Some(&"deleted".into())))
    }

    fn without(&self, props: &Data, others: &BTreeMap<Fqn, Name>) -> Option<Data> {
        let is_other =
            |value: &Value| others.iter().any(|(fqn, name)| *value == name.text || value[OUTPUT]["of"] == fqn.as_str());
        let mut props = props.clone();
        props["bindings"]
            .as_array_mut()?
            .retain(|binding| !is_other(&binding["script_name"]) && !is_other(&binding["service"]));
        Some(props)
    }

    fn delete(&self, recorded: &Recorded<ScriptProps, Script>) -> Result<(), Failure> {
        let path = format!("/workers/scripts/{}?force=true", recorded.name);
        gone(self.client.change("DELETE", &path, &Body::Empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props() -> ScriptProps {
        serde_json::from_value(json!({
            "compatibility_date": "2026-04-21", "compatibility_flags": ["b", "a"], "main_module": "index.js", "modules": {},
            "bindings": [{ "name": "DB", "type": "d1", "id": "1" }], "exports": {},
        }))
        .unwrap()
    }

    #[test]
    fn what_somebody_else_bound_and_the_order_are_no_difference() {
        let one = json!({
            "bindings": [{ "name": "DB", "type": "d1", "id": "1", "database_id": "1" }, { "name": "X", "type": "ai" }],
            "compatibility_date": "2026-04-21", "compatibility_flags": ["a", "b"], "limits": null,
        });
        let other = json!({
            "bindings": [{ "name": "X", "type": "ai" }, { "id": "1", "type": "d1", "name": "DB" }],
            "compatibility_date": "2026-04-21", "compatibility_flags": ["b", "a"], "placement": {},
        });
        assert_eq!(effective(&one, &props()), effective(&other, &props()));
        let changed =
            json!({ "bindings": [{ "name": "DB", "type": "d1", "id": "2" }], "compatibility_date": "2026-04-21" });
        assert_ne!(effective(&one, &props()), effective(&changed, &props()));
    }
}
