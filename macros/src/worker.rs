//! `#[worker]`: the identity of a script and the classes it hosts.

use crate::{
    durable_object::{parse_struct, stub_name, stub_type},
    errors::Errors,
    names,
    options::Options,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemStruct, Path, spanned::Spanned};

/// The struct, taken apart.
struct Model {
    /// Nothing is wrong but options that are not known: without them it is a class all the same, and whatever names it has no second error.
    whole: bool,
    item: ItemStruct,
    krate: TokenStream,
    class: String,
    script: String,
    hosts: Vec<Path>,
    /// The Worker it implements, if that is another type.
    of: Option<Path>,
    /// The Worker whose script it is a named class of.
    entrypoint_of: Option<Path>,
}

pub(crate) fn run(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    match parse(options, item.clone(), &mut errors) {
        Some(model) if model.whole => {
            let (expanded, errors) = (expand(&model), errors.into_compile_errors());
            quote!(#expanded #errors)
        }
        Some(model) => {
            // The stub type too, so that code which names it has no second error.
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
    let options = Options::parse(options, &["hosts", "name", "of", "entrypoint_of", "crate"], errors);
    let mistakes = errors.count();
    let item = parse_struct("worker", item, errors)?;
    let class = names::plain(&item.ident);
    let script = options.name.as_ref().map_or_else(|| names::kebab_case(&class), syn::LitStr::value);
    if let Some(problem) = names::script_name_problem(&script) {
        match &options.name {
            Some(name) => errors.at(name, problem),
            None => errors.at(&item.ident, format!("{problem}, in `#[worker(name = \"..\")]`")),
        }
    }
    if options.of.is_some() {
        let identity = "the Worker that `of` names has its own";
        options.name.iter().for_each(|name| errors.at(name, format!("{identity} name")));
        options.hosts.first().iter().for_each(|host| errors.at(host, format!("{identity} `hosts(..)`")));
    }
    if options.entrypoint_of.is_some() {
        let problem = "an entrypoint is part of another Worker, which has this";
        options.name.iter().for_each(|name| errors.at(name, problem));
        options.hosts.first().iter().for_each(|host| errors.at(host, problem));
        if let Some(problem) = names::class_name_problem(&class) {
            errors.at(&item.ident, problem);
        }
    }
    for (index, host) in options.hosts.iter().enumerate() {
        let text = host.to_token_stream().to_string();
        if options.hosts[..index].iter().any(|other| other.to_token_stream().to_string() == text) {
            errors.at(host, format!("`{text}` is listed twice"));
        }
    }
    Some(Model {
        whole: errors.count() == mistakes,
        krate: options.krate(),
        class,
        script,
        hosts: options.hosts,
        of: options.of,
        entrypoint_of: options.entrypoint_of,
        item,
    })
}

fn expand(model: &Model) -> TokenStream {
    let Model { item, krate, of, .. } = model;
    let name = &item.ident;
    let (identity, class) = match of {
        Some(of) => (TokenStream::new(), of.to_token_stream()),
        None => (identity(model), name.to_token_stream()),
    };
    quote! {
        #item
        #identity

        impl #krate::Live for #name {
            type Class = #class;
        }

        impl #krate::LiveWorker for #name {
            fn table() -> #krate::__private::WorkerTable<Self> {
                use #krate::__private::{
                    ConsumeAbsent as _, ConsumePresent as _, RpcAbsent as _, RpcPresent as _, ScheduledAbsent as _,
                    ScheduledPresent as _,
                };
                #krate::__private::WorkerTable {
                    methods: (&#krate::__private::Probe::<Self>::NEW).methods(),
                    scheduled: (&#krate::__private::Probe::<Self>::NEW).scheduled(),
                    consume: (&#krate::__private::Probe::<Self>::NEW).consume(),
                }
            }

            fn describe() -> #krate::__private::wire::WorkerClass {
                use #krate::__private::{
                    ConsumeAbsent as _, ConsumePresent as _, ContractAbsent as _, ContractPresent as _,
                    ScheduledAbsent as _, ScheduledPresent as _,
                };
                #krate::__private::wire::WorkerClass {
                    class: #krate::__private::core::convert::From::from(<#class as #krate::WorkerClass>::CLASS),
                    script: #krate::__private::core::convert::From::from(<#class as #krate::WorkerClass>::NAME),
                    handlers: #krate::__private::joined([
                        (&#krate::__private::Probe::<Self>::NEW).describe_scheduled(),
                        (&#krate::__private::Probe::<Self>::NEW).describe_consume(),
                    ]),
                    methods: (&#krate::__private::Probe::<#class>::NEW).describe_methods(),
                }
            }
        }
    }
}

/// What callers know: the script, what it hosts, how to bind it, and its stub.
fn identity(model: &Model) -> TokenStream {
    let Model { item, krate, class, script, hosts, entrypoint_of, .. } = model;
    let (name, stub_name, stub) = (&item.ident, stub_name(&item.ident), stub(model));
    // Spanned on the class, so that a class without a behaviour is reported there.
    let hosted = hosts.iter().rev().fold(quote!(()), |tail, host| quote_spanned!(host.span()=> (#host, #tail)));
    let (script, entrypoint, part) = match entrypoint_of {
        None => (quote!(#script), quote!(#krate::__private::core::option::Option::None), TokenStream::new()),
        Some(whole) => (
            quote!(<#whole as #krate::WorkerClass>::NAME),
            quote!(#krate::__private::core::option::Option::Some(#class)),
            quote!(impl #krate::__private::EntrypointOf<#whole> for #name {}),
        ),
    };
    quote! {
        #stub
        #part

        impl #name {
            /// The binding to this Worker, to call its methods and forward requests to it.
            #[must_use]
            pub fn service() -> #krate::ServiceBinding<Self> {
                #krate::ServiceBinding::new()
            }

            // Asked for by `export!`, class by class.
            #[doc(hidden)]
            pub fn realgar_provided_by<P: #(#krate::__private::Provides<#hosts> +)*>() {}
        }

        impl #krate::WorkerClass for #name {
            const CLASS: &'static #krate::__private::core::primitive::str = #class;
            const NAME: &'static #krate::__private::core::primitive::str = #script;
            const ENTRYPOINT: #krate::__private::core::option::Option<&'static #krate::__private::core::primitive::str> =
                #entrypoint;
            type Hosted = #hosted;
            type Stub = #stub_name;
        }

        #(impl #krate::Hosts<#hosts> for #name {})*
    }
}

/// The stub type, if the struct is a Worker of its own.
fn stub(model: &Model) -> TokenStream {
    let Model { item, krate, script, of, .. } = model;
    if of.is_some() {
        return TokenStream::new();
    }
    let doc = format!("A reference to the Worker `{script}`: its methods as calls.");
    stub_type(&item.vis, krate, &stub_name(&item.ident), &doc)
}
