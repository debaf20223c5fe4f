//! `export!`: the only thing that puts anything into the export table of the wasm.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Path, Token, Type, parse::Parse, parse::ParseStream};

/// `export!(Api)`, or `export!(Api, crate = path)`.
struct Model {
    worker: Type,
    krate: TokenStream,
}

impl Parse for Model {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Err(input.error("expected the Worker to export: `realgar::export!(Api);`"));
        }
        let worker = input.parse()?;
        let mut krate = quote!(::realgar);
        if input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            if !input.peek(Token![crate]) {
                return Err(
                    input.error("`export!` takes one Worker, because a crate is one script, and `crate = path`")
                );
            }
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            let path = input.call(Path::parse_mod_style)?;
            krate = quote!(#path);
        }
        if !input.is_empty() {
            return Err(input.error("`export!` takes one Worker, because a crate is one script, and `crate = path`"));
        }
        Ok(Self { worker, krate })
    }
}

pub(crate) fn run(input: TokenStream) -> TokenStream {
    match syn::parse2(input) {
        Ok(model) => expand(&model),
        Err(error) => error.to_compile_error(),
    }
}

/// The symbols exist in wasm only: a host build of the crate, for its unit tests, exports nothing.
fn expand(Model { worker, krate }: &Model) -> TokenStream {
    quote! {
        // Its name is the message of the compiler when a crate exports twice.
        mod only_one_realgar_export_per_crate {}

        const _: fn() = #krate::__private::register::<#worker>;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn __realgar_register() {
                #krate::__private::register::<#worker>();
            }

            #[unsafe(no_mangle)]
            extern "C" fn __realgar_describe() -> #krate::__private::core::primitive::u64 {
                #krate::__private::describe::<#worker>()
            }

            #[unsafe(no_mangle)]
            extern "C" fn __realgar_describe_panic() -> #krate::__private::core::primitive::u64 {
                #krate::__private::describe_panic()
            }
        };
    }
}
