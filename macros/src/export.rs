//! `export!`: puts the entry points of the program into the export table of the wasm. No other macro exports anything that ships.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Ident, Path, Token, Type,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

/// `export!(Api)`, or with `objects(CounterLive)`, or with `crate = path`.
struct Model {
    worker: Type,
    /// The implementations of the classes that the Worker hosts, if these are only contracts.
    objects: Option<Vec<Path>>,
    /// The named entrypoints of the script.
    entrypoints: Vec<Path>,
    krate: TokenStream,
}

const USAGE: &str = "`export!` takes one Worker, because a crate is one script, and then `objects(..)`, `entrypoints(..)` and `crate = path`";

impl Parse for Model {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Err(input.error("expected the Worker to export: `realgar::export!(Api);`"));
        }
        let mut model =
            Self { worker: input.parse()?, objects: None, entrypoints: Vec::new(), krate: quote!(::realgar) };
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            if input.parse::<Option<Token![crate]>>()?.is_some() {
                input.parse::<Token![=]>()?;
                let path = input.call(Path::parse_mod_style)?;
                model.krate = quote!(#path);
            } else if input.peek(Ident) && input.peek2(syn::token::Paren) {
                let keyword: Ident = input.parse()?;
                let content;
                syn::parenthesized!(content in input);
                let paths = Punctuated::<Path, Token![,]>::parse_terminated_with(&content, Path::parse_mod_style)?;
                let paths = paths.into_iter().collect();
                match keyword.to_string().as_str() {
                    "objects" => model.objects = Some(paths),
                    "entrypoints" => model.entrypoints = paths,
                    _ => return Err(syn::Error::new(keyword.span(), USAGE)),
                }
            } else {
                return Err(input.error(USAGE));
            }
        }
        if !input.is_empty() {
            return Err(input.error(USAGE));
        }
        Ok(model)
    }
}

pub(crate) fn run(input: TokenStream) -> TokenStream {
    match syn::parse2(input) {
        Ok(model) => expand(&model),
        Err(error) => error.to_compile_error(),
    }
}

/// The symbols exist in wasm only: a host build of the crate, for its unit tests, exports nothing.
fn expand(model: &Model) -> TokenStream {
    let Model { worker, objects, entrypoints, krate } = model;
    let entrypoint_list = entrypoints.iter().rev().fold(quote!(()), |tail, entrypoint| quote!((#entrypoint, #tail)));
    let list = match objects {
        Some(objects) => {
            let list = objects.iter().rev().fold(quote!(()), |tail, object| quote!((#object, #tail)));
            quote!(#krate::__private::Listed<#list>)
        }
        None => quote!(#krate::__private::AsHosted),
    };
    let program = quote!(<#worker, #list, #entrypoint_list>);
    let complete = quote_spanned!(worker.span()=> #krate::__private::Checked::#program::check);
    let check = objects.as_ref().map(|objects| provided(worker, objects, &program, krate));
    quote! {
        // Its name is the message of the compiler when a crate exports twice.
        mod only_one_realgar_export_per_crate {}

        const _: fn() = {
            #[allow(unused_imports)]
            use #krate::__private::Unmarked as _;
            #complete
        };

        #check

        #(const _: fn() = #krate::__private::entrypoint::<#worker, #entrypoints>;)*

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[allow(unused_imports)]
            use #krate::__private::Incomplete as _;

            #[unsafe(no_mangle)]
            extern "C" fn __realgar_register() {
                #krate::__private::Exported::#program::register();
            }

            #[unsafe(no_mangle)]
            extern "C" fn __realgar_describe() -> #krate::__private::core::primitive::u64 {
                #krate::__private::Exported::#program::describe()
            }

            #[unsafe(no_mangle)]
            extern "C" fn __realgar_describe_panic() -> #krate::__private::core::primitive::u64 {
                #krate::__private::describe_panic()
            }
        };
    }
}

/// Checks that `objects` implement the classes that the Worker hosts: all of them, each once, and no others.
fn provided(worker: &Type, objects: &[Path], program: &TokenStream, krate: &TokenStream) -> TokenStream {
    let span = worker.span();
    let all = quote_spanned!(span=> #krate::__private::Checked::#program::provided::<Provided>());
    let each =
        objects.iter().map(|object| quote_spanned!(span=> #krate::__private::Checked::#program::hosts::<#object>()));
    quote! {
        const _: () = {
            #[allow(unused_imports)]
            use #krate::__private::Unmarked as _;

            struct Provided;
            #(impl #krate::__private::Provides<<#objects as #krate::Live>::Class> for Provided {})*

            fn check() {
                #all;
                #(#each;)*
            }

            let _ = check;
        };
    }
}
