//! The names of stacks and of resources in a program. The names that resources have at Cloudflare are made of these: see `names.rs`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, sync::Arc};

/// The most bytes that the name of an app or a stage may have.
const STACK_PART_MAX: usize = 64;
/// The most bytes that one part of an [`Fqn`] may have. What belongs to a resource is called by several words.
const PART_MAX: usize = 128;
/// The most parts that an [`Fqn`] may have.
const DEPTH_MAX: usize = 16;

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name of an app or a stage has other characters than it may have, or none.
    #[error(
        "`{name}` cannot name {what}: it has to begin with a letter or a digit and may have letters, digits, `-` and `_` after it, \
         at most {STACK_PART_MAX} in all"
    )]
    Stack {
        /// What the name is for: an app or a stage.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A part of the name of a resource is empty, too long, or has characters that it may not have.
    #[error(
        "`{name}` cannot name a resource: its parts, between the `/`, have 1 to {PART_MAX} bytes and no control characters, and \
         there are at most {DEPTH_MAX} of them"
    )]
    Resource {
        /// The whole name.
        name: String,
    },
}

/// A stack: the resources of one app on one stage. Each stack has a state of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stack {
    app: String,
    stage: String,
}

impl Stack {
    /// The stack of `app` on `stage`.
    ///
    /// # Errors
    /// When one of the names is empty, longer than 64 bytes, or has characters other than letters, digits, `-` and `_`.
    pub fn new(app: &str, stage: &str) -> Result<Self, NameError> {
        for (what, name) in [("an app", app), ("a stage", stage)] {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
            if !begins || name.len() > STACK_PART_MAX || !name.bytes().all(legal) {
                return Err(NameError::Stack { what, name: name.into() });
            }
        }
        Ok(Self { app: app.into(), stage: stage.into() })
    }

    /// The name of the app.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The name of the stage.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.stage)
    }
}

/// The fully qualified name of a resource within its stack: the names of its scopes and its own, with `/` between them.
///
/// A clone shares the text: plans of many resources are mostly made of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqn(Arc<str>);

impl Fqn {
    /// The name `text`.
    ///
    /// # Errors
    /// When a part of it is empty, longer than 128 bytes, or has control characters, or when it has more than 16 parts.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let name = text.into();
        let legal = |part: &str| !part.is_empty() && part.len() <= PART_MAX && !part.chars().any(char::is_control);
        if name.split('/').count() > DEPTH_MAX || !name.split('/').all(legal) {
            return Err(NameError::Resource { name });
        }
        Ok(Self(name.into()))
    }

    /// The resource `name` that belongs to this one.
    ///
    /// # Errors
    /// As [`Fqn::new`].
    pub fn child(&self, name: &str) -> Result<Self, NameError> {
        Self::new(format!("{}/{name}", self.0))
    }

    /// The parts of the name. There is at least one.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Fqn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Fqn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_folder_or_a_path_would_take_for_something_else_are_refused() {
        for stage in ["", "..", ".", "a/b", "a b", "-x", "_x", "ä", &"x".repeat(65)] {
            assert!(Stack::new("app", stage).is_err(), "{stage}");
            assert!(Stack::new(stage, "dev").is_err(), "{stage}");
        }
        assert_eq!(Stack::new("my-app", "dev_sam").unwrap().to_string(), "my-app/dev_sam");
        for name in ["", "/", "a//b", "a/", "/a", "a\nb", &"x".repeat(129), &["x"; 17].join("/")] {
            assert!(Fqn::new(name).is_err(), "{name}");
            assert!(serde_json::from_value::<Fqn>(name.into()).is_err(), "{name}");
        }
        assert_eq!(Fqn::new("storage").unwrap().child("images").unwrap().as_str(), "storage/images");
    }
}
