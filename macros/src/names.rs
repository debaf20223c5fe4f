//! The names of what a program defines: the rules, which are `realgar-names`, and the symbols of exports.

pub(crate) use realgar_names::{camel_case, class_name_problem, kebab_case, method_name_problem, script_name_problem};

use proc_macro2::Ident;

/// The export that describes the interface in `source`.
pub(crate) fn describe_symbol(source: &str) -> String {
    symbol("interface", source)
}

/// The export that says that `source` has a wasm instance for each object.
pub(crate) fn isolation_symbol(source: &str) -> String {
    symbol("isolated", source)
}

/// A symbol of the kind `what`. Two symbols of the same name would not link, so a hash of the package and the source is part of it.
fn symbol(what: &str, source: &str) -> String {
    let package = |name| std::env::var(name).unwrap_or_default();
    let text = format!("{} {} {source}", package("CARGO_PKG_NAME"), package("CARGO_PKG_VERSION"));
    format!("__realgar_describe_{what}_{:016x}", realgar_names::fingerprint(&text))
}

/// An identifier without its `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), Into::into)
}
