//! The shape of the tree: what a reviewer would have to look for otherwise.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The longest file of code, in lines.
const LINES_MAX: usize = 800;

/// The folders of our own code.
const SOURCES: [&str; 12] = [
    "src",
    "names/src",
    "wire/src",
    "macros/src",
    "framework/src",
    "deploy/bundle/src",
    "deploy/cloudflare/src",
    "deploy/edge/src",
    "deploy/engine/src",
    "deploy/harness/src",
    "bench/src",
    "tests/e2e",
];

/// The files below these folders, with this extension.
fn files(folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_symlink() {
                // The file is looked at where it is.
            } else if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{folders:?} hold no `{extension}`");
    files
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The text behind `before` and in front of `after`.
fn between(path: &str, before: &str, after: &str) -> String {
    let text = read(path);
    let rest = text.split_once(before).unwrap_or_else(|| panic!("`{before}` is not in {path}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("`{after}` is not in {path}")).0.into()
}

#[test]
fn every_module_says_what_it_is_for() {
    for path in files(&SOURCES, "rs") {
        assert!(read(&path).starts_with("//!"), "{} does not begin with `//!`", path.display());
    }
    for path in files(&["framework/js", "deploy/edge/src/js", "deploy/bundle/src/runtime"], "js") {
        assert!(read(&path).starts_with("//"), "{} does not begin with a comment", path.display());
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for path in files(&SOURCES, "rs").into_iter().filter(|path| !path.starts_with("tests")) {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn versions_that_belong_together_are_the_same() {
    let workspace = |name: &str| between("Cargo.toml", &format!("\n{name} = \"="), "\"");
    assert_eq!(workspace("wasm-bindgen"), workspace("wasm-bindgen-cli-support"));
    let linked = between("deploy/bundle/src/cargo.rs", "WASM_BINDGEN_VERSION: &str = \"", "\"");
    assert_eq!(workspace("wasm-bindgen"), linked);
    let workerd = between("deploy/bundle/src/tools.rs", "WORKERD_VERSION: &str = \"", "\"");
    assert!(
        read("package.json").contains(&format!("workerd-linux-64\": \"{workerd}\"")),
        "package.json has another workerd"
    );
    let date = between("wire/src/lib.rs", "COMPATIBILITY_DATE: &str = \"", "\"");
    assert_eq!(date, between("deploy/edge/src/workerd/simulators.rs", "OWN_DATE: &str = \"", "\""));
    let worker = between("Cargo.toml", "\nworker = { version = \"=", "\"");
    assert_eq!(worker, between("deploy/bundle/src/worker_build.rs", "VERSION: &str = \"", "\""));
}

/// Numbers and names that Rust and JavaScript both write.
#[test]
fn the_two_sides_of_the_boundary_agree() {
    let kinds = between("framework/src/codec/decode.rs", "match js::kind(value) {", "_ => Self::Other");
    let kinds: Vec<&str> = kinds
        .lines()
        .filter_map(|line| line.trim().split_once(" => Self::")?.0.parse().ok().map(|_: u8| line.trim()))
        .collect();
    let named = between("framework/js/host.js", "export function kind(value) {", "\n}\n");
    for line in &kinds {
        let number = line.split_once(" => ").unwrap().0;
        let returned =
            [format!("return {number};"), format!("? {number} "), format!(": {number};"), format!("? {number}:")];
        assert!(returned.iter().any(|text| named.contains(text)), "`kind` in host.js never returns {number}");
    }
    assert_eq!(kinds.len(), 11);
    let secret = between("deploy/edge/src/private.rs", "SECRET_HEADER: &str = \"", "\"");
    assert!(read("deploy/edge/src/js/admin.js").contains(&format!("\"{secret}\"")), "admin.js asks for another header");
    let refused = between("deploy/edge/src/outbound.rs", "REFUSED_HEADER: &str = \"", "\"");
    assert!(
        read("deploy/edge/src/js/outbound.js").contains(&format!("\"{refused}\"")),
        "outbound.js reads another header"
    );
    let ids = between("deploy/edge/src/workerd/hooks.rs", "CLOCK: &str = \"", "\"");
    assert_eq!(ids, "RealgarTestClock");
    for table in ["realgar_events", "realgar_dead_letters"] {
        for path in
            files(&["deploy", "src", "tests/e2e", "tests/driver"], "js").into_iter().chain(files(&["deploy"], "rs"))
        {
            assert!(!read(&path).contains(table), "{} looks at `{table}` behind the framework's back", path.display());
        }
    }
    for (path, next) in
        [("framework/src/scheduler/queue.rs", "min(next_at)"), ("framework/js/host.js", "min(next_at) AS next")]
    {
        let statement = format!("\"SELECT {next} FROM realgar_events WHERE started_at IS NULL\"");
        assert!(read(path).contains(&statement), "{path} finds what comes next in another way than the other side");
    }
    assert!(read("deploy/edge/src/js/hooks.js").contains("__realgarTestClock?.next?."), "hooks.js asks in another way");
    assert!(
        read("deploy/bundle/src/runtime/realgar.js").contains("__realgarTestClock.next = "),
        "the runtime answers in another way"
    );
    for code in ["panicked", "interrupted", "method_error", "deadline_exceeded"] {
        assert!(
            read("framework/src/calls/error.rs").contains(&format!("\"{code}\"")),
            "`{code}` is no code of `RpcErrorKind`"
        );
        assert!(
            read("deploy/bundle/src/runtime/realgar.js").contains(&format!("\"{code}\"")),
            "the runtime never says `{code}`"
        );
    }
}

/// No registry and no folder of somebody's machine is in what is committed.
#[test]
fn no_address_of_a_registry_is_kept() {
    let locks = files(&["bench/javascript", "tests/wrangler", "tests/typescript"], "json").into_iter();
    for path in locks.filter(|path| path.ends_with("package-lock.json")).chain(["package-lock.json".into()]) {
        assert!(!read(&path).contains("\"resolved\""), "{} names a registry", path.display());
    }
}

/// The table of laws leads to tests that exist.
#[test]
fn every_test_in_the_table_of_laws_exists() {
    let sources = files(&["tests/e2e", "deploy"], "rs");
    let sources: String = sources.iter().map(read).collect();
    let table = read("tests/laws.md");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| law")).collect();
    for row in &rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(
            cell.contains('`') || cell.starts_with("missing: ") || cell == "as above",
            "no test and no reason: {row}"
        );
        let names = cell.split('`').skip(1).step_by(2).filter(|name| name.contains("_") && !name.contains(' '));
        for name in names {
            assert!(sources.contains(&format!("fn {name}()")), "there is no test `{name}`");
        }
    }
    assert!(rows.len() > 50, "{} rows", rows.len());
}
