//! How much memory the runtime of an app has.

use std::fs;

/// The resident memory of the workerd that this process runs, in KiB. Linux only.
pub(crate) fn resident_kib() -> Result<f64, String> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").map_err(|error| format!("cannot read /proc: {error}"))?;
    let statuses = processes.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let field = |status: &str, name: &str| -> Option<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next().map(String::from)
    };
    statuses
        .filter(|status| {
            field(status, "Name:").as_deref() == Some("workerd") && field(status, "PPid:").as_ref() == Some(&own)
        })
        .find_map(|status| field(&status, "VmRSS:")?.parse().ok())
        .ok_or_else(|| "there is no workerd".into())
}
