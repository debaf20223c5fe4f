//! The modules that stand in front of a script on this machine. For a test, they provide a clock that the test advances, and
//! objects that it can reach into. For a developer, they put labels on the lines of the log.

use realgar_wire::Manifest;
use std::fmt::Write;

/// The module that workerd starts instead of the script's own.
pub(crate) const MAIN: &str = "realgar-test.js";
/// The module that is loaded before the script.
pub(crate) const HOOKS: &str = "realgar-test-hooks.js";
/// The entrypoint that sets the clock of a script.
pub(crate) const CLOCK: &str = "RealgarTestClock";

const SOURCE: &str = include_str!("../js/hooks.js");

/// What a test controls in its scripts: their time, and when objects are evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The time at which their clocks stand still, in milliseconds since 1970. With `None` the clocks run.
    pub clock_ms: Option<u64>,
    /// Whether every event finds a new instance of its object.
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

/// The source of [`MAIN`]. It exports the script as it is, but with its classes wrapped: for hooks, or else for labels.
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
    let _ = write!(js, "import * as script from {script};\nexport * from {script};\nexport default script.default;\n");
    for object in &manifest.objects {
        let class = &object.class;
        let _ = writeln!(js, "export const {class} = {wrapper}(\"{class}\", script.{class});");
    }
    js
}
