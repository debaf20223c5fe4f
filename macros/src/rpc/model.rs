//! The impl block, taken apart. The user's tokens stay what they are: a message needs their spans.

use crate::{durable_object::stub_name, errors::Errors, names, options::Options};
use proc_macro2::TokenStream;
use syn::{Attribute, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Pat, Path, ReturnType, Type, Visibility};

pub(super) struct Model {
    /// The block without our own attributes.
    pub(super) item: ItemImpl,
    pub(super) krate: TokenStream,
    /// The path of the stub type, beside the class.
    pub(super) stub: Path,
    pub(super) methods: Vec<Method>,
}

pub(super) struct Method {
    /// As written, without our own attributes.
    pub(super) source: ImplItemFn,
    pub(super) ident: Ident,
    pub(super) visibility: Visibility,
    /// `#[cfg]`s and documentation, which the stub's method repeats.
    pub(super) attributes: Vec<Attribute>,
    pub(super) wire_name: String,
    /// `#[rpc(name = "..")]`, if it was given.
    pub(super) given_name: Option<LitStr>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) is_async: bool,
    pub(super) output: Option<Type>,
}

pub(super) struct Parameter {
    /// `None` for a pattern that is more than a name.
    pub(super) ident: Option<Ident>,
    pub(super) ty: Type,
    pub(super) source: FnArg,
}

impl Model {
    pub(super) fn parse(options: TokenStream, item: TokenStream, errors: &mut Errors) -> Option<Self> {
        let options = Options::parse(options, &["crate"], errors);
        let mut item: ItemImpl = match syn::parse2(item) {
            Ok(item) => item,
            Err(error) => {
                errors.push(syn::Error::new(
                    error.span(),
                    "`#[rpc]` goes on the `impl` block of a `#[durable_object]` struct",
                ));
                return None;
            }
        };
        let Some(stub) = stub_path(&item.self_ty) else {
            errors.at(&item.self_ty, "`#[rpc]` needs the name of a `#[durable_object]` struct here");
            return None;
        };
        let mut methods = Vec::new();
        for entry in &mut item.items {
            if let ImplItem::Fn(method) = entry {
                methods.push(Method::parse(method, errors));
            }
        }
        Some(Self { krate: options.krate(), item, stub, methods })
    }
}

impl Method {
    fn parse(method: &mut ImplItemFn, errors: &mut Errors) -> Self {
        let mut given_name = None;
        for attribute in method.attrs.extract_if(.., |attribute| attribute.path().is_ident("rpc")) {
            let tokens = match attribute.meta {
                syn::Meta::List(list) => list.tokens,
                other => {
                    errors.at(other, "expected `#[rpc(name = \"..\")]`");
                    continue;
                }
            };
            given_name = Options::parse(tokens, &["name"], errors).name;
        }
        let signature = &method.sig;
        let repeated = ["cfg", "doc", "deprecated"];
        Self {
            ident: signature.ident.clone(),
            visibility: method.vis.clone(),
            attributes: method
                .attrs
                .iter()
                .filter(|attribute| repeated.iter().any(|name| attribute.path().is_ident(name)))
                .cloned()
                .collect(),
            wire_name: given_name
                .as_ref()
                .map_or_else(|| names::camel_case(&names::plain(&signature.ident)), LitStr::value),
            given_name,
            parameters: signature.inputs.iter().filter_map(Parameter::parse).collect(),
            is_async: signature.asyncness.is_some(),
            output: match &signature.output {
                ReturnType::Default => None,
                ReturnType::Type(_, ty) => Some((**ty).clone()),
            },
            source: method.clone(),
        }
    }

    /// The attributes that decide whether the method exists.
    pub(super) fn cfgs(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }

    /// Whether the method returns a `Result`, going by the name: the one thing a macro can see of a type.
    pub(super) fn is_fallible(&self) -> bool {
        match &self.output {
            Some(Type::Path(path)) => {
                path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result"))
            }
            _ => false,
        }
    }
}

impl Parameter {
    fn parse(argument: &FnArg) -> Option<Self> {
        let FnArg::Typed(typed) = argument else { return None };
        let ident = match &*typed.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => Some(pattern.ident.clone()),
            _ => None,
        };
        Some(Self { ident, ty: (*typed.ty).clone(), source: argument.clone() })
    }
}

/// `path::CounterStub` for `path::Counter`.
fn stub_path(class: &Type) -> Option<Path> {
    let Type::Path(class) = class else { return None };
    let mut path = class.path.clone();
    let last = path.segments.last_mut()?;
    last.ident = stub_name(&last.ident);
    Some(path)
}
