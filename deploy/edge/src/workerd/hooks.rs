//! What a test puts in front of a script: a clock that it advances, and objects that it can reach into.

use realgar_wire::Manifest;
use std::fmt::Write;

/// The module that workerd starts instead of the script's own.
pub(crate) const MAIN: &str = "realgar-test.js";
/// The module that is loaded before the script.
pub(crate) const HOOKS: &str = "realgar-test-hooks.js";
/// The entrypoint that sets the clock of a script.
pub(crate) const CLOCK: &str = "RealgarTestClock";

const SOURCE: &str = include_str!("../js/hooks.js");

/// What stands in for time and chance in the scripts that are tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Where their clocks stand still, in milliseconds since 1970. `None` lets them go.
    pub clock_ms: Option<u64>,
    /// Whether an object starts anew for every event.
    pub evict: bool,
}

impl Hooks {
    /// The source of [`HOOKS`].
    pub(crate) fn source(self) -> String {
        let values = serde_json::json!({ "clock": self.clock_ms, "evict": self.evict }).to_string();
        SOURCE.replace("\"REALGAR_HOOKS\"", &serde_json::Value::from(values).to_string())
    }
}

/// The source of [`MAIN`]: the script as it is, with classes that a test reaches into.
pub(crate) fn main_source(manifest: &Manifest) -> String {
    let script = serde_json::Value::from(format!("./{}", manifest.main_module)).to_string();
    let mut js = format!(
        "import {{ hooked, setClockOf }} from \"./{HOOKS}\";\nimport {{ WorkerEntrypoint }} from \"cloudflare:workers\";\n\
         import * as script from {script};\nexport * from {script};\nexport default script.default;\n\
         export const {CLOCK} = setClockOf(WorkerEntrypoint);\n"
    );
    for object in &manifest.objects {
        let class = &object.class;
        let _ = writeln!(js, "export const {class} = hooked(\"{class}\", script.{class});");
    }
    js
}
