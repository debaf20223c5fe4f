//! `#[rpc]`: the methods of a class, with the code for the object that runs them and for the stub that calls them.

mod check;
mod expand;
mod model;

use crate::errors::Errors;
use model::Model;
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn run(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(mut model) = Model::parse(options, item.clone(), &mut errors) else {
        let errors = errors.into_compile_errors();
        return quote!(#item #errors);
    };
    check::run(&mut model, &mut errors);
    if errors.is_empty() {
        return expand::all(&model);
    }
    // The stubs are generated too, so that callers have no second error.
    let (item, stubs, errors) = (&model.item, expand::stubs(&model), errors.into_compile_errors());
    quote!(#item #stubs #errors)
}
