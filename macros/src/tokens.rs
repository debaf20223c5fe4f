//! Tokens: where they are in the source, and how the source spells them.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Type;

/// The same tokens at another place of the source.
pub(crate) fn respan(tokens: &TokenStream, span: Span) -> TokenStream {
    let respanned = tokens.clone().into_iter().map(|mut token| {
        token.set_span(span);
        token
    });
    respanned.collect()
}

/// A type as the source spells it, without the spaces that tokens have between them.
pub(crate) fn type_text(ty: &Type) -> String {
    let text = ty.to_token_stream().to_string();
    [(" < ", "<"), (" >", ">"), (" :: ", "::"), (" , ", ", "), (" ,", ","), ("[ ", "["), (" ]", "]"), ("& ", "&")]
        .iter()
        .fold(text, |text, (spaced, tight)| text.replace(spaced, tight))
        .replace(":: ", "::")
        .replace("< ", "<")
        .replace("( ", "(")
        .replace(" )", ")")
        .replace(" ;", ";")
}

/// Whether `Self` is among the tokens.
pub(crate) fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}
