//! The names that resources have at Cloudflare. They are functions of the app, the scopes, the id and the stage alone, so a name is
//! known before anything is made, and what a run that was cut off has made is found again by it.

use crate::{Fqn, Stack};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The length of the part of a name that tells it from others which would read the same.
const MARK_LENGTH: usize = 8;

/// The name that a resource has at Cloudflare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Whether the program chose it. A name that it did not choose is made of the stack and the resource, so
    /// it is taken for a sign that the resource is ours.
    pub pinned: bool,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The names that Cloudflare takes for a kind of resource. Besides what is said here, all take letters, digits and `-`, and none
/// begins or ends with a `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// The most characters that a name has.
    pub length_max: usize,
    /// Whether names may have capital letters.
    pub capitals: bool,
    /// Whether names may have a `_`.
    pub underscores: bool,
}

impl NameRule {
    /// The name of the resource `fqn` of `stack`: `APP-SCOPES-ID-STAGE`. If that is not legal, too long, or can be read as the name
    /// of another stage's resource, a mark follows that is different for every resource. So does a mark for every `generation`
    /// after the first, which replaces one that still exists.
    #[must_use]
    pub fn name(self, stack: &Stack, fqn: &Fqn, generation: u32) -> String {
        let parts: Vec<&str> = [stack.app()].into_iter().chain(fqn.parts()).chain([stack.stage()]).collect();
        let exact = parts.join("-");
        let readable: String = exact.chars().map(|character| self.legal(character)).collect();
        let readable = readable.trim_matches('-');
        // Only the last part can be cut off without a doubt, and only if it has no `-` itself.
        let is_clear = readable == exact && !stack.stage().contains('-');
        if is_clear && readable.len() <= self.length_max && generation == 0 {
            return exact;
        }
        let mark = mark(&parts, generation);
        let kept: String = readable.chars().take(self.length_max - MARK_LENGTH - 1).collect();
        format!("{}-{mark}", kept.trim_end_matches('-'))
    }

    fn legal(self, character: char) -> char {
        match character {
            'A'..='Z' if !self.capitals => character.to_ascii_lowercase(),
            'a'..='z' | 'A'..='Z' | '0'..='9' => character,
            '_' if self.underscores => character,
            _ => '-',
        }
    }
}

/// A short digest of the parts of a name, of letters and digits.
fn mark(parts: &[&str], generation: u32) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(generation.to_le_bytes());
    hash.finalize().iter().take(MARK_LENGTH).map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const STRICT: NameRule = NameRule { length_max: 40, capitals: false, underscores: false };

    fn name(app: &str, fqn: &str, stage: &str, generation: u32) -> String {
        STRICT.name(&Stack::new(app, stage).unwrap(), &Fqn::new(fqn).unwrap(), generation)
    }

    #[test]
    fn a_legal_name_is_its_parts() {
        assert_eq!(name("my-app", "services/api", "dev", 0), "my-app-services-api-dev");
    }

    #[test]
    fn what_would_read_the_same_gets_a_mark() {
        let same = [
            name("app", "api", "dev-b", 0),
            name("app", "api", "Dev_B", 0),
            name("app", "api", "dev_b", 0),
            name("app", "api-dev", "b", 0),
            name("app", "api", "dev-b", 1),
            name("app", "api/dev", "b", 1),
            name("app", "Api/dev", "b", 0),
        ];
        assert_eq!(same.iter().collect::<BTreeSet<_>>().len(), same.len(), "{same:?}");
        assert!(same.iter().all(|name| name.starts_with("app-api-dev-b")), "{same:?}");
    }

    #[test]
    fn every_name_is_legal() {
        let long = "x".repeat(64);
        for (app, fqn, stage) in
            [(long.as_str(), "ä", "dev"), ("a", "-", "b_"), ("a", " /#", "b"), ("a", long.as_str(), "b")]
        {
            for generation in [0, 7] {
                let name = name(app, fqn, stage, generation);
                assert!(name.len() <= STRICT.length_max, "{name}");
                let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                assert!(name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-'), "{name}");
            }
        }
        assert_ne!(name("a", &format!("{long}/1"), "b", 0), name("a", &format!("{long}/2"), "b", 0));
    }
}
