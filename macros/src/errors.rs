//! Collects all mistakes in one macro call.

use proc_macro2::TokenStream;
use quote::ToTokens;
use std::fmt::Display;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Errors {
    first: Option<syn::Error>,
}

impl Errors {
    /// Notes a mistake at `tokens`, which are the user's own.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Notes a mistake that the parser found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.first {
            Some(first) => first.combine(error),
            None => self.first = Some(error),
        }
    }

    /// Takes over the mistakes of another collector.
    pub(crate) fn append(&mut self, other: Self) {
        if let Some(error) = other.first {
            self.push(error);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.first.as_ref().map_or(0, |error| error.into_iter().count())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// All mistakes as `compile_error!`s.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.first.map(|error| error.to_compile_error()).unwrap_or_default()
    }
}
