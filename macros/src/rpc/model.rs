//! The parsed block of methods. It keeps the user's own tokens, because error messages need their spans.

use crate::{durable_object::stub_name, errors::Errors, names, options::Options};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Attribute, FnArg, GenericArgument, Ident, ImplItem, Item, ItemImpl, ItemTrait, LitStr, Pat, Path, PathArguments,
    PathSegment, ReturnType, Signature, TraitItem, Type, TypeParamBound, Visibility,
};

pub(super) struct Model {
    /// The block without our own attributes.
    pub(super) item: TokenStream,
    pub(super) kind: Kind,
    pub(super) krate: TokenStream,
    /// The class that callers know.
    pub(super) class: Path,
    /// The path of the stub type, beside the class.
    pub(super) stub: Path,
    pub(super) methods: Vec<Method>,
}

/// What `#[rpc]` is on.
pub(super) enum Kind {
    /// `impl Counter`: one type is the class and implements it.
    Inherent,
    /// `trait CounterRpc`, `for = Counter`: the contract that callers know.
    Contract(Ident),
    /// `impl CounterRpc for CounterLive`: the implementation of a contract.
    Implementation(Box<Type>),
}

pub(super) struct Method {
    pub(super) signature: Signature,
    pub(super) ident: Ident,
    pub(super) visibility: Visibility,
    /// `#[cfg]`s and documentation, which the stub's method repeats.
    pub(super) attributes: Vec<Attribute>,
    pub(super) wire_name: String,
    /// `#[rpc(name = "..")]`, if it was given.
    pub(super) given_name: Option<LitStr>,
    /// `#[rpc(native)]`: values travel as JavaScript's own, also between Rust and Rust.
    pub(super) native: bool,
    /// `#[rpc(idempotent)]`: the method may run twice.
    pub(super) idempotent: bool,
    /// The place of the option `exclusive`, if it was given: exclusive methods run one at a time.
    pub(super) exclusive: Option<Path>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) is_async: bool,
    /// The return type as the source spells it.
    pub(super) declared: Option<Type>,
    pub(super) output: Output,
}

/// The kind of result that a method returns. It is told from the spelling of the type, which is all that a macro can see of a type.
pub(super) enum Output {
    /// A value, of this type or `()`.
    Value(Option<Type>),
    /// A `Result`, which is recognised by its name: see `is_result`.
    Result(Type),
    /// `impl Stream<Item = ..>`
    Stream(Items),
    /// A `Result` of a stream: the same type with `()` in place of the stream.
    StreamResult(Items, Box<Type>),
}

/// The items of a stream.
pub(super) struct Items {
    pub(super) ty: Type,
    /// Whether each item is a `Result`.
    pub(super) fallible: bool,
}

pub(super) struct Parameter {
    /// `None` for a pattern that is more than a name.
    pub(super) ident: Option<Ident>,
    pub(super) ty: Type,
    pub(super) stream: Option<StreamParameter>,
    pub(super) source: FnArg,
}

impl Model {
    pub(super) fn parse(options: TokenStream, item: TokenStream, errors: &mut Errors) -> Option<Self> {
        let known = ["for", "native", "crate"];
        match syn::parse2(item) {
            Ok(Item::Impl(item)) => Self::of_impl(Options::parse(options, &known, errors), item, errors),
            Ok(Item::Trait(item)) => Self::of_trait(Options::parse(options, &known, errors), item, errors),
            // The options are not parsed: they are those of a method.
            Ok(Item::Fn(method)) => {
                errors.at(method.sig, "`#[rpc]` on a method needs `#[rpc]` on its `impl` block too");
                None
            }
            Ok(other) => {
                errors.at(
                    other,
                    "`#[rpc]` goes on the `impl` block of a `#[durable_object]` or `#[worker]` struct, or on the trait of \
                     its methods",
                );
                None
            }
            Err(error) => {
                errors.push(error);
                None
            }
        }
    }

    fn of_impl(options: Options, mut item: ItemImpl, errors: &mut Errors) -> Option<Self> {
        let krate = options.krate();
        if let Some(class) = &options.class {
            errors.at(class, "`for` goes with a trait: an `impl` block says itself what it is for");
        }
        if !item.generics.params.is_empty() {
            errors.at(&item.generics, "a `#[rpc]` block cannot be generic");
        }
        let class = match ungrouped(&item.self_ty) {
            Type::Path(path) => path.path.clone(),
            other => {
                errors.at(other, "`#[rpc]` needs the name of a `#[durable_object]` or `#[worker]` struct here");
                return None;
            }
        };
        let stub = stub_path(&class)?;
        if item.trait_.is_some() {
            for entry in &mut item.items {
                refuse_own_attributes(entry, errors);
            }
            let kind = Kind::Implementation(item.self_ty.clone());
            return Some(Self { item: item.to_token_stream(), kind, krate, class, stub, methods: Vec::new() });
        }
        let mut methods = Vec::new();
        for entry in &mut item.items {
            match entry {
                ImplItem::Fn(method) => {
                    let (visibility, signature) = (method.vis.clone(), method.sig.clone());
                    methods.push(Method::parse(&mut method.attrs, visibility, signature, options.native, errors));
                }
                other => errors.at(other, "a `#[rpc]` block holds methods only; move this to a plain `impl` block"),
            }
        }
        Some(Self { item: item.to_token_stream(), kind: Kind::Inherent, krate, class, stub, methods })
    }

    fn of_trait(options: Options, mut item: ItemTrait, errors: &mut Errors) -> Option<Self> {
        let krate = options.krate();
        let Some(class) = options.class else {
            errors.at(&item.ident, "say which class has these methods: `#[rpc(for = Counter)]`");
            return None;
        };
        if !item.generics.params.is_empty() {
            errors.at(&item.generics, "a `#[rpc]` trait cannot be generic");
        }
        let mut methods = Vec::new();
        for entry in &mut item.items {
            match entry {
                TraitItem::Fn(method) => {
                    if let Some(body) = &method.default {
                        errors.at(body, "a contract has no implementation: end the method with `;`");
                    }
                    let (visibility, signature) = (item.vis.clone(), method.sig.clone());
                    methods.push(Method::parse(&mut method.attrs, visibility, signature, options.native, errors));
                }
                other => errors.at(other, "a `#[rpc]` trait holds methods only"),
            }
        }
        let stub = stub_path(&class)?;
        let kind = Kind::Contract(item.ident.clone());
        // Nobody calls these methods but the object's own isolate, so that their futures need not be `Send`.
        let item = quote!(#[allow(async_fn_in_trait)] #item);
        Some(Self { item, kind, krate, class, stub, methods })
    }
}

/// Reports our attributes on the methods of an implementation. They belong on the trait, which says what callers see.
fn refuse_own_attributes(entry: &mut ImplItem, errors: &mut Errors) {
    let ImplItem::Fn(method) = entry else { return };
    for attribute in method.attrs.extract_if(.., |attribute| attribute.path().is_ident("rpc")) {
        errors.at(attribute, "this goes on the method of the trait, which is what callers see");
    }
}

impl Method {
    fn parse(
        attributes: &mut Vec<Attribute>,
        visibility: Visibility,
        signature: Signature,
        mut native: bool,
        errors: &mut Errors,
    ) -> Self {
        let (mut given_name, mut idempotent, mut exclusive) = (None, false, None);
        for attribute in attributes.extract_if(.., |attribute| attribute.path().is_ident("rpc")) {
            let tokens = match attribute.meta {
                syn::Meta::List(list) => list.tokens,
                other => {
                    let options = "`#[rpc(native)]`, `#[rpc(idempotent)]` or `#[rpc(exclusive)]`";
                    errors.at(other, format!("expected `#[rpc(name = \"..\")]`, {options}"));
                    continue;
                }
            };
            let options = Options::parse(tokens, &["name", "native", "idempotent", "exclusive"], errors);
            let takes_stream = signature.inputs.iter().filter_map(Parameter::parse).any(|own| own.stream.is_some());
            if let Some(option) = options.idempotent.as_ref().filter(|_| takes_stream) {
                errors.at(option, "a call that sends a stream cannot be repeated: the stream is used up");
            }
            let gives_stream = matches!(&signature.output, ReturnType::Type(_, ty) if matches!(
                Output::of(Some(ty)),
                Output::Stream(_) | Output::StreamResult(..)
            ));
            if let Some(option) = options.exclusive.as_ref().filter(|_| gives_stream) {
                errors.at(option, "a stream cannot be exclusive: its reader would keep all others waiting");
            }
            given_name = options.name.or(given_name);
            exclusive = options.exclusive.or(exclusive);
            native |= options.native;
            idempotent |= options.idempotent.is_some();
        }
        let repeated = ["cfg", "doc", "deprecated"];
        let repeat = |attribute: &&Attribute| repeated.iter().any(|name| attribute.path().is_ident(name));
        let declared = match &signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some((**ty).clone()),
        };
        Self {
            ident: signature.ident.clone(),
            visibility,
            attributes: attributes.iter().filter(repeat).cloned().collect(),
            wire_name: given_name
                .as_ref()
                .map_or_else(|| names::camel_case(&names::plain(&signature.ident)), LitStr::value),
            given_name,
            native,
            idempotent,
            exclusive,
            parameters: signature.inputs.iter().filter_map(Parameter::parse).collect(),
            is_async: signature.asyncness.is_some(),
            output: Output::of(declared.as_ref()),
            declared,
            signature,
        }
    }

    /// The lines of the documentation.
    pub(super) fn doc(&self) -> impl Iterator<Item = String> {
        self.attributes.iter().filter_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(syn::MetaNameValue {
                path,
                value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }),
                ..
            }) if path.is_ident("doc") => Some(text.value().trim().to_string()),
            _ => None,
        })
    }

    /// The attributes that decide whether the method exists.
    pub(super) fn cfgs(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }
}

impl Output {
    fn of(declared: Option<&Type>) -> Self {
        let Some(ty) = declared.map(ungrouped) else { return Self::Value(None) };
        if let Some(items) = items(ty) {
            return Self::Stream(items);
        }
        if !is_result(ty) {
            return Self::Value(Some(ty.clone()));
        }
        let mut result = ty.clone();
        match first_argument(&mut result) {
            Some(ok) if let Some(items) = items(ok) => {
                *ok = syn::parse_quote!(());
                Self::StreamResult(items, Box::new(result))
            }
            _ => Self::Result(ty.clone()),
        }
    }
}

/// Whether a type is a `Result`, going by its name: `Result` itself, or an alias of it that has parameters, such as
/// `ApiResult<T>`. The generated code checks that no other type is a `Result`.
fn is_result(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|last| {
        let has_parameters = matches!(last.arguments, PathArguments::AngleBracketed(_));
        last.ident == "Result" || (has_parameters && last.ident.to_string().ends_with("Result"))
    })
}

/// The type without the group that a user's own macro puts around it (`$t:ty`), and without parentheses.
pub(super) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

fn ungroup(ty: &mut Type) {
    *ty = ungrouped(ty).clone();
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ungrouped(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The first type in the angle brackets of a type.
fn first_argument(ty: &mut Type) -> Option<&mut Type> {
    ungroup(ty);
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &mut path.path.segments.last_mut()?.arguments else { return None };
    arguments.args.iter_mut().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The items of `impl Stream<Item = ..>`.
fn items(ty: &Type) -> Option<Items> {
    let Type::ImplTrait(ty) = ungrouped(ty) else { return None };
    ty.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Stream")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(item) if item.ident == "Item" => {
                Some(Items { fallible: is_result(&item.ty), ty: item.ty.clone() })
            }
            _ => None,
        })
    })
}

/// A parameter that is a stream: `RpcStream<T>` or `RpcStream<T, CallError<E>>`.
pub(super) struct StreamParameter {
    pub(super) item: Type,
    /// The error that the method may get instead of an item: `CallError<E>`.
    pub(super) call_error: Option<Type>,
}

impl StreamParameter {
    fn of(ty: &Type) -> Option<Self> {
        let last = last_segment(ty).filter(|last| last.ident == "RpcStream")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        let mut types = arguments.args.iter().filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty.clone()),
            _ => None,
        });
        Some(Self { item: types.next()?, call_error: types.next() })
    }

    /// The `E` of `CallError<E>`.
    pub(super) fn error(&self) -> Option<Type> {
        first_argument(&mut self.call_error.clone()?).cloned()
    }
}

impl Parameter {
    fn parse(argument: &FnArg) -> Option<Self> {
        let FnArg::Typed(typed) = argument else { return None };
        let ident = match &*typed.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => Some(pattern.ident.clone()),
            _ => None,
        };
        Some(Self { ident, stream: StreamParameter::of(&typed.ty), ty: (*typed.ty).clone(), source: argument.clone() })
    }
}

/// `path::CounterStub` for `path::Counter`.
fn stub_path(class: &Path) -> Option<Path> {
    let mut path = class.clone();
    let last = path.segments.last_mut()?;
    last.ident = stub_name(&last.ident);
    Some(path)
}
