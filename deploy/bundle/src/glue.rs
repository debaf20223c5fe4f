//! Changes the glue that wasm-bindgen writes. The glue is text of a known shape: each statement begins at the start of a line,
//! outside of all brackets.

use crate::BuildError;
use serde::Deserialize;
use std::collections::HashMap;

/// Turns the glue into a function that makes an instance of its own at each call: `instantiate(__realgar)`.
///
/// All state of the glue becomes local to one call. So what is left of a dead instance, such as the closure behind a timer, can
/// only ever reach the dead instance. Inside, `__realgar` is the host object of that instance. It provides two globals. It has its
/// own `queueMicrotask`, because workerd's takes 5 us, a fifth of a call. It has its own `FinalizationRegistry`, because objects of
/// a dead instance that the collector finds must not be freed in it.
pub(crate) fn factory(js: &str) -> Result<String, BuildError> {
    let (mut imports, mut body, mut names) = (String::new(), String::new(), Vec::new());
    let js = without_fallbacks(js);
    for line in js.lines() {
        if line.starts_with("import ") {
            imports.push_str(&line.replacen("import source ", "import ", 1));
            imports.push('\n');
            continue;
        }
        let Some(item) = line.strip_prefix("export ") else {
            body.push_str(line);
            body.push('\n');
            continue;
        };
        names.push(exported_name(item).ok_or_else(|| BuildError::Unexpected {
            what: "the glue that wasm-bindgen wrote has another shape than this version knows",
            reason: format!("`{line}`"),
        })?);
        body.push_str(item);
        body.push('\n');
    }
    let names = names.join(", ");
    Ok(format!(
        "{imports}\nexport function instantiate(__realgar) {{\nconst {{ queueMicrotask, FinalizationRegistry }} = __realgar;\n{body}\nreturn {{ register: wasm.__realgar_register, {names} }};\n}}\n"
    ))
}

/// Drops what the glue has for runtimes without `FinalizationRegistry` or `encodeInto`, which workerd has, and for `using` with our own
/// classes, which only the runtime makes.
fn without_fallbacks(js: &str) -> String {
    const REGISTRY: &str =
        "(typeof FinalizationRegistry === 'undefined')\n? { register: () => {}, unregister: () => {} }\n: new";
    const ENCODER: &str = "if (!('encodeInto' in cachedTextEncoder)) {";
    const DISPOSE: [&str; 2] =
        ["if (Symbol.dispose) RealgarObject.prototype", "if (Symbol.dispose) RealgarStream.prototype"];
    let js = js.replace(REGISTRY, "new");
    let is_kept = |line: &&str| !DISPOSE.iter().any(|start| line.starts_with(start));
    let mut js: String = js.split_inclusive('\n').filter(is_kept).collect();
    // The block ends at the next empty line.
    if let Some(block) = js.find(ENCODER).and_then(|start| Some(start..start + js[start..].find("\n\n")?)) {
        js.replace_range(block, "");
    }
    js
}

fn exported_name(item: &str) -> Option<&str> {
    let item = item.strip_prefix("async ").unwrap_or(item);
    let rest = item.strip_prefix("class ").or_else(|| item.strip_prefix("function "))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$')?;
    (end > 0).then(|| &rest[..end])
}

/// Drops the classes whose instances nothing in the module can make, if the linker has left out their exports. Returns `None` if
/// the module uses such a class all the same, or if this function does not understand the glue. In that case the linker must leave
/// nothing out.
pub(crate) fn without_dead_classes(js: &str, is_exported: impl Fn(&str) -> bool) -> Option<String> {
    let statements = statements(js);
    let is_missing = |name: &str| !is_exported(name);
    let dead: Vec<&str> = statements.iter().filter_map(|statement| class_without(statement, is_missing)).collect();
    let heads: Vec<String> = dead
        .iter()
        .flat_map(|name| {
            [
                format!("class {name} "),
                format!("export class {name} "),
                format!("if (Symbol.dispose) {name}."),
                format!("const {name}Finalization "),
            ]
        })
        .collect();
    let is_dead = |statement: &&str| heads.iter().any(|head| statement.starts_with(head));
    let kept: String = statements.into_iter().filter(|statement| !is_dead(statement)).collect();
    let is_used =
        |name: &&str| kept.contains(&format!("{name}.__wrap(")) || kept.contains(&format!("{name}.__unwrap("));
    let is_whole = freed(&kept).all(is_exported);
    (is_whole && !dead.iter().any(is_used)).then_some(kept)
}

/// The name of the class that the statement declares, if the export that frees its instances is missing.
fn class_without(statement: &str, is_missing: impl Fn(&str) -> bool) -> Option<&str> {
    let name = exported_name(statement.strip_prefix("export ").unwrap_or(statement))?;
    freed(statement).any(is_missing).then_some(name)
}

/// The exports that free instances of classes.
fn freed(js: &str) -> impl Iterator<Item = &str> {
    let exports = js.split("wasm.").skip(1).filter_map(|rest| rest.split('(').next());
    exports.filter(|name| name.starts_with("__wbg_") && name.ends_with("_free"))
}

/// Splits a module into statements: at each line that begins outside of all brackets, unless the line continues the statement
/// before.
fn statements(js: &str) -> Vec<&str> {
    let (mut statements, mut start, mut depth) = (Vec::new(), 0, 0);
    let mut at = 0;
    for line in js.split_inclusive('\n') {
        if depth == 0 && !line.starts_with(['?', ':']) && start < at {
            statements.push(&js[start..at]);
            start = at;
        }
        // Brackets in a comment do not count.
        let code = if line.trim_start().starts_with(['*', '/']) { "" } else { line };
        for c in code.chars() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
        }
        at += line.len();
    }
    statements.push(&js[start..]);
    statements
}

/// The short names that replace the imports and exports of a module, as `wasm-opt` prints them.
#[derive(Debug, Deserialize)]
pub(crate) struct ShortNames {
    /// Module, name, short name.
    imports: Vec<(String, String, String)>,
    exports: Vec<(String, String)>,
}

/// The one module of imports that [`shortened`] knows, and the name that `wasm-opt` gives it.
const MODULE: &str = "./worker_bg.js";
const SHORT_MODULE: &str = "a";

/// Whether names can be shortened: the glue has everything that the module imports, and nobody looks its exports up by their names.
pub(crate) fn has_all_names(glue: &str) -> bool {
    glue.matches(": import").count() == 1 && !glue.contains("= wasm;")
}

/// The glue for a module whose imports and exports have short names. With long names, a fortieth of a bundle is names.
pub(crate) fn shortened(glue: &str, names: &ShortNames) -> Result<String, BuildError> {
    let unknown = |name: &str| BuildError::Unexpected {
        what: "the glue that wasm-bindgen wrote has another shape than this version knows",
        reason: format!("it has no `{name}`"),
    };
    let mut imports: HashMap<&str, &str> =
        names.imports.iter().map(|(_, name, short)| (name.as_str(), short.as_str())).collect();
    let exports: HashMap<&str, &str> =
        names.exports.iter().map(|(name, short)| (name.as_str(), short.as_str())).collect();
    let mut short = String::with_capacity(glue.len());
    for line in glue.split_inclusive('\n') {
        let import = line.trim_start().split_once(": ").and_then(|(name, rest)| Some((imports.remove(name)?, rest)));
        match import {
            Some((name, rest)) => {
                short.push_str(&format!("{name}: "));
                push_short(&mut short, rest, &exports);
            }
            None => push_short(&mut short, line, &exports),
        }
    }
    if let Some(name) = imports.keys().next() {
        return Err(unknown(name));
    }
    let module = format!("\"{MODULE}\": import");
    if !short.contains(&module) {
        return Err(unknown(&module));
    }
    Ok(short.replacen(&module, &format!("{SHORT_MODULE}: import"), 1))
}

/// Appends `text`, with short names for the exports in it, which are properties of `wasm`.
fn push_short(short: &mut String, mut text: &str, exports: &HashMap<&str, &str>) {
    const OBJECT: &str = "wasm.";
    while let Some(at) = text.find(OBJECT) {
        let (before, after) = text.split_at(at + OBJECT.len());
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').unwrap_or(after.len());
        let (name, rest) = after.split_at(end);
        short.push_str(before);
        short.push_str(exports.get(name).copied().unwrap_or(name));
        text = rest;
    }
    short.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glue_becomes_a_function_that_returns_what_it_exported() {
        let glue = "import source m from './x.wasm';\nlet wasm;\nexport class A {\n}\nexport function b() {\n}\n";
        assert_eq!(
            factory(glue).unwrap(),
            "import m from './x.wasm';\n\nexport function instantiate(__realgar) {\nconst { queueMicrotask, FinalizationRegistry } = __realgar;\nlet wasm;\nclass A {\n}\n\
             function b() {\n}\n\nreturn { register: wasm.__realgar_register, A, b };\n}\n"
        );
    }

    #[test]
    fn what_other_runtimes_lack_is_not_stood_in_for() {
        let glue = "const AFinalization = (typeof FinalizationRegistry === 'undefined')\n? { register: () => {}, unregister: () => {} }\n\
                    : new FinalizationRegistry(({ ptr }) => {\nwasm.free(ptr);\n});\nconst cachedTextEncoder = new TextEncoder();\n\n\
                    \x20   if (!('encodeInto' in cachedTextEncoder)) {\n        cachedTextEncoder.encodeInto = function () {\n};\n    }\n\n\
                    if (Symbol.dispose) RealgarStream.prototype[Symbol.dispose] = RealgarStream.prototype.free;\nlet b = 0;\n";
        assert_eq!(
            without_fallbacks(glue),
            "const AFinalization = new FinalizationRegistry(({ ptr }) => {\nwasm.free(ptr);\n});\n\
             const cachedTextEncoder = new TextEncoder();\n\n    \n\nlet b = 0;\n"
        );
    }

    #[test]
    fn glue_of_an_unknown_shape_fails_the_build() {
        assert!(factory("export { a as b };\n").is_err());
    }

    const CLASSES: &str = "\
import a from './x.wasm';
/** A comment: 1) has no brackets. */
export class Dead {
free() {
try {
wasm.__wbg_dead_free(ptr, 0);
} catch(e) {
}
}
}
if (Symbol.dispose) Dead.prototype[Symbol.dispose] = Dead.prototype.free;
export class Deadly {
free() { wasm.__wbg_deadly_free(ptr, 0); }
}
const DeadFinalization = (typeof FinalizationRegistry === 'undefined')
? { register: () => {} }
: new FinalizationRegistry(({ ptr }) => {
wasm.__wbg_dead_free(ptr, 1);
});
const b = 1;
";

    #[test]
    fn dead_classes_go_and_nothing_else() {
        let kept = without_dead_classes(CLASSES, |name| name == "__wbg_deadly_free").unwrap();
        let expected = "\
import a from './x.wasm';
/** A comment: 1) has no brackets. */
export class Deadly {
free() { wasm.__wbg_deadly_free(ptr, 0); }
}
const b = 1;
";
        assert_eq!(kept, expected);
        assert_eq!(without_dead_classes(CLASSES, |_| true).unwrap(), CLASSES);
        let made = format!("{CLASSES}const c = Dead.__wrap(1);\n");
        assert_eq!(without_dead_classes(&made, |name| name == "__wbg_deadly_free"), None);
        let unwrapped = made.replace("__wrap", "__unwrap");
        assert_eq!(without_dead_classes(&unwrapped, |name| name == "__wbg_deadly_free"), None);
        let of_another_shape = CLASSES.replace("export class", "({\nexport class");
        assert_eq!(without_dead_classes(&of_another_shape, |_| false), None);
    }

    #[test]
    fn names_become_short_on_both_sides() {
        let glue = "const import0 = {\n  __wbg_now_12: function() {\n wasm.free(wasm.memory, wasm.other);\n},\n}\nreturn {\n\"./worker_bg.js\": import0,\n}\n";
        let names = |import: &str| ShortNames {
            imports: vec![(MODULE.into(), import.into(), "b".into())],
            exports: vec![("free".into(), "c".into()), ("memory".into(), "d".into())],
        };
        assert!(has_all_names(glue) && !has_all_names(&glue.replace("wasm.free(", "const all = wasm;")));
        assert_eq!(
            shortened(glue, &names("__wbg_now_12")).unwrap(),
            "const import0 = {\nb: function() {\n wasm.c(wasm.d, wasm.other);\n},\n}\nreturn {\na: import0,\n}\n"
        );
        assert!(shortened(glue, &names("__wbg_then_12")).is_err());
    }
}
