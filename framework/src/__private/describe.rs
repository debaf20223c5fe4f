//! Describe mode: the Worker's self-description, as JSON in linear memory.
//!
//! Reachable from the describe exports only. The shipped module is linked from the same objects without those exports, so
//! nothing here, and nothing only this needs, is in it.

use super::{Contract, object::ObjectList};
use crate::{Declaration, Init, Worker, WorkerClass, init::Resource};
use realgar_wire::{Binding, BindingKind, Description, Interfaces};
use std::{any::type_name, cell::RefCell};

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The events of a Worker that the runtime would deliver to a method of that name. (What no class may use is refused by
/// `#[rpc]`.)
const EVENTS: [&str; 8] = ["scheduled", "queue", "email", "tail", "tailStream", "trace", "test", "trigger"];

/// Called by the code `export!` generates: runs Phase 1 of `W` and of the objects in `O`, and returns the address (upper half) and
/// length (lower half) of the description: `{"Ok":{..}}` or `{"Err":"message"}`.
pub fn describe<W: Worker, O: ObjectList>() -> u64 {
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    let outcome = collect::<W, O>();
    let json = serde_json::to_string(&outcome).unwrap_or_else(|error| format!("{{\"Err\":\"{error}\"}}"));
    leak(json)
}

/// Called by the code `#[rpc]` generates: the interface of `C`, in the same form.
pub fn describe_interface<C: Contract>() -> u64 {
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    leak(serde_json::to_string(&C::interface()).unwrap_or_else(|error| error.to_string()))
}

/// Called by the code `export!` generates: what [`describe`] panicked with, in the same form, as plain text.
pub fn describe_panic() -> u64 {
    leak(PANIC.take())
}

fn leak(text: String) -> u64 {
    let text = text.leak();
    ((text.as_ptr() as u64) << 32) | text.len() as u64
}

fn collect<W: Worker, O: ObjectList>() -> Result<Description, String> {
    let script = <W::Class as WorkerClass>::NAME;
    let mut description = Description {
        worker: realgar_wire::WorkerClass {
            class: <W::Class as WorkerClass>::CLASS.into(),
            script: script.into(),
            methods: W::describe_methods(),
        },
        objects: Vec::new(),
        bindings: Vec::new(),
        interfaces: Interfaces { worker: type_name::<W::Class>().into(), ..Interfaces::default() },
    };
    for method in &description.worker.methods {
        if EVENTS.contains(&method.name.as_str()) {
            return Err(format!(
                "the Worker's method `{}` has the name of an event; rename it, or give it `#[rpc(name = \"..\")]`",
                method.name
            ));
        }
    }
    let mut declarations = Vec::new();
    O::describe(&mut description, &mut declarations);
    let mut init = Init::describing();
    drop(W::init(&mut init));
    declarations.extend(init.into_declarations());
    for declaration in declarations {
        if let Resource::Namespace { interface, .. } | Resource::Service { interface, .. } = declaration.resource {
            description.interfaces.bound.insert(declaration.name.into(), interface.into());
        }
        description.add_binding(binding(declaration, script)).map_err(|conflict| conflict.to_string())?;
    }
    Ok(description)
}

fn binding(declaration: Declaration, own_script: &str) -> Binding {
    let kind = match declaration.resource {
        Resource::D1 { database } => BindingKind::D1 { database: database.into() },
        Resource::Namespace { class, script, .. } => BindingKind::DurableObjectNamespace {
            class: class.into(),
            script: script.filter(|script| *script != own_script).map(Into::into),
        },
        Resource::Service { script, .. } => BindingKind::Service { service: script.into() },
    };
    Binding { name: declaration.name.into(), kind }
}
