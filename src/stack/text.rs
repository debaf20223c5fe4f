//! Plans as text.

use realgar_engine::{
    Action, Break, Data, Difference, Fqn, Kinds, Move, OUTPUT, Plan, PlannedBreak, Reason, Risk, Verb,
};
use std::fmt::Write;

/// The longest value that is shown, in characters.
const VALUE_MAX: usize = 60;

/// Shows `plan`: each resource with what belongs to it below.
pub(crate) fn plan(plan: &Plan, kinds: &Kinds, base: &str) -> String {
    let mut text = format!("{} at {base}\n", plan.stack);
    if !plan.observed {
        text.push_str("Cloudflare was not asked what is there.\n");
    }
    let all = plan.actions.len();
    for action in plan.actions.iter().filter(|action| action.verb == Verb::Keep && action.reason != Reason::Same) {
        let _ = writeln!(text, "  {}  {}, {}", action.fqn, action.kind, action.reason);
    }
    for action in plan.actions.iter().filter(|action| action.verb == Verb::Keep && !action.notes.is_empty()) {
        let _ = writeln!(text, "  {}: {}", action.fqn, action.notes.join("; "));
    }
    if plan.is_empty() {
        let _ = writeln!(text, "Nothing to do: {all} resources are as the program says.");
        return text;
    }
    text.push('\n');
    for Move { from, to } in &plan.moves {
        let _ = writeln!(text, "> {to}  was {from}; only the state changes");
    }
    let tops = plan
        .changes()
        .filter(|action| action.parent.as_ref().is_none_or(|parent| !plan.changes().any(|other| other.fqn == *parent)));
    for action in tops {
        resource(&mut text, action, kinds, "");
        // What belongs to it waits until it is whole.
        if action.step != 1 {
            continue;
        }
        for child in plan.changes().filter(|child| child.parent.as_ref() == Some(&action.fqn)) {
            resource(&mut text, child, kinds, "    ");
        }
    }
    if !plan.breaks.is_empty() {
        text.push_str("\nFor those who use what changes:\n");
    }
    for PlannedBreak { what: Break { what, outcome, fails }, .. } in &plan.breaks {
        let _ = writeln!(text, "  {} {what}: {outcome}", if *fails { "[outage]" } else { "-" });
    }
    if !plan.data_loss.is_empty() {
        let fqns: Vec<&str> = plan.data_loss.iter().map(Fqn::as_str).collect();
        let _ = writeln!(text, "\nData would be lost. `--allow-data-loss={}` allows that.", fqns.join(","));
    }
    let count = |verbs: &[Verb]| plan.changes().filter(|action| verbs.contains(&action.verb)).count();
    let counts = [
        (plan.moves.len(), "to move"),
        (count(&[Verb::Create]), "to create"),
        (count(&[Verb::Update, Verb::Note]), "to change"),
        (count(&[Verb::Adopt]), "to take over"),
        (count(&[Verb::Replace, Verb::Supersede]), "to replace"),
        (count(&[Verb::Delete, Verb::Discard]), "to delete"),
        (count(&[Verb::Forget]), "to forget"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let _ = writeln!(text, "\n{}, of {all} resources.", counts.join(", "));
    text
}

/// The sign in front of a resource.
pub(crate) fn sign(verb: Verb) -> char {
    match verb {
        Verb::Create => '+',
        Verb::Update | Verb::Note => '~',
        Verb::Adopt => '>',
        Verb::Replace | Verb::Supersede => '!',
        Verb::Delete | Verb::Discard => '-',
        Verb::Forget => 'x',
        Verb::Keep => ' ',
    }
}

fn resource(text: &mut String, action: &Action, kinds: &Kinds, indent: &str) {
    let title = kinds.get(&action.kind).map_or(action.kind.as_str(), |kind| kind.facts().title);
    let risk = if action.risk == Risk::None { String::new() } else { format!(" [{}]", action.risk) };
    let first = if action.step == 0 { ", for the moment without the others" } else { "" };
    let _ = writeln!(text, "{indent}{} {}  {title}, {}{first}{risk}", sign(action.verb), action.fqn, action.reason);
    if action.verb == Verb::Create && action.reason == Reason::New {
        for binding in action.props["bindings"].as_array().into_iter().flatten() {
            let name = binding["name"].as_str().unwrap_or_default();
            let kind = binding["type"].as_str().unwrap_or_default();
            let _ = writeln!(text, "{indent}    {name}: {kind}{}", target(binding));
        }
    }
    for note in &action.notes {
        let _ = writeln!(text, "{indent}    ({note})");
    }
    // What a contract means for others is said below, in words.
    let told = action.differences.iter().filter(|difference| !difference.path.starts_with("contracts."));
    for Difference { path, before, after } in told {
        let _ = writeln!(text, "{indent}    {path}: {} -> {}", value(before.as_ref()), value(after.as_ref()));
    }
}

/// What a binding leads to, as far as its properties say that.
fn target(binding: &Data) -> String {
    let properties = binding.as_object().into_iter().flatten();
    let told = properties.filter(|(key, _)| !matches!(key.as_str(), "name" | "type")).map(|(_, own)| value(Some(own)));
    let told: Vec<String> = told.collect();
    if told.is_empty() { String::new() } else { format!(" {}", told.join(" ")) }
}

/// A value as JSON, with words for what is not known yet. A text stands for itself.
fn shown(data: &Data) -> String {
    let inner = |data: &Data| if data.is_string() { data.to_string() } else { shown(data) };
    match data {
        Data::Object(fields) => {
            if let Some(reference) = fields.get(OUTPUT) {
                let part = |key: &str| reference[key].as_str().unwrap_or_default();
                return format!("({} of {}, known after it is made)", part("attribute"), part("of"));
            }
            let fields: Vec<String> = fields.iter().map(|(key, own)| format!("\"{key}\":{}", inner(own))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Data::Array(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(",")),
        Data::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn value(data: Option<&Data>) -> String {
    let Some(data) = data else { return "(absent)".into() };
    let text = shown(data);
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    let short: String = text.chars().take(VALUE_MAX - 3).collect();
    format!("{short}...")
}
