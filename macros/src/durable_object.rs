//! `#[durable_object]`: the identity of a class, its stub type and its tables.

use crate::{errors::Errors, names, options::Options, tokens::respan};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Ident, ItemStruct, Path, Visibility};

/// The parsed struct and its options.
struct Model {
    /// Whether nothing is wrong except options that could not be parsed, such as unknown ones. Without them the struct is a class
    /// all the same, so code that names it has no second error.
    whole: bool,
    item: ItemStruct,
    krate: TokenStream,
    class: String,
    stub: Ident,
    /// The class that the struct implements, if that is another type.
    of: Option<Path>,
    /// Whether each object has a wasm instance of its own.
    isolated: bool,
}

pub(crate) fn run(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    match parse(options, item.clone(), &mut errors) {
        Some(model) if model.whole => {
            let (expanded, errors) = (expand(&model), errors.into_compile_errors());
            quote!(#expanded #errors)
        }
        Some(model) => {
            // The stub type is generated too, so that code which names it has no second error.
            let (item, stub, errors) = (&model.item, stub(&model), errors.into_compile_errors());
            quote!(#item #stub #errors)
        }
        None => {
            let errors = errors.into_compile_errors();
            quote!(#item #errors)
        }
    }
}

fn parse(options: TokenStream, item: TokenStream, errors: &mut Errors) -> Option<Model> {
    let options = Options::parse(options, &["name", "of", "isolation", "crate"], errors);
    let mistakes = errors.count();
    let item = parse_struct("durable_object", item, errors)?;
    if let (Some(_), Some(name)) = (&options.of, &options.name) {
        errors.at(name, "the class that `of` names has its own name");
    }
    let class = match &options.name {
        Some(name) => name.value(),
        None => names::plain(&item.ident),
    };
    if let Some(problem) = names::class_name_problem(&class) {
        match &options.name {
            Some(name) => errors.at(name, problem),
            None => errors.at(&item.ident, problem),
        }
    }
    Some(Model {
        whole: errors.count() == mistakes,
        krate: options.krate(),
        class,
        stub: stub_name(&item.ident),
        isolated: options.isolated,
        of: options.of,
        item,
    })
}

/// The type of a class's stub: `CounterStub` for `Counter`.
pub(crate) fn stub_name(class: &Ident) -> Ident {
    format_ident!("{}Stub", names::plain(class), span = class.span())
}

/// Parses the struct that `#[attribute]` is on, which may not be generic.
pub(crate) fn parse_struct(attribute: &str, item: TokenStream, errors: &mut Errors) -> Option<ItemStruct> {
    let item: ItemStruct = match syn::parse2::<syn::Item>(item) {
        Ok(syn::Item::Struct(item)) => item,
        Ok(other) => {
            errors.at(other, format!("`#[{attribute}]` goes on a struct"));
            return None;
        }
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            format!("a `#[{attribute}]` struct cannot be generic: the platform knows one class by one name"),
        );
    }
    Some(item)
}

fn expand(model: &Model) -> TokenStream {
    let Model { item, krate, of, isolated, .. } = model;
    let name = &item.ident;
    let isolation = isolated.then(|| isolation_export(model));
    let (identity, class) = match of {
        Some(of) => (TokenStream::new(), of.to_token_stream()),
        None => (identity(model), name.to_token_stream()),
    };
    let apart = apart(&model.item.ident, krate, "assert_no_worker", "WORKER");
    quote! {
        #item
        #identity
        #apart
        #isolation

        impl #krate::Live for #name {
            type Class = #class;
        }

        impl #krate::LiveObject for #name {
            fn table() -> #krate::__private::ObjectTable<Self> {
                use #krate::__private::{
                    AlarmAbsent as _, AlarmPresent as _, CloseAbsent as _, ClosePresent as _, ErrorAbsent as _, ErrorPresent as _, EventAbsent as _,
                    EventPresent as _, FetchAbsent as _, FetchPresent as _, MessageAbsent as _, MessagePresent as _, RpcAbsent as _, RpcPresent as _,
                };
                #krate::__private::ObjectTable {
                    methods: (&#krate::__private::Probe::<Self>::NEW).methods(),
                    fetch: (&#krate::__private::Probe::<Self>::NEW).fetch(),
                    alarm: (&#krate::__private::Probe::<Self>::NEW).alarm(),
                    event: (&#krate::__private::Probe::<Self>::NEW).event(),
                    waking: (&#krate::__private::Probe::<Self>::NEW).alarm_waking().or((&#krate::__private::Probe::<Self>::NEW).event_waking()),
                    message: (&#krate::__private::Probe::<Self>::NEW).message(),
                    close: (&#krate::__private::Probe::<Self>::NEW).close(),
                    error: (&#krate::__private::Probe::<Self>::NEW).error(),
                }
            }

            fn describe() -> #krate::__private::wire::Object {
                use #krate::__private::{
                    AlarmAbsent as _, AlarmPresent as _, CloseAbsent as _, ClosePresent as _, ContractAbsent as _, ContractPresent as _, ErrorAbsent as _,
                    ErrorPresent as _, EventAbsent as _, EventPresent as _, FetchAbsent as _, FetchPresent as _, MessageAbsent as _, MessagePresent as _,
                };
                #krate::__private::wire::Object {
                    class: #krate::__private::core::convert::From::from(<#class as #krate::ObjectClass>::NAME),
                    handlers: #krate::__private::joined([
                        (&#krate::__private::Probe::<Self>::NEW).describe_fetch(),
                        (&#krate::__private::Probe::<Self>::NEW).describe_alarm(),
                        (&#krate::__private::Probe::<Self>::NEW).describe_event(),
                        (&#krate::__private::Probe::<Self>::NEW).describe_message(),
                        (&#krate::__private::Probe::<Self>::NEW).describe_close(),
                        (&#krate::__private::Probe::<Self>::NEW).describe_error(),
                    ]),
                    methods: (&#krate::__private::Probe::<#class>::NEW).describe_methods(),
                    isolated: #isolated,
                    storage: #krate::__private::core::default::Default::default(),
                }
            }

            fn describe_awaited() -> #krate::__private::wire::Awaited {
                use #krate::__private::{EventAbsent as _, EventPresent as _, MessageFormAbsent as _, MessageFormPresent as _};
                #krate::__private::wire::Awaited {
                    payload: (&#krate::__private::Probe::<Self>::NEW).describe_payload(),
                    message: (&#krate::__private::Probe::<Self>::NEW).describe_message_form(),
                }
            }
        }
    }
}

/// The export that tells the linker that a module with small stacks may be needed. It does nothing.
fn isolation_export(model: &Model) -> TokenStream {
    let symbol = names::isolation_symbol(&format!("{} {}", model.class, model.item.to_token_stream()));
    quote! {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(export_name = #symbol)]
            extern "C" fn isolated() {}
        };
    }
}

/// Checks that the struct does not implement the trait of the other attribute.
pub(crate) fn apart(name: &Ident, krate: &TokenStream, assert: &str, constant: &str) -> TokenStream {
    let (span, krate) = (name.span(), respan(krate, name.span()));
    let (assert, constant) = (Ident::new(assert, span), Ident::new(constant, span));
    let check = quote_spanned! {span=> #krate::__private::#assert(#krate::__private::Implements::<#name>::#constant) };
    quote! {
        const _: () = {
            #[allow(unused_imports)]
            use #krate::__private::ImplementsNot as _;
            #check
        };
    }
}

/// The part that callers know: the class, how to bind it, and its stub.
fn identity(model: &Model) -> TokenStream {
    let Model { item, krate, class, stub: stub_name, .. } = model;
    let name = &item.ident;
    let stub = stub(model);
    quote! {
        #stub

        impl #name {
            /// The binding to the objects of this class that live in the Worker `W`.
            #[must_use]
            pub fn from<W: #krate::Hosts<Self>>() -> #krate::NamespaceBinding<Self> {
                #krate::NamespaceBinding::hosted_by::<W>()
            }

            /// The binding to the objects of this class that live in the script of that name. Nothing checks that it
            /// hosts them; `from` does.
            #[must_use]
            pub fn from_script(script: &'static #krate::__private::core::primitive::str) -> #krate::NamespaceBinding<Self> {
                #krate::NamespaceBinding::in_script(script)
            }
        }

        impl #krate::ObjectClass for #name {
            const NAME: &'static #krate::__private::core::primitive::str = #class;
            type Stub = #stub_name;
        }
    }
}

/// The stub type, if the struct is a class of its own.
fn stub(model: &Model) -> TokenStream {
    let Model { item, krate, class, stub, of, .. } = model;
    if of.is_some() {
        return TokenStream::new();
    }
    stub_type(&item.vis, krate, stub, &format!("A reference to one `{class}` object: its methods as calls."))
}

/// A stub type, on which callers call the methods of a class.
pub(crate) fn stub_type(visibility: &Visibility, krate: &TokenStream, stub: &Ident, doc: &str) -> TokenStream {
    quote! {
        #[doc = #doc]
        #[derive(#krate::__private::core::clone::Clone, #krate::__private::core::fmt::Debug)]
        #visibility struct #stub {
            stub: #krate::Stub,
        }

        impl #krate::__private::core::convert::From<#krate::Stub> for #stub {
            fn from(stub: #krate::Stub) -> Self {
                Self { stub }
            }
        }

        impl #krate::__private::core::ops::Deref for #stub {
            type Target = #krate::Stub;

            fn deref(&self) -> &#krate::Stub {
                &self.stub
            }
        }
    }
}
