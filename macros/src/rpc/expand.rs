//! The generated code: a table of methods, their description, and a call for each on the stub.

use super::model::{Method, Model, Parameter};
use crate::names;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

pub(super) fn all(model: &Model) -> TokenStream {
    let Model { item, krate, methods, .. } = model;
    let class = &item.self_ty;
    let stubs = stubs(model);
    let callables = methods.iter().map(|method| callable(model, method));
    let descriptions = methods.iter().map(|method| description(model, method));
    quote! {
        #item
        #stubs

        impl #krate::__private::Rpc for #class {
            const METHODS: &'static [#krate::__private::Method<Self>] = &[#(#callables),*];

            fn describe() -> #krate::__private::Vec<#krate::__private::wire::Method> {
                #krate::__private::core::convert::From::from([#(#descriptions),*])
            }
        }
    }
}

/// The methods of the stub type.
pub(super) fn stubs(model: &Model) -> TokenStream {
    let stub = &model.stub;
    let methods = model.methods.iter().map(|method| call(model, method));
    quote! {
        impl #stub {
            #(#methods)*
        }
    }
}

/// The method as the runtime calls it. What the compiler may refuse has the span of the type that it refuses.
fn callable(model: &Model, method: &Method) -> TokenStream {
    let Method { ident, parameters, .. } = method;
    let cfgs = method.cfgs();
    let count = u32::try_from(parameters.len()).unwrap_or(u32::MAX);
    let arguments = parameters.iter().enumerate().map(|(index, Parameter { ident, ty, .. })| {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let name = ident.as_ref().map(names::plain).unwrap_or_default();
        let krate = respan(&model.krate, ty.span());
        quote_spanned!(ty.span()=> #krate::__private::argument::<#ty>(&_arguments, #index, #name)?)
    });
    let await_it = method.is_async.then(|| quote!(.await));
    let span = output_span(method);
    let krate = respan(&model.krate, span);
    let reply = if method.is_fallible() { quote_spanned!(span=> reply_fallible) } else { quote_spanned!(span=> reply) };
    quote_spanned! {span=>
        #(#cfgs)*
        #krate::__private::Method {
            parameters: #count,
            call: |_object, _arguments| #krate::__private::#reply(async move {
                #krate::__private::core::result::Result::Ok(_object.#ident(#(#arguments),*)#await_it)
            }),
        }
    }
}

/// The method as the manifest shows it.
fn description(model: &Model, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let cfgs = method.cfgs();
    let name = &method.wire_name;
    let result = method.output.as_ref().map_or_else(|| "()".into(), type_text);
    let parameters = method.parameters.iter().map(|parameter| {
        let name = parameter.ident.as_ref().map(names::plain).unwrap_or_default();
        let ty = type_text(&parameter.ty);
        quote! {
            #krate::__private::wire::Parameter {
                name: #krate::__private::core::convert::From::from(#name),
                ty: #krate::__private::core::convert::From::from(#ty),
            }
        }
    });
    quote! {
        #(#cfgs)*
        #krate::__private::wire::Method {
            name: #krate::__private::core::convert::From::from(#name),
            params: #krate::__private::core::convert::From::from([#(#parameters),*]),
            result: #krate::__private::core::convert::From::from(#result),
        }
    }
}

/// The method as a caller sees it.
fn call(model: &Model, method: &Method) -> TokenStream {
    let Method { ident, visibility, attributes, wire_name, parameters, .. } = method;
    let names = parameters.iter().map(|parameter| &parameter.ident);
    let types = parameters.iter().map(|parameter| &parameter.ty);
    let arguments = parameters.iter().map(|Parameter { ident, ty, .. }| {
        let name = ident.as_ref().map(names::plain).unwrap_or_default();
        let krate = respan(&model.krate, ty.span());
        quote_spanned!(ty.span()=> (#name, &#ident as &dyn #krate::__private::Argument))
    });
    let span = output_span(method);
    let krate = respan(&model.krate, span);
    let output = method.output.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let (result, call) = if method.is_fallible() {
        (
            quote_spanned! {span=>
                #krate::__private::core::result::Result<
                    <#output as #krate::__private::Fallible>::Ok,
                    #krate::CallError<<#output as #krate::__private::Fallible>::Error>,
                >
            },
            quote_spanned!(span=> #krate::__private::call_fallible),
        )
    } else {
        (
            quote_spanned!(span=> #krate::__private::core::result::Result<#output, #krate::RpcError>),
            quote_spanned!(span=> #krate::__private::call),
        )
    };
    let body = quote_spanned!(span=> #call(self, #wire_name, &[#(#arguments),*]).await);
    quote! {
        #(#attributes)*
        #visibility async fn #ident(&self #(, #names: #types)*) -> #result {
            #body
        }
    }
}

fn output_span(method: &Method) -> Span {
    method.output.as_ref().map_or_else(|| method.ident.span(), Spanned::span)
}

/// The same tokens at another place of the source.
fn respan(tokens: &TokenStream, span: Span) -> TokenStream {
    let respanned = tokens.clone().into_iter().map(|mut token| {
        token.set_span(span);
        token
    });
    respanned.collect()
}

/// A type as the source spells it, without the spaces that tokens have between them.
fn type_text(ty: &syn::Type) -> String {
    let text = ty.to_token_stream().to_string();
    [(" < ", "<"), (" >", ">"), (" :: ", "::"), (" , ", ", "), (" ,", ","), ("[ ", "["), (" ]", "]"), ("& ", "&")]
        .iter()
        .fold(text, |text, (spaced, tight)| text.replace(spaced, tight))
        .replace(":: ", "::")
        .replace("< ", "<")
        .replace("( ", "(")
        .replace(" )", ")")
        .replace(" ;", ";")
}
