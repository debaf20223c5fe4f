//! Checks a set of scripts before workerd sees them.

use crate::{EdgeError, Script};
use realgar_wire::{Target, names};
use std::collections::BTreeMap;

/// Checks that every script has a legal name, and that no two scripts have the same name.
pub(crate) fn script_names(scripts: &[Script]) -> Result<(), EdgeError> {
    for (index, script) in scripts.iter().enumerate() {
        let name = script.name();
        if scripts[..index].iter().any(|other| other.name() == name) {
            return Err(EdgeError::DuplicateScript { name: name.into() });
        }
        if !names::is_any_script_name(name) {
            return Err(EdgeError::BadScriptName { name: name.into() });
        }
    }
    Ok(())
}

/// Checks that every binding leads to something that exists, and that no queue has two consumers. The runtime itself would only
/// complain.
pub(crate) fn bindings(scripts: &[Script]) -> Result<(), EdgeError> {
    let mut consumers: BTreeMap<&str, &str> = BTreeMap::new();
    for script in scripts {
        for consumer in &script.manifest.consumers {
            if let Some(other) = consumers.insert(&consumer.queue, script.name()) {
                let (queue, first, second) = (consumer.queue.clone(), other.into(), script.name().into());
                return Err(EdgeError::TwoConsumers { queue, first, second });
            }
        }
        for binding in &script.manifest.bindings {
            let Some(Target { script: target, class, entrypoint }) = binding.kind.target() else { continue };
            let target = target.unwrap_or(script.name());
            let unbound = |reason: String| EdgeError::Unbound {
                script: script.name().into(),
                binding: binding.name.clone(),
                reason,
            };
            let Some(host) = scripts.iter().find(|other| other.name() == target) else {
                let (script, binding) = (script.name().into(), binding.name.clone());
                let names: Vec<String> = scripts.iter().map(|own| format!("`{}`", own.name())).collect();
                return Err(EdgeError::NoTarget { script, binding, target: target.into(), here: names.join(", ") });
            };
            if let Some(class) = class
                && !host.manifest.objects.iter().any(|object| object.class == class)
            {
                return Err(unbound(format!("the Worker `{target}` has no class `{class}`")));
            }
            // The manifest of a plain JavaScript Worker does not list its exports.
            if let Some(class) = entrypoint
                && host.manifest.worker.class != "default"
                && !host.manifest.entrypoints.iter().any(|entrypoint| entrypoint.class == class)
            {
                return Err(unbound(format!("the Worker `{target}` has no entrypoint `{class}`")));
            }
        }
    }
    Ok(())
}
