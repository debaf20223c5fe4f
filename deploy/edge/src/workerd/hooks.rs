//! What stands in front of a script on this machine: for a test a clock that it advances and objects that it can reach into, for
//! a developer labels on the lines of the log.

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

/// The module that labels the lines of the log.
pub(crate) const LABEL: &str = "realgar-label.js";

const LABEL_SOURCE: &str = include_str!("../js/label.js");

/// The source of [`LABEL`].
pub(crate) fn label_source(script: &str) -> String {
    LABEL_SOURCE.replace("\"REALGAR_SCRIPT\"", &serde_json::Value::from(script).to_string())
}

/// The source of [`MAIN`]: the script as it is, with the classes that `hooks` reach into, or that know their labels.
pub(crate) fn main_source(manifest: &Manifest, hooks: bool) -> String {
    let script = serde_json::Value::from(format!("./{}", manifest.main_module)).to_string();
    let (wrapper, mut js) = if hooks {
        let clock = format!(
            "import {{ hooked, setClockOf }} from \"./{HOOKS}\";\nimport {{ WorkerEntrypoint }} from \"cloudflare:workers\";\n\
             export const {CLOCK} = setClockOf(WorkerEntrypoint);\n"
        );
        ("hooked", clock)
    } else {
        ("labelled", format!("import {{ labelled }} from \"./{LABEL}\";\n"))
    };
    let _ = write!(
        js,
        "import * as script from {script};\nexport * from {script};\nexport default script.default;\n"
    );
    for object in &manifest.objects {
        let class = &object.class;
        let _ = writeln!(js, "export const {class} = {wrapper}(\"{class}\", script.{class});");
    }
    js
}
