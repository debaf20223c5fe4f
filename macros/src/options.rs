//! The options in the parentheses of a macro.

use crate::{errors::Errors, names};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Ident, LitStr, Path, Token,
    meta::ParseNestedMeta,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

/// The options that were given. Each macro says which options it knows.
#[derive(Default)]
pub(crate) struct Options {
    /// `name = ".."`
    pub(crate) name: Option<LitStr>,
    /// `native`
    pub(crate) native: bool,
    /// `idempotent`, as the place where it was given
    pub(crate) idempotent: Option<Path>,
    /// `exclusive`, as the place where it was given
    pub(crate) exclusive: Option<Path>,
    /// `of = path`
    pub(crate) of: Option<Path>,
    /// `entrypoint_of = path`
    pub(crate) entrypoint_of: Option<Path>,
    /// `for = path`
    pub(crate) class: Option<Path>,
    /// `hosts(A, B)`
    pub(crate) hosts: Vec<Path>,
    /// `isolation = "object"`
    pub(crate) isolated: bool,
    /// `renamed(Old = Counter)`, `deleted(Gone)`, `transferred_to(..)`, `transferred_from(..)`
    pub(crate) changes: Vec<Change>,
    /// `migrations = "migrations.toml"`
    pub(crate) migrations: Option<LitStr>,
    krate: Option<Path>,
}

/// What became of a class that the Worker hosted before.
pub(crate) enum Change {
    /// `renamed(Old = Counter)`: the new class is one that the Worker hosts.
    Renamed { from: ClassName, to: Path },
    /// `deleted(Gone)`
    Deleted { class: ClassName },
    /// `transferred_to(Counter = "script")`
    TransferredTo { class: ClassName, script: Script },
    /// `transferred_from(Counter = "script")`
    TransferredFrom { class: Path, script: Script },
}

/// The name of a class that no longer exists in the source: an identifier or a text.
pub(crate) struct ClassName(pub(crate) LitStr);

impl Parse for ClassName {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return input.parse().map(Self);
        }
        let ident: Ident = input.parse()?;
        Ok(Self(LitStr::new(&names::plain(&ident), ident.span())))
    }
}

/// A script: its name as text, or its Worker.
pub(crate) enum Script {
    Name(LitStr),
    Worker(Path),
}

impl Parse for Script {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) { input.parse().map(Self::Name) } else { Path::parse_mod_style(input).map(Self::Worker) }
    }
}

/// `A = B`.
struct Pair<A, B>(A, B);

impl<A: Parse, B: Parse> Parse for Pair<A, B> {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let first = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self(first, input.parse()?))
    }
}

/// The list in the parentheses behind an option.
fn list<T: Parse>(meta: &ParseNestedMeta<'_>) -> syn::Result<impl Iterator<Item = T>> {
    let content;
    syn::parenthesized!(content in meta.input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter())
}

impl Options {
    /// Parses `tokens`. Options outside of `known` are mistakes.
    pub(crate) fn parse(tokens: TokenStream, known: &[&str], errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let parser = syn::meta::parser(|meta| options.option(&meta, known, errors));
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        options
    }

    /// The path of the crate `realgar`: `crate = path` for those who renamed it.
    pub(crate) fn krate(&self) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote!(::realgar), |path| quote!(#path))
    }

    fn option(&mut self, meta: &ParseNestedMeta<'_>, known: &[&str], errors: &mut Errors) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !known.contains(&name.as_str()) {
            let expected = known.iter().map(|name| format!("`{}`", usage(name))).collect::<Vec<_>>().join(", ");
            errors.at(&meta.path, format!("unknown option; expected one of: {expected}"));
            return skip(meta);
        }
        match name.as_str() {
            "name" => {
                let value: LitStr = meta.value()?.parse()?;
                if self.name.replace(value).is_some() {
                    errors.at(&meta.path, "`name` is given twice");
                }
            }
            "isolation" => {
                let value: LitStr = meta.value()?.parse()?;
                match value.value().as_str() {
                    "object" => self.isolated = true,
                    "isolate" => self.isolated = false,
                    other => errors.at(
                        &value,
                        format!(
                            "`{other}` is no kind of isolation: it is \"object\", with a wasm instance for each object, or \
                             \"isolate\", the default, with one for all that run in an isolate"
                        ),
                    ),
                }
            }
            "native" => self.native = true,
            "idempotent" => self.idempotent = Some(meta.path.clone()),
            "exclusive" => self.exclusive = Some(meta.path.clone()),
            "of" => self.of = Some(meta.value()?.call(Path::parse_mod_style)?),
            "entrypoint_of" => self.entrypoint_of = Some(meta.value()?.call(Path::parse_mod_style)?),
            "for" => self.class = Some(meta.value()?.call(Path::parse_mod_style)?),
            "crate" => self.krate = Some(meta.value()?.call(Path::parse_mod_style)?),
            "migrations" => self.migrations = Some(meta.value()?.parse()?),
            "renamed" => self.changes.extend(list(meta)?.map(|Pair(from, to)| Change::Renamed { from, to })),
            "deleted" => self.changes.extend(list(meta)?.map(|class| Change::Deleted { class })),
            "transferred_to" => {
                self.changes.extend(list(meta)?.map(|Pair(class, script)| Change::TransferredTo { class, script }));
            }
            "transferred_from" => {
                self.changes.extend(list(meta)?.map(|Pair(class, script)| Change::TransferredFrom { class, script }));
            }
            _ => self.hosts.extend(list::<Path>(meta)?),
        }
        Ok(())
    }
}

fn usage(option: &str) -> &'static str {
    match option {
        "name" => "name = \"..\"",
        "hosts" => "hosts(A, B)",
        "renamed" => "renamed(Old = New)",
        "deleted" => "deleted(Gone)",
        "transferred_to" => "transferred_to(Class = \"script\")",
        "transferred_from" => "transferred_from(Class = \"script\")",
        "migrations" => "migrations = \"file.toml\"",
        "isolation" => "isolation = \"object\"",
        "native" => "native",
        "idempotent" => "idempotent",
        "exclusive" => "exclusive",
        "of" => "of = Class",
        "entrypoint_of" => "entrypoint_of = Worker",
        "for" => "for = Class",
        _ => "crate = path",
    }
}

/// Passes over the value of an unknown option, so that what follows it is looked at too.
fn skip(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}
