//! Configuration: variables, JSON, secrets.

use super::lookup;
use crate::{
    Bindable, Declaration, Error, Result, codec,
    runtime::{js, promise::awaited},
};
use serde::de::DeserializeOwned;
use std::{any::type_name, fmt, marker::PhantomData, str::FromStr};

/// A variable, as a value: `static LIMIT: Var<u32> = Var::new("LIMIT").or("100");`. A deployment may set it to other text.
pub struct Var<T> {
    name: &'static str,
    default: Option<&'static str>,
    ty: PhantomData<fn() -> T>,
}

impl<T: FromStr> Var<T> {
    /// The variable of this name. Without a default a deployment has to set it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, default: None, ty: PhantomData }
    }

    /// Sets the default value, which the variable has unless a deployment sets it.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

impl<T: FromStr> Bindable for Var<T> {
    type Client = VarClient<T>;

    fn declare(&self) -> Declaration {
        let declaration = Declaration::new(self.name, "plain_text").with_some("default", self.default);
        match self.default {
            Some(default) if default.parse::<T>().is_err() => declaration.wrong(format!(
                "the default {default:?} of the variable `{}` is no `{}`",
                self.name,
                type_name::<T>()
            )),
            _ => declaration,
        }
    }

    fn client(&self) -> VarClient<T> {
        VarClient { name: self.name, ty: PhantomData }
    }
}

/// The client of a variable.
pub struct VarClient<T> {
    name: &'static str,
    ty: PhantomData<fn() -> T>,
}

impl<T: FromStr<Err: fmt::Display>> VarClient<T> {
    /// The value of the variable.
    ///
    /// # Errors
    /// When the variable is not set, or its text is not a `T`.
    pub fn get(&self) -> Result<T> {
        let text = lookup(self.name)?.as_string().unwrap_or_default();
        text.parse().map_err(|error| Error::Message(format!("the variable `{}` is {text:?}: {error}", self.name)))
    }
}

/// Configuration in JSON, as a value: `static CONFIG: JsonVar<Config> = JsonVar::new("CONFIG").or(r#"{"beta":false}"#);`.
pub struct JsonVar<T> {
    name: &'static str,
    default: Option<&'static str>,
    ty: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonVar<T> {
    /// The variable of this name. Without a default a deployment has to set it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, default: None, ty: PhantomData }
    }

    /// Sets the default value, as JSON, which the variable has unless a deployment sets it.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

impl<T: DeserializeOwned> Bindable for JsonVar<T> {
    type Client = JsonVarClient<T>;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "json").with_some("default", self.default)
    }

    fn client(&self) -> JsonVarClient<T> {
        JsonVarClient { name: self.name, ty: PhantomData }
    }
}

/// The client of a variable with JSON.
pub struct JsonVarClient<T> {
    name: &'static str,
    ty: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonVarClient<T> {
    /// The value of the variable.
    ///
    /// # Errors
    /// When the variable is not set, or its value is not a `T`.
    pub fn get(&self) -> Result<T> {
        Ok(codec::from_js(&lookup(self.name)?).map_err(|error| error.inside(self.name))?)
    }
}

/// A secret that belongs to the Worker, as a value: `static KEY: Secret = Secret::new("API_KEY");`.
#[derive(Clone, Copy, Debug)]
pub struct Secret {
    name: &'static str,
}

impl Secret {
    /// The secret of this name. A deployment has to set it; locally it is a line in `.dev.vars` beside the `Cargo.toml`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Bindable for Secret {
    type Client = SecretClient;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "secret_text")
    }

    fn client(&self) -> SecretClient {
        SecretClient { name: self.name, store: false }
    }
}

/// A secret of the account's Secrets Store, as a value: `StoreSecret::new("API_KEY", "default", "api-key")`.
#[derive(Clone, Copy, Debug)]
pub struct StoreSecret {
    binding: &'static str,
    store: &'static str,
    name: &'static str,
}

impl StoreSecret {
    /// The secret `name` of `store`, bound as `binding`.
    #[must_use]
    pub const fn new(binding: &'static str, store: &'static str, name: &'static str) -> Self {
        Self { binding, store, name }
    }
}

impl Bindable for StoreSecret {
    type Client = SecretClient;

    fn declare(&self) -> Declaration {
        Declaration::new(self.binding, "secrets_store_secret").with("store", self.store).with("secret", self.name)
    }

    fn client(&self) -> SecretClient {
        SecretClient { name: self.binding, store: true }
    }
}

/// The client of a secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretClient {
    name: &'static str,
    store: bool,
}

impl SecretClient {
    /// The text of the secret.
    ///
    /// # Errors
    /// When the secret is not set.
    pub async fn get(&self) -> Result<SecretText> {
        let binding = lookup(self.name)?;
        let value = if self.store { awaited(js::invoke0(&binding, "get")).await? } else { binding };
        let text = value.as_string();
        text.map(SecretText).ok_or_else(|| Error::Message(format!("the secret `{}` is no text", self.name)))
    }
}

/// The text of a secret. Its `Debug` output does not show it; only [`SecretText::expose`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

macro_rules! plain {
    ($($name:ident)*) => {
        $(
            impl<T> Clone for $name<T> {
                fn clone(&self) -> Self {
                    *self
                }
            }

            impl<T> Copy for $name<T> {}

            impl<T> fmt::Debug for $name<T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_struct(stringify!($name)).field("name", &self.name).finish_non_exhaustive()
                }
            }
        )*
    };
}

plain!(Var VarClient JsonVar JsonVarClient);
