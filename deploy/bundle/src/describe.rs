//! Describe mode: runs Phase 1 of a module in an interpreter, and reads the description that the program gives of itself.

use crate::BuildError;
use realgar_wire::{Description, Interface};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};
use wasmi::{Caller, Config, Engine, Error, ExternType, Func, Instance, Linker, Module, Store, Val};

const DESCRIBE: &str = "__realgar_describe";
const DESCRIBE_PANIC: &str = "__realgar_describe_panic";

/// The prefix of the exports that describe interfaces.
const DESCRIBE_INTERFACE: &str = "__realgar_describe_interface_";

/// How many instructions Phase 1 may run. Binding resources takes some thousands.
const FUEL: u64 = 50_000_000;

/// How many instructions the probe of an interface's types may run.
const PROBE_FUEL: u64 = 20_000_000_000;

/// The description that a module gives of itself.
pub(crate) struct Described {
    pub(crate) description: Description,
    /// The interfaces of all crates that are linked in, whether or not their classes are hosted.
    pub(crate) interfaces: Vec<Interface>,
}

/// The answers of a module, as text. They are kept in a file beside the module, because asking again takes seconds in an
/// interpreter without optimisation. The tests of a program have such an interpreter, unless its profile says otherwise.
#[derive(Serialize, Deserialize)]
struct Answers {
    /// The hash of the module.
    module: u64,
    description: String,
    interfaces: Vec<String>,
}

/// Reads the description of the module at `path`, as cargo linked it, before wasm-bindgen. `None` if the module has no description.
pub(crate) fn run(path: &Path) -> Result<Option<Described>, BuildError> {
    let Ok(bytes) = fs::read(path) else { return Ok(None) };
    let Some(answers) = answers(path, &bytes)? else { return Ok(None) };
    let outcome: Result<Description, String> = read(&answers.description)?;
    let description = outcome.map_err(|message| BuildError::BadProgram { message })?;
    description.check().map_err(BuildError::BadDeclaration)?;
    let interfaces = answers.interfaces.iter().map(|json| read(json)).collect::<Result<_, _>>()?;
    Ok(Some(Described { description, interfaces }))
}

fn answers(path: &Path, bytes: &[u8]) -> Result<Option<Answers>, BuildError> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let module = hasher.finish();
    let mut file = path.as_os_str().to_os_string();
    file.push(".json");
    let known = fs::read(&file).ok().and_then(|json| serde_json::from_slice::<Answers>(&json).ok());
    if let Some(known) = known.filter(|known| known.module == module) {
        return Ok(Some(known));
    }
    let mut interpreter = Interpreter::new(bytes)?;
    let exports = interpreter.exports();
    if !exports.iter().any(|name| name == DESCRIBE) {
        return Ok(None);
    }
    let description = interpreter.text(DESCRIBE, FUEL)?;
    let interfaces = exports.iter().filter(|name| name.starts_with(DESCRIBE_INTERFACE));
    let interfaces = interfaces.map(|export| interpreter.text(export, PROBE_FUEL)).collect::<Result<_, _>>()?;
    let answers = Answers { module, description, interfaces };
    if let Ok(json) = serde_json::to_vec(&answers) {
        // If the file cannot be written, the module is asked again next time.
        let _ = fs::write(&file, json);
    }
    Ok(Some(answers))
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, BuildError> {
    serde_json::from_str(json).map_err(|error| unexpected(format!("its description is of another version ({error})")))
}

/// The trap for a call of an import, with the name of the import.
#[derive(Debug)]
struct CalledImport(String);

impl std::fmt::Display for CalledImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl wasmi::errors::HostError for CalledImport {}

struct Interpreter {
    store: Store<()>,
    instance: Instance,
}

impl Interpreter {
    fn new(bytes: &[u8]) -> Result<Self, BuildError> {
        let mut config = Config::default();
        config.consume_fuel(true);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, bytes).map_err(|error| unexpected(error.to_string()))?;
        let mut store = Store::new(&engine, ());
        store.set_fuel(FUEL).map_err(|error| unexpected(error.to_string()))?;
        let mut linker = Linker::new(&engine);
        for import in module.imports() {
            let ExternType::Func(signature) = import.ty() else { continue };
            let name = function_name(import.name());
            let trap = Func::new(&mut store, signature.clone(), move |_: Caller<'_, ()>, _: &[Val], _: &mut [Val]| {
                Err(Error::host(CalledImport(name.clone())))
            });
            linker.define(import.module(), import.name(), trap).map_err(|error| unexpected(error.to_string()))?;
        }
        let instance =
            linker.instantiate_and_start(&mut store, &module).map_err(|error| unexpected(error.to_string()))?;
        Ok(Self { store, instance })
    }

    fn exports(&self) -> Vec<String> {
        self.instance.exports(&self.store).map(|export| export.name().to_string()).collect()
    }

    /// Calls an export that returns the address and length of a text.
    fn text(&mut self, export: &str, fuel: u64) -> Result<String, BuildError> {
        self.store.set_fuel(fuel).map_err(|error| unexpected(error.to_string()))?;
        let function = self
            .instance
            .get_typed_func::<(), u64>(&self.store, export)
            .map_err(|error| unexpected(error.to_string()))?;
        let packed = match function.call(&mut self.store, ()) {
            Ok(packed) => packed,
            Err(trap) => return Err(self.explain(&trap, export)),
        };
        let memory =
            self.instance.get_memory(&self.store, "memory").ok_or_else(|| unexpected("it exports no memory".into()))?;
        let (address, length) = ((packed >> 32) as usize, (packed & 0xffff_ffff) as usize);
        let bytes = memory
            .data(&self.store)
            .get(address..address + length)
            .ok_or_else(|| unexpected("its description lies outside of its memory".into()))?;
        String::from_utf8(bytes.to_vec()).map_err(|error| unexpected(error.to_string()))
    }

    fn explain(&mut self, trap: &Error, export: &str) -> BuildError {
        if let Some(CalledImport(import)) = trap.downcast_ref() {
            return BuildError::InitCallsJavaScript { import: import.clone() };
        }
        if trap.as_trap_code() == Some(wasmi::TrapCode::OutOfFuel) {
            return BuildError::InitTooLong { instructions: if export == DESCRIBE { FUEL } else { PROBE_FUEL } };
        }
        // A panic has left its text behind; another trap has not.
        let message = match export {
            DESCRIBE_PANIC => String::new(),
            _ => self.text(DESCRIBE_PANIC, FUEL).unwrap_or_default(),
        };
        BuildError::InitPanicked { message: if message.is_empty() { trap.to_string() } else { message } }
    }
}

/// The name of an import in the source. Before it has run, wasm-bindgen calls the import `now` `__wbg_now_2c3f0a…`.
fn function_name(symbol: &str) -> String {
    let Some(name) = symbol.strip_prefix("__wbg_") else { return symbol.into() };
    match name.rsplit_once('_') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name.into(),
        _ => name.into(),
    }
}

fn unexpected(reason: String) -> BuildError {
    BuildError::Unexpected { what: "the linked module cannot be described", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_named_as_the_source_names_them() {
        assert_eq!(function_name("__wbg_now_a56fd12eb0b3f2ac"), "now");
        assert_eq!(function_name("__wbg_get_random_values_a56fd12eb0b3f2ac"), "get_random_values");
        assert_eq!(function_name("__wbindgen_throw"), "__wbindgen_throw");
    }
}
