//! `#[worker]`: the identity of a script and the classes it hosts.

use crate::{
    durable_object::{apart, parse_struct, stub_name, stub_type},
    errors::Errors,
    names,
    options::{Change, Options, Script},
    tokens::respan,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemStruct, LitStr, Path, spanned::Spanned};

/// The parsed struct and its options.
struct Model {
    /// Whether nothing is wrong except options that could not be parsed, such as unknown ones. Without them the struct is a class
    /// all the same, so code that names it has no second error.
    whole: bool,
    item: ItemStruct,
    krate: TokenStream,
    class: String,
    script: String,
    hosts: Vec<Path>,
    /// The Worker that the struct implements, if that is another type.
    of: Option<Path>,
    /// The Worker in whose script the struct is a named entrypoint.
    entrypoint_of: Option<Path>,
    /// What became of classes that it hosted before.
    changes: Vec<Change>,
    /// The file with the history of its classes.
    migrations: Option<LitStr>,
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

const OPTIONS: [&str; 10] = [
    "hosts",
    "name",
    "of",
    "entrypoint_of",
    "renamed",
    "deleted",
    "transferred_to",
    "transferred_from",
    "migrations",
    "crate",
];

fn parse(options: TokenStream, item: TokenStream, errors: &mut Errors) -> Option<Model> {
    let options = Options::parse(options, &OPTIONS, errors);
    // A false statement about classes leaves the Worker whole, so that it brings no second error.
    check_history(&options, errors);
    let mistakes = errors.count();
    let item = parse_struct("worker", item, errors)?;
    let class = names::plain(&item.ident);
    let script = options.name.as_ref().map_or_else(|| names::kebab_case(&class), LitStr::value);
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
        changes: options.changes,
        migrations: options.migrations,
        item,
    })
}

/// Checks that statements about classes are where `hosts(..)` is, and that they name classes.
fn check_history(options: &Options, errors: &mut Errors) {
    let elsewhere = match (&options.of, &options.entrypoint_of) {
        (Some(_), _) => {
            Some("say this on the Worker that `of` names: the struct of the contract says what became of its classes")
        }
        (_, Some(_)) => Some("an entrypoint is part of another Worker, which says what became of its classes"),
        _ => None,
    };
    if let (Some(problem), Some(file)) = (elsewhere, &options.migrations) {
        errors.at(file, problem);
    }
    for change in &options.changes {
        let (name, path) = match change {
            Change::Renamed { from, to } => (Some(&from.0), Some(to)),
            Change::Deleted { class } | Change::TransferredTo { class, .. } => (Some(&class.0), None),
            Change::TransferredFrom { class, .. } => (None, Some(class)),
        };
        if let Some(problem) = elsewhere {
            match (name, path) {
                (Some(name), _) => errors.at(name, problem),
                (None, path) => errors.at(path, problem),
            }
        } else if let Some((name, problem)) =
            name.and_then(|name| Some((name, names::class_name_problem(&name.value())?)))
        {
            errors.at(name, problem);
        }
    }
}

fn expand(model: &Model) -> TokenStream {
    let Model { item, krate, of, .. } = model;
    let name = &item.ident;
    let (identity, class) = match of {
        Some(of) => (TokenStream::new(), of.to_token_stream()),
        None => (identity(model), name.to_token_stream()),
    };
    let apart = apart(&model.item.ident, krate, "assert_no_object", "OBJECT");
    quote! {
        #item
        #identity
        #apart

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

/// The part that callers know: the script, the classes it hosts, how to bind it, and its stub.
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
    let history = history(model);
    // Spanned on the class: what is none is reported there.
    let hosting = hosts.iter().map(|host| {
        let krate = respan(krate, host.span());
        quote_spanned!(host.span()=> impl #krate::Hosts<#host> for #name {})
    });
    quote! {
        #stub
        #part

        impl #name {
            /// The binding to this Worker, to call its methods and forward requests to it.
            #[must_use]
            pub fn service() -> #krate::ServiceBinding<Self> {
                #krate::ServiceBinding::new()
            }
        }

        impl #krate::WorkerClass for #name {
            const CLASS: &'static #krate::__private::core::primitive::str = #class;
            const NAME: &'static #krate::__private::core::primitive::str = #script;
            const ENTRYPOINT: #krate::__private::core::option::Option<&'static #krate::__private::core::primitive::str> =
                #entrypoint;
            type Hosted = #hosted;
            type Stub = #stub_name;
            #history
        }

        #(#hosting)*
    }
}

/// The statements about classes that the Worker hosted before. Without statements nothing is generated, because the trait has
/// defaults.
fn history(model: &Model) -> TokenStream {
    let Model { krate, changes, migrations, .. } = model;
    let migrations = migrations.iter().map(|file| {
        quote! {
            const MIGRATIONS: #krate::__private::core::option::Option<&'static #krate::__private::core::primitive::str> =
                #krate::__private::core::option::Option::Some(#file);
        }
    });
    let text = |value: TokenStream| quote!(#krate::__private::core::convert::From::from(#value));
    let hosted = |class: &Path| text(quote_spanned!(class.span()=> #krate::__private::hosted_name::<Self, #class>()));
    let script = |script: &Script| match script {
        Script::Name(name) => text(name.to_token_stream()),
        Script::Worker(worker) => text(quote_spanned!(worker.span()=> <#worker as #krate::WorkerClass>::NAME)),
    };
    let change = |change: &Change| match change {
        Change::Renamed { from, to } => {
            let (from, to) = (text(from.0.to_token_stream()), hosted(to));
            quote!(Renamed { from: #from, to: #to })
        }
        Change::Deleted { class } => {
            let class = text(class.0.to_token_stream());
            quote!(Deleted { class: #class })
        }
        Change::TransferredTo { class, script: to } => {
            let (class, script) = (text(class.0.to_token_stream()), script(to));
            quote!(TransferredTo { class: #class, script: #script })
        }
        Change::TransferredFrom { class, script: from } => {
            let (class, script) = (hosted(class), script(from));
            quote!(TransferredFrom { class: #class, script: #script })
        }
    };
    let list: Vec<TokenStream> = changes.iter().map(change).collect();
    let list = (!list.is_empty()).then(|| {
        quote! {
            fn class_changes() -> #krate::__private::ClassChanges {
                #krate::__private::ClassChanges::from([#(#krate::__private::wire::ClassChange::#list),*])
            }
        }
    });
    quote!(#(#migrations)* #list)
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
