//! Evaluates the conditions of a read or write. The rules are those of HTTP (RFC 9110, section 13.2.2): a condition on the etag
//! takes precedence over one on the time.

use super::{number, store::Meta, text};
use serde_json::Value;

/// Whether `condition`, which may be null, holds for the current object. `meta` is `None` if there is no object.
pub(super) fn holds(condition: &Value, meta: Option<&Meta>) -> bool {
    let (matches, differs) = (condition["etagMatches"].as_array(), condition["etagDoesNotMatch"].as_array());
    let (before, after) = (number(&condition["uploadedBefore"]), number(&condition["uploadedAfter"]));
    // An object that does not exist has no etag, and no time of upload.
    let Some(meta) = meta else { return matches.is_none() && after.is_none() };
    let grain = if condition["secondsGranularity"].as_bool() == Some(true) { 1000 } else { 1 };
    let uploaded = meta.uploaded / grain;
    let matched = matches.map(|etags| etags.iter().any(|etag| is(etag, meta, Comparison::Strong)));
    let differed = differs.map(|etags| !etags.iter().any(|etag| is(etag, meta, Comparison::Weak)));
    matched != Some(false)
        && differed != Some(false)
        && (differed.is_some() || after.is_none_or(|time| time / grain < uploaded))
        && (matched.is_some() || before.is_none_or(|time| uploaded < time / grain))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn is(etag: &Value, meta: &Meta, comparison: Comparison) -> bool {
    let kind = |name: &str| etag["type"] == name || etag["type"].get(name).is_some();
    if kind("wildcard") || text(etag, "value") == "*" {
        return true;
    }
    meta.etag == text(etag, "value") && (comparison == Comparison::Weak || !kind("weak"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Meta {
        Meta { etag: "e".into(), uploaded: 5_500, ..Meta::default() }
    }

    #[test]
    fn what_is_there_meets_conditions_as_in_http() {
        let etag = |value: &str| json!([{ "type": { "strong": null }, "value": value }]);
        let weak = json!([{ "type": { "weak": null }, "value": "e" }]);
        for (condition, expected) in [
            (Value::Null, true),
            (json!({ "etagMatches": etag("e") }), true),
            (json!({ "etagMatches": etag("x") }), false),
            (json!({ "etagMatches": weak }), false),
            (json!({ "etagDoesNotMatch": weak }), false),
            (json!({ "etagDoesNotMatch": etag("x") }), true),
            (json!({ "etagMatches": [{ "type": { "wildcard": null } }] }), true),
            (json!({ "uploadedAfter": "5499" }), true),
            (json!({ "uploadedAfter": "5500" }), false),
            (json!({ "uploadedBefore": "5501" }), true),
            (json!({ "uploadedBefore": "5500" }), false),
            (json!({ "uploadedAfter": "5000", "secondsGranularity": true }), false),
            (json!({ "uploadedBefore": "1", "etagMatches": etag("e") }), true),
            (json!({ "uploadedAfter": "9999", "etagDoesNotMatch": etag("x") }), true),
        ] {
            assert_eq!(holds(&condition, Some(&object())), expected, "{condition}");
        }
    }

    #[test]
    fn what_is_not_there_is_older_than_anything() {
        assert!(holds(&json!({ "uploadedBefore": "1" }), None));
        assert!(holds(&json!({ "etagDoesNotMatch": [{ "type": { "wildcard": null } }] }), None));
        assert!(!holds(&json!({ "uploadedAfter": "1" }), None));
        assert!(!holds(&json!({ "etagMatches": [{ "type": { "wildcard": null } }] }), None));
    }
}
