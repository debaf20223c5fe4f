//! A Worker: its modules, what it binds, and the Durable Object classes that it hosts. All of it goes up in one call.

use super::{
    Files,
    assets::{self, Asset},
    beside::{alike, gone, props_of, unreadable},
    form::Form,
    skew,
};
use crate::{ApiFailure, Client, client::Body};
use realgar_engine::{
    Break, Change, Data, Facts, Failure, FailureKind, Found, Fqn, Kind, Name, NameRule, OUTPUT, Output, Recorded,
    Recovery, Row, Stack, Wanted,
};
use realgar_wire::{Contracts, ModuleKind, limits::SCRIPT_NAME_LENGTH_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

pub(crate) const SCRIPT: &str = "worker";
/// The state of a class that another Worker is about to give away to this one.
const EXPECTING: &str = "expecting-transfer";
/// What a binding of a secret has in the place of its value.
pub(crate) const FINGERPRINT: &str = "fingerprint";

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
    /// The Workers that classes come from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) transfers: BTreeMap<String, Output<String>>,
    /// The static files, by path. `None` for a Worker that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assets: Option<BTreeMap<String, Asset>>,
    /// How it runs, as Cloudflare's API has it: `limits`, `logpush`, `observability`, `placement`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) settings: Map<String, Value>,
    /// The contracts of its methods, and of those that it calls.
    #[serde(default, skip_serializing_if = "Contracts::is_empty")]
    pub(crate) contracts: Contracts,
}

impl ScriptProps {
    /// The classes that it hosts, or is to get.
    fn live(&self) -> impl Iterator<Item = &str> {
        let is_live = |state: Option<&Value>| state.is_none_or(|state| state == EXPECTING);
        self.exports.iter().filter(move |(_, entry)| is_live(entry.get("state"))).map(|(class, _)| class.as_str())
    }
}

/// Whether a row is that of a Worker in JavaScript: such a one has no contracts.
#[must_use]
pub fn is_plain_worker(row: &Row) -> bool {
    row.kind == SCRIPT && row.possible_props().all(|props| props["contracts"]["offers"].is_null())
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
    /// What tells its code from other code.
    pub(crate) etag: String,
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

    /// Whether a script with these settings says that it is the Worker `fqn` of this stack.
    fn is_marked(&self, settings: &Value, fqn: &Fqn) -> bool {
        let mark = self.mark(fqn);
        settings["tags"].as_array().into_iter().flatten().any(|tag| *tag == mark)
    }

    /// The tags that a script is to have: those that it has, and ours if we made it.
    fn tags(&self, there: &There<'_>, fqn: &Fqn) -> Value {
        let mut tags = there.settings["tags"].as_array().cloned().unwrap_or_default();
        if !there.adopted && !self.is_marked(&there.settings, fqn) {
            tags.push(self.mark(fqn).into());
        }
        tags.into()
    }

    /// Uploads the script.
    fn upload(&self, fqn: &Fqn, name: &str, there: &There<'_>, props: &ScriptProps) -> Result<Found<Script>, Failure> {
        self.check_transfers(name, props)?;
        let mut metadata = json!({
            "main_module": props.main_module, "bindings": self.bindings(there, props), "exports": props.exports,
            "compatibility_date": props.compatibility_date, "compatibility_flags": props.compatibility_flags,
            // What stays is said binding by binding.
            "keep_bindings": [], "tags": self.tags(there, fqn),
        });
        // What a program says nothing about stays. An upload without these would take them away.
        let was_ours = |key: &str| there.known.iter().any(|known| known.settings.contains_key(key));
        for (key, value) in kept(&there.settings).filter(|(key, _)| !was_ours(key)) {
            metadata[key] = value;
        }
        for (key, value) in &props.settings {
            metadata[key.as_str()] = value.clone();
        }
        if let Some(files) = &props.assets {
            let token = assets::upload(&self.client, name, files, self.files.assets(fqn)?)?;
            metadata["assets"] = json!({ "jwt": token, "config": {} });
        }
        let mut answer = self.put(fqn, name, &metadata, props);
        // Such a class is here already, or no version before this one had it: then it is a class like others.
        let in_vain = answer.as_ref().err().and_then(expected_in_vain);
        if let Some(classes) = in_vain {
            metadata["exports"] = json!(without_expecting(&props.exports, &classes));
            answer = self.put(fqn, name, &metadata, props);
        }
        let script = script(name, &answer?)?;
        // The upload took effect, so what fails from here on is no refusal.
        let settings = self.client.get_made(&settings_path(name)).map_err(Failure::from);
        let settings = settings.map_err(|failure| Failure { kind: FailureKind::Unanswered, ..failure })?;
        let effective = effective(&settings, props, &script);
        Ok(Found::new(script, effective, true))
    }

    /// Sends an upload.
    fn put(&self, fqn: &Fqn, name: &str, metadata: &Value, props: &ScriptProps) -> Result<Value, Put> {
        let mut form = Form::new();
        form.part("metadata", None, "application/json", metadata.to_string().as_bytes());
        self.add_modules(&mut form, fqn, props).map_err(Put::Files)?;
        let path = format!("/workers/scripts/{name}?excludeScript=true&bindings_inherit=strict");
        let (kind, body) = form.end();
        self.client.change("PUT", &path, &Body::Bytes(kind, body)).map_err(Put::Api)
    }

    /// Refuses an upload with a class that the Worker is to have from another one, which has not given it away. It would make an empty
    /// class beside the one with the data.
    fn check_transfers(&self, name: &str, props: &ScriptProps) -> Result<(), Failure> {
        if props.transfers.is_empty() {
            return Ok(());
        }
        let namespaces = self.client.list("/workers/durable_objects/namespaces", None, 1000)?;
        let has = |script: &str, class: &str| {
            namespaces.iter().any(|namespace| namespace["script"] == script && namespace["class"] == class)
        };
        for (class, from) in &props.transfers {
            let from = from.known().map_err(|error| Failure::new(FailureKind::Unreadable, error.to_string()))?;
            if has(from, class) && !has(name, class) {
                let text =
                    format!("the Worker `{from}` still has the class `{class}`, which `{name}` is to get from it");
                // It may have been given away a moment ago.
                return Err(Failure::new(FailureKind::Unseen, text));
            }
        }
        Ok(())
    }

    fn add_modules(&self, form: &mut Form, fqn: &Fqn, props: &ScriptProps) -> Result<(), Failure> {
        let refused = |message: String| Failure::new(FailureKind::Refused, message);
        let folder = self.files.folder(fqn)?;
        for (module, Module { kind, sha256 }) in &props.modules {
            let path = folder.join(module);
            let content =
                fs::read(&path).map_err(|error| refused(format!("cannot read `{}`: {error}", path.display())))?;
            if digest(&content) != *sha256 {
                return Err(refused(format!("`{}` has changed since the plan was made", path.display())));
            }
            form.part(module, Some(module), content_type(*kind), &content);
        }
        Ok(())
    }

    /// Changes what a script is bound to, and leaves its code as it is.
    fn bind(&self, recorded: &Recorded<ScriptProps, Script>, props: &ScriptProps) -> Result<Found<Script>, Failure> {
        let script = &recorded.attributes;
        let there = self.there(recorded)?;
        let settings = json!({
            "bindings": self.bindings(&there, props),
            "compatibility_date": props.compatibility_date, "compatibility_flags": props.compatibility_flags,
            "tags": self.tags(&there, &recorded.fqn),
        });
        let mut form = Form::new();
        form.part("settings", None, "application/json", settings.to_string().as_bytes());
        let (kind, body) = form.end();
        let path = format!("/workers/scripts/{}/settings", script.name);
        let answer = self.client.change("PATCH", &path, &Body::Bytes(kind, body))?;
        Ok(Found::new(script.clone(), effective(&answer, props, script), true))
    }

    /// The bindings as Cloudflare takes them: with the values of secrets, and with what somebody else has bound, which stays.
    fn bindings(&self, there: &There<'_>, props: &ScriptProps) -> Vec<Map<String, Value>> {
        let inherit = |name: &Value| {
            [("type".to_string(), "inherit".into()), ("name".to_string(), name.clone())]
                .into_iter()
                .collect::<Map<_, _>>()
        };
        let with_value = |binding: &Map<String, Value>| {
            let mut binding = binding.clone();
            let Some(fingerprint) = binding.remove(FINGERPRINT) else { return binding };
            let value = fingerprint.as_str().and_then(|fingerprint| self.files.secrets.get(fingerprint));
            match value {
                Some(value) => drop(binding.insert("text".into(), value.expose().into())),
                // A secret whose value is not here stays what it is.
                None => return inherit(&binding["name"]),
            }
            binding
        };
        let own = props.bindings.iter().map(with_value);
        let known: Vec<&ScriptProps> = there.known.iter().copied().chain([props]).collect();
        let foreign = foreign(&there.settings, &known);
        own.chain(foreign.iter().map(|binding| inherit(&binding["name"]))).collect()
    }

    /// The script that `recorded` is about.
    fn there<'a>(&self, recorded: &'a Recorded<ScriptProps, Script>) -> Result<There<'a>, Failure> {
        let known = [&recorded.props].into_iter().chain(&recorded.pending).collect();
        Ok(There { settings: self.settings(&recorded.attributes.name)?, known, adopted: recorded.adopted })
    }

    fn settings(&self, name: &str) -> Result<Value, Failure> {
        Ok(self.client.get(&settings_path(name))?)
    }

    /// Whether the files are here with which `props` can be uploaded. To delete a Worker, none are needed.
    fn has_files(&self, fqn: &Fqn) -> bool {
        self.files.folder(fqn).is_ok()
    }
}

/// Why an upload was not sent, or not taken.
enum Put {
    Files(Failure),
    Api(ApiFailure),
}

impl From<Put> for Failure {
    fn from(put: Put) -> Self {
        match put {
            Put::Files(failure) => failure,
            Put::Api(failure) => failure.into(),
        }
    }
}

/// The classes because of which an upload was refused, if that is only because nobody is to give them away.
fn expected_in_vain(refusal: &Put) -> Option<BTreeSet<String>> {
    let Put::Api(ApiFailure { scenarios, .. }) = refusal else { return None };
    let in_vain = [
        "phase_one_transfer_source_missing",
        "phase_one_transfer_source_namespace_missing",
        "phase_one_transfer_target_class_provisioned",
    ];
    let is_in_vain = |(_, scenario): &(String, String)| in_vain.contains(&scenario.as_str());
    let all = !scenarios.is_empty() && scenarios.iter().all(is_in_vain);
    all.then(|| scenarios.iter().map(|(class, _)| class.clone()).collect())
}

/// The classes as they go up, with `classes` as if they were new. The others are still expected.
fn without_expecting(
    exports: &BTreeMap<String, Map<String, Value>>,
    classes: &BTreeSet<String>,
) -> BTreeMap<String, Map<String, Value>> {
    let mut exports = exports.clone();
    for (_, entry) in exports.iter_mut().filter(|(class, _)| classes.contains(*class)) {
        entry.retain(|field, _| field != "state" && field != "transfer_from");
    }
    exports
}

/// A script as it is, before a call changes it.
#[derive(Default)]
struct There<'a> {
    /// Its settings. Null if it does not exist.
    settings: Value,
    /// What earlier calls of ours have said of it.
    known: Vec<&'a ScriptProps>,
    /// Whether somebody else made it.
    adopted: bool,
}

fn settings_path(name: &str) -> String {
    format!("/workers/scripts/{name}/settings")
}

/// What a program says nothing about, and an upload has to repeat.
fn kept(settings: &Value) -> impl Iterator<Item = (&'static str, Value)> + '_ {
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    // What Cloudflare tells of its own doing cannot be sent back.
    let sent = |key, mut value: Value| {
        if let ("placement", Some(fields)) = (key, value.as_object_mut()) {
            fields.retain(|field, _| ["mode", "hint", "region", "host", "hostname"].contains(&field.as_str()));
        }
        (key, value)
    };
    ["observability", "placement", "limits", "tail_consumers", "logpush"]
        .into_iter()
        .filter_map(move |key| Some(sent(key, settings.get(key).filter(|value| is_set(value))?.clone())))
}

/// What an answer says about a script.
fn script(name: &str, answer: &Value) -> Result<Script, Failure> {
    let text = |key: &str| answer[key].as_str().map(str::to_string);
    let malformed = || unreadable(&format!("the Worker `{name}`"), answer);
    Ok(Script { name: name.into(), tag: text("tag").ok_or_else(malformed)?, etag: text("etag").ok_or_else(malformed)? })
}

/// The bindings in `settings` that none of `known` has.
fn foreign<'a>(settings: &'a Value, known: &[&ScriptProps]) -> Vec<&'a Value> {
    let is_known =
        |name: &Value| known.iter().any(|props| props.bindings.iter().any(|own| own.get("name") == Some(name)));
    settings["bindings"].as_array().into_iter().flatten().filter(|binding| !is_known(&binding["name"])).collect()
}

/// The part of `settings` that `props` says something about, in one form for all answers that mean the same.
fn effective(settings: &Value, props: &ScriptProps, script: &Script) -> Data {
    let there: BTreeMap<&str, &Value> = settings["bindings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|binding| Some((binding["name"].as_str()?, binding)))
        .collect();
    let bindings = props.bindings.iter().filter_map(|declared| {
        let there = there.get(declared.get("name")?.as_str()?)?;
        let own = declared.iter().filter_map(|(key, own)| {
            // What a user writes as JSON is compared as it is.
            let there = there.get(key)?;
            Some((key.clone(), if key == "json" { there.clone() } else { alike(own, there) }))
        });
        Some(Value::Object(own.collect()))
    });
    let flags = settings["compatibility_flags"].as_array().into_iter().flatten();
    let flags: BTreeSet<&str> = flags.filter_map(Value::as_str).collect();
    let mut effective = json!({
        "bindings": bindings.collect::<Vec<_>>(), "compatibility_date": settings["compatibility_date"], "compatibility_flags": flags,
        "code": script.etag,
    });
    if !props.settings.is_empty() {
        let own = props.settings.iter().map(|(key, own)| (key.clone(), alike(own, &settings[key])));
        effective["settings"] = Value::Object(own.collect());
    }
    effective
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
            side_by_side: true,
            stable: &["name", "tag"],
            holds_data: |props: &Data| {
                let exports = props["exports"].as_object().into_iter().flatten();
                exports.into_iter().any(|(_, entry)| entry["state"].is_null() || entry["state"] == EXPECTING)
            },
            dies_with_parent: false,
            restarts: true,
            has_users: true,
            is_shared: false,
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
            let script = script(name, there)?;
            let ours = match &wanted.attributes {
                Some(known) => known.tag == script.tag,
                None => wanted.adopted || self.is_marked(there, &wanted.fqn),
            };
            let Some(props) = &wanted.props else { return Ok(Some(Found::new(script, Data::Null, ours))) };
            let settings = self.settings(name)?;
            let foreign = foreign(&settings, &[props]).into_iter().map(|binding| {
                let text = |key: &str| binding[key].as_str().unwrap_or_default();
                format!("`{}` ({}) was bound by somebody else, and stays", text("name"), text("type"))
            });
            let (notes, effective) = (foreign.collect(), effective(&settings, props, &script));
            Ok(Some(Found { attributes: script, effective, ours, notes }))
        };
        wanted.iter().map(find).collect()
    }

    fn create(&self, wanted: &Wanted<ScriptProps, Script>) -> Result<Found<Script>, Failure> {
        let props = props_of(&wanted.fqn, wanted.props.as_ref())?;
        let name = &wanted.name.text;
        // An upload takes the place of whatever has the name.
        let there = match self.client.get(&settings_path(name)) {
            Ok(settings) if self.is_marked(&settings, &wanted.fqn) => There { settings, ..There::default() },
            Ok(_) => {
                let text = format!("a Worker called `{name}` appeared since the plan was made");
                return Err(Failure::new(FailureKind::Refused, text));
            }
            Err(failure) if failure.status == 404 => There::default(),
            Err(failure) => return Err(failure.into()),
        };
        self.upload(&wanted.fqn, name, &there, props)
    }

    fn update(&self, recorded: &Recorded<ScriptProps, Script>, props: &ScriptProps) -> Result<Found<Script>, Failure> {
        let old = &recorded.props;
        let same_code = old.modules == props.modules && old.main_module == props.main_module;
        let same_rest = old.exports == props.exports && old.assets == props.assets && old.settings == props.settings;
        let is_bound_only = recorded.intact && same_code && same_rest;
        if is_bound_only || !self.has_files(&recorded.fqn) {
            return self.bind(recorded, props);
        }
        self.upload(&recorded.fqn, &recorded.name.text, &self.there(recorded)?, props)
    }

    fn refusal(&self, old: &ScriptProps, new: &ScriptProps, _effective: Option<&Data>) -> Option<String> {
        // One that is only expected was never here.
        let had = |class: &&str| !old.exports[*class].contains_key("state");
        let gone = old.live().filter(had).find(|class| !new.exports.contains_key(*class))?;
        Some(format!(
            "the Worker no longer hosts the class `{gone}`, and does not say what became of it; a class name is the home of its \
             objects' data, so say in `#[worker(..)]`: `renamed({gone} = NewName)`, `transferred_to({gone} = \"script\")`, or \
             `deleted({gone})`, which deletes that data (a plain Worker says it in `[exports.{gone}]` of its `wrangler.toml`, with a `state`)"
        ))
    }

    fn loses_data(&self, old: Option<&ScriptProps>, new: &ScriptProps) -> bool {
        let deletes =
            |class: &str| new.exports.get(class).is_some_and(|entry| entry.get("state") == Some(&"deleted".into()));
        match old {
            Some(old) => old.live().any(deletes),
            // Nobody knows which classes it had, so each statement counts.
            None => new.exports.keys().any(|class| deletes(class)),
        }
    }

    fn breaks(&self, of: &Change<'_, ScriptProps>, user: &Change<'_, ScriptProps>) -> Vec<Break> {
        skew::breaks(of, user)
    }

    fn without(&self, props: &Data, others: &BTreeMap<Fqn, Name>) -> Option<Data> {
        let other = |value: &Value| {
            let is_it = |(fqn, name): &(&Fqn, &Name)| *value == name.text || value[OUTPUT]["of"] == fqn.as_str();
            others.iter().find(is_it).map(|(_, name)| name.text.clone())
        };
        let mut props = props.clone();
        let gives = |entry: &Value| other(&entry["transferred_to"]).is_some();
        if props["exports"].as_object()?.values().any(gives) {
            return None;
        }
        let mut expected = BTreeSet::new();
        // A Worker that gets no class has no such property.
        let transfers = props["transfers"].as_object().cloned().unwrap_or_default();
        for (class, from) in transfers.iter().filter_map(|(class, from)| Some((class, other(from)?))) {
            props["transfers"].as_object_mut()?.remove(class);
            let entry = props["exports"].get_mut(class)?.as_object_mut()?;
            entry.extend([("state".into(), EXPECTING.into()), ("transfer_from".into(), from.into())]);
            expected.insert(class.clone());
        }
        // There is nothing to bind as long as a class is only expected.
        let is_expected = |binding: &Value| {
            let class = binding["class_name"].as_str().filter(|_| binding["script_name"].is_null());
            class.is_some_and(|class| expected.contains(class))
        };
        props["bindings"].as_array_mut()?.retain(|binding| {
            other(&binding["script_name"]).is_none() && other(&binding["service"]).is_none() && !is_expected(binding)
        });
        Some(props)
    }

    fn hands_over(&self, giver: &Change<'_, ScriptProps>, taker: &ScriptProps) -> bool {
        let is_giver = |from: &Output<String>| match from {
            Output::Known(name) => *name == giver.name.text,
            Output::Of(reference) => reference.of == *giver.fqn,
        };
        let gone = |class: &str| taker.transfers.get(class).is_some_and(is_giver);
        giver.old.is_some_and(|old| old.live().any(gone))
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
        let script = Script { name: "a".into(), tag: "t".into(), etag: "e".into() };
        assert_eq!(effective(&one, &props(), &script), effective(&other, &props(), &script));
        let changed =
            json!({ "bindings": [{ "name": "DB", "type": "d1", "id": "2" }], "compatibility_date": "2026-04-21" });
        assert_ne!(effective(&one, &props(), &script), effective(&changed, &props(), &script));
        assert_eq!(foreign(&one, &[&props()]).len(), 1);
    }
}
