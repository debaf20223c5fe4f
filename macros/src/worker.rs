//! `#[worker]`: the identity of a script and the classes it hosts.

use crate::{durable_object::parse_struct, errors::Errors, names, options::Options};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemStruct, Path, spanned::Spanned};

/// The struct, taken apart.
struct Model {
    item: ItemStruct,
    krate: TokenStream,
    class: String,
    script: String,
    hosts: Vec<Path>,
}

pub(crate) fn run(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    match parse(options, item.clone(), &mut errors) {
        Some(model) if errors.is_empty() => expand(&model),
        Some(Model { item, .. }) => {
            let errors = errors.into_compile_errors();
            quote!(#item #errors)
        }
        None => {
            let errors = errors.into_compile_errors();
            quote!(#item #errors)
        }
    }
}

fn parse(options: TokenStream, item: TokenStream, errors: &mut Errors) -> Option<Model> {
    let options = Options::parse(options, &["hosts", "name", "crate"], errors);
    let item = parse_struct("worker", item, errors)?;
    let class = names::plain(&item.ident);
    let script = options.name.as_ref().map_or_else(|| names::kebab_case(&class), syn::LitStr::value);
    if let Some(problem) = names::script_name_problem(&script) {
        match &options.name {
            Some(name) => errors.at(name, problem),
            None => errors.at(&item.ident, format!("{problem}, in `#[worker(name = \"..\")]`")),
        }
    }
    for (index, host) in options.hosts.iter().enumerate() {
        let text = host.to_token_stream().to_string();
        if options.hosts[..index].iter().any(|other| other.to_token_stream().to_string() == text) {
            errors.at(host, format!("`{text}` is listed twice"));
        }
    }
    Some(Model { krate: options.krate(), class, script, hosts: options.hosts, item })
}

fn expand(model: &Model) -> TokenStream {
    let Model { item, krate, class, script, hosts } = model;
    let name = &item.ident;
    // Spanned on the class, so that a class without a behaviour is reported there.
    let objects = hosts.iter().rev().fold(quote!(()), |tail, host| quote_spanned!(host.span()=> (#host, #tail)));
    quote! {
        #item

        impl #krate::WorkerClass for #name {
            const CLASS: &'static #krate::__private::core::primitive::str = #class;
            const NAME: &'static #krate::__private::core::primitive::str = #script;
        }

        #(impl #krate::Hosts<#hosts> for #name {})*

        impl #krate::LiveWorker for #name {
            type Class = Self;
            type Objects = #objects;
        }
    }
}
