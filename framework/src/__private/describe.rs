//! Describe mode: the Worker's self-description, as JSON in linear memory.
//!
//! Reachable from the describe exports only. The shipped module is linked from the same objects without those exports, so
//! nothing here, and nothing only this needs, is in it.

use super::{Contract, exports::WorkerList, object::ObjectList};
use crate::{
    ConsumerOptions, Declaration, Init, Property, WorkerClass,
    init::{Record, Trigger},
    workers::WholeWorker,
};
use realgar_wire::{Binding, BindingKind, Consumer, Description, Interfaces};
use std::{any::type_name, cell::RefCell, collections::BTreeMap};

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs Phase 1 of `W`, of the objects in `O` and of the
/// entrypoints in `E`, and returns the address (upper half) and
/// length (lower half) of the description: `{"Ok":{..}}` or `{"Err":"message"}`.
pub(super) fn describe<W: WholeWorker, O: ObjectList, E: WorkerList>() -> u64 {
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    let outcome = collect::<W, O, E>();
    let json = serde_json::to_string(&outcome).unwrap_or_else(|error| format!("{{\"Err\":\"{error}\"}}"));
    leak(json)
}

/// Called by the code `#[rpc]` generates: the interface of `C`, in the same form.
pub fn describe_interface<C: Contract>() -> u64 {
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    leak(serde_json::to_string(&C::interface()).unwrap_or_else(|error| error.to_string()))
}

/// Called by the code `export!` generates: what `describe` panicked with, in the same form, as plain text.
pub fn describe_panic() -> u64 {
    leak(PANIC.take())
}

fn leak(text: String) -> u64 {
    let text = text.leak();
    ((text.as_ptr() as u64) << 32) | text.len() as u64
}

fn collect<W: WholeWorker, O: ObjectList, E: WorkerList>() -> Result<Description, String> {
    let script = <W::Class as WorkerClass>::NAME;
    let mut description = Description {
        worker: W::describe(),
        entrypoints: Vec::new(),
        objects: Vec::new(),
        bindings: Vec::new(),
        crons: Vec::new(),
        consumers: Vec::new(),
        class_changes: W::Class::class_changes(),
        migrations: W::Class::MIGRATIONS.map(Into::into),
        interfaces: Interfaces { worker: type_name::<W::Class>().into(), ..Interfaces::default() },
    };
    let mut record = Record::default();
    record.problems.extend(unserved::<W>(&description.worker.methods, W::table().methods.len()));
    O::describe(&mut description, &mut record);
    E::describe(&mut description, &mut record);
    if !record.triggers.is_empty() {
        return Err(
            "an object or a named entrypoint asks for cron triggers or messages, which only the Worker gets".into()
        );
    }
    let mut init = Init::describing();
    drop(W::init(&mut init));
    let own = init.into_record();
    if let Some(problem) = record.problems.into_iter().next() {
        return Err(problem);
    }
    record.declarations.extend(own.declarations);
    let mut places = BTreeMap::new();
    for (declaration, place) in record.declarations {
        if let Some(problem) = declaration.problem {
            return Err(problem);
        }
        if let Some(interface) = declaration.interface {
            description.interfaces.bound.insert(declaration.name.into(), interface.into());
        }
        let first = *places.entry(declaration.name).or_insert(place);
        let added = description.add_binding(binding(&declaration, script)?);
        added.map_err(|conflict| format!("{conflict} (bound at {first} and at {place})"))?;
    }
    for trigger in own.triggers {
        match trigger {
            Trigger::Cron(expression) => description.crons.push(expression.into()),
            Trigger::Consumer { queue, message, options } => {
                check_message::<W>(queue, message)?;
                description.consumers.push(consumer(queue, options));
            }
        }
    }
    Ok(description)
}

/// The mistake, if `T` serves another number of methods than its contract has.
pub(super) fn unserved<T>(contract: &[realgar_wire::Method], served: usize) -> Option<String> {
    let name = type_name::<T>();
    let name = name.rsplit("::").next().unwrap_or(name);
    (contract.len() != served).then(|| {
        format!(
            "`{name}` serves {served} of the {} methods in its contract; write `#[rpc]` on the `impl .. for {name}` of the \
             contract's trait",
            contract.len()
        )
    })
}

/// Checks that the messages of a queue are what the Worker handles.
fn check_message<W: WholeWorker>(queue: &str, message: &str) -> Result<(), String> {
    let Some(handled) = W::table().consume.map(|consumer| (consumer.message)()) else { return Ok(()) };
    if message == handled || handled == type_name::<serde_json::Value>() {
        return Ok(());
    }
    Err(format!(
        "the queue `{queue}` has messages of type `{message}`, and the Worker's `Consume::Message` is `{handled}`; give all its \
         queues one type, such as an enum, or handle `serde_json::Value`"
    ))
}

fn binding(declaration: &Declaration, own_script: &str) -> Result<Binding, String> {
    let value = |property: Property| match property {
        Property::Text(text) => text.into(),
        Property::Number(number) => number.into(),
        Property::Flag(flag) => serde_json::Value::from(flag),
    };
    let (name, kind) = (declaration.name, declaration.kind);
    let head = [("name".to_string(), name.into()), ("type".to_string(), kind.into())];
    let properties = declaration.properties.iter().map(|(key, property)| (key.to_string(), value(*property)));
    let fields: serde_json::Map<String, serde_json::Value> = head.into_iter().chain(properties).collect();
    let mut binding: Binding = serde_json::from_value(fields.into()).map_err(|error| error.to_string())?;
    // The objects of the own script are local, even if the binding names the script.
    if let BindingKind::DurableObjectNamespace { script, .. } = &mut binding.kind
        && script.as_deref() == Some(own_script)
    {
        *script = None;
    }
    Ok(binding)
}

fn consumer(queue: &str, options: ConsumerOptions) -> Consumer {
    Consumer {
        queue: queue.into(),
        max_batch_size: options.max_batch_size,
        max_batch_timeout: options.max_batch_timeout,
        max_retries: options.max_retries,
        retry_delay: options.retry_delay,
        max_concurrency: options.max_concurrency,
        dead_letter_queue: options.dead_letter_queue.map(Into::into),
    }
}
