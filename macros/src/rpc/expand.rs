//! Generates the code: a table of methods, their description, and a call for each on the stub.

use super::model::{Items, Kind, Method, Model, Output, Parameter, StreamParameter};
use crate::{
    names,
    tokens::{respan, type_text},
};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use std::collections::HashSet;
use syn::{Type, parse_quote_spanned, spanned::Spanned};

pub(super) fn all(model: &Model) -> TokenStream {
    let Model { item, krate, class, kind, .. } = model;
    let ways = ways(krate);
    if let Kind::Implementation(live) = kind {
        return quote! {
            #item

            impl #krate::__private::Rpc for #live {
                const METHODS: &'static [#krate::__private::Method<Self>] =
                    <<Self as #krate::Live>::Class as #krate::__private::ImplementedBy<Self>>::METHODS;
            }
        };
    }
    let (stubs, contract, describe) = (stubs(model), contract(model), describe_export(model));
    let callables = model.methods.iter().map(|method| callable(model, method));
    let methods = match kind {
        Kind::Contract(contract) => quote! {
            impl<Live: #contract + 'static> #krate::__private::ImplementedBy<Live> for #class {
                const METHODS: &'static [#krate::__private::Method<Live>] = {
                    #ways
                    &[#(#callables),*]
                };
            }
        },
        _ => quote! {
            impl #krate::__private::Rpc for #class {
                const METHODS: &'static [#krate::__private::Method<Self>] = {
                    #ways
                    &[#(#callables),*]
                };
            }
        },
    };
    let results = model.methods.iter().filter_map(|method| hidden_result(model, method));
    quote! {
        #item
        #stubs
        #methods
        #contract
        #describe
        #(#results)*
    }
}

/// What makes the functions of `Value` and `Outcome` found for types that cannot travel too.
fn ways(krate: &TokenStream) -> TokenStream {
    quote! {
        #[allow(unused_imports)]
        use #krate::__private::{Unfit as _, UnfitResult as _};
    }
}

/// Checks that a type which does not look like a `Result` is none. As a value, a `Result` would reach callers as `{ "Err": .. }`.
fn hidden_result(model: &Model, method: &Method) -> Option<TokenStream> {
    let ty = match &method.output {
        Output::Value(ty) => ty.as_ref(),
        Output::Stream(items) | Output::StreamResult(items, _) if !items.fallible => Some(&items.ty),
        _ => None,
    }?;
    let (cfgs, krate, spanned) = (method.cfgs(), &model.krate, respan(&model.krate, ty.span()));
    let check = quote_spanned! {ty.span()=>
        #spanned::__private::assert_no_result(#spanned::__private::IsResult::<#ty>::IS_RESULT)
    };
    Some(quote! {
        #(#cfgs)*
        const _: () = {
            #[allow(unused_imports)]
            use #krate::__private::NoResult as _;
            #check;
        };
    })
}

/// The contract that callers know, for describe mode.
fn contract(model: &Model) -> TokenStream {
    let Model { krate, class, methods, .. } = model;
    let descriptions = methods.iter().map(|method| description(model, method));
    let contracts = methods.iter().map(|method| method_contract(model, method));
    let mut seen = HashSet::new();
    let checks = methods.iter().map(|method| checks(krate, method, &mut seen));
    let ways = ways(krate);
    quote! {
        impl #krate::__private::Contract for #class {
            fn describe() -> #krate::__private::Vec<#krate::__private::wire::Method> {
                #krate::__private::core::convert::From::from([#(#descriptions),*])
            }

            fn interface() -> #krate::__private::wire::Interface {
                #ways
                #(#checks)*
                #krate::__private::probe::interface::<Self>(#krate::__private::core::convert::From::from([#(#contracts),*]))
            }
        }
    }
}

/// Checks that the types of a method can travel, each type once.
fn checks(krate: &TokenStream, method: &Method, seen: &mut HashSet<String>) -> TokenStream {
    // Two methods of which only one exists in a build may have the same types.
    let cfgs: Vec<_> = method.cfgs().collect();
    let new = types(krate, method)
        .into_iter()
        .filter(|(assert, ty)| !cfgs.is_empty() || seen.insert(format!("{assert} {ty}")));
    new.map(|(assert, ty)| {
        let span = ty.span();
        let (krate, assert) = (respan(krate, span), Ident::new(assert, span));
        quote_spanned!(span=> #(#cfgs)* #krate::__private::#assert::<#ty>();)
    })
    .collect()
}

/// The types in the signature of a method, each with the function that checks it.
fn types(krate: &TokenStream, method: &Method) -> Vec<(&'static str, TokenStream)> {
    let (items, result) = match &method.output {
        Output::Value(_) => (None, None),
        Output::Result(ty) => (None, Some(ty)),
        Output::Stream(items) => (Some(items), None),
        Output::StreamResult(items, ty) => (Some(items), Some(&**ty)),
    };
    let (fallible, plain): (Vec<_>, Vec<_>) = items.into_iter().partition(|items| items.fallible);
    let streams = || method.parameters.iter().filter_map(|parameter| parameter.stream.as_ref());
    let arguments =
        method.parameters.iter().filter(|parameter| parameter.stream.is_none()).map(|parameter| &parameter.ty);
    let returned = match &method.output {
        Output::Value(ty) => ty.as_ref(),
        _ => None,
    };
    let values = arguments.chain(streams().map(|stream| &stream.item)).chain(returned);
    let values = values.chain(plain.into_iter().map(|items| &items.ty));
    let errors = streams().filter_map(StreamParameter::error).map(|ty| ("assert_error", ty.into_token_stream()));
    let results = fallible.into_iter().map(|items| &items.ty).chain(result);
    let parts = results.flat_map(|result| {
        let krate = respan(krate, result.span());
        let part = |part: TokenStream| quote_spanned!(result.span()=> <#result as #krate::__private::Fallible>::#part);
        [
            ("assert_value", part(quote_spanned!(result.span()=> Ok))),
            ("assert_error", part(quote_spanned!(result.span()=> Error))),
        ]
    });
    values.map(|ty| ("assert_value", ty.to_token_stream())).chain(parts).chain(errors).collect()
}

/// The export that tells callers of the class what its methods are. Only the module to describe has it. A caller need not link
/// anything else of the class.
fn describe_export(model: &Model) -> TokenStream {
    let Model { item, krate, class, .. } = model;
    let symbol = names::describe_symbol(&item.to_string());
    quote! {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(export_name = #symbol)]
            extern "C" fn interface() -> #krate::__private::core::primitive::u64 {
                #krate::__private::describe_interface::<#class>()
            }
        };
    }
}

/// The methods of the stub type.
pub(super) fn stubs(model: &Model) -> TokenStream {
    let stub = &model.stub;
    let methods = model.methods.iter().map(|method| stub_method(model, method));
    quote! {
        impl #stub {
            #(#methods)*
        }
    }
}

/// The method as the runtime calls it. Code that the compiler may refuse has the span of the type that it would refuse.
fn callable(model: &Model, method: &Method) -> TokenStream {
    let Method { ident, wire_name, parameters, exclusive, .. } = method;
    let cfgs = method.cfgs();
    let names = parameters.iter().map(|parameter| parameter.ident.as_ref().map(names::plain).unwrap_or_default());
    let arguments = parameters.iter().enumerate().map(|(index, parameter)| decoded(model, index, parameter));
    let await_it = method.is_async.then(|| quote!(.await));
    let span = output_span(method);
    let krate = respan(&model.krate, span);
    let called = match &model.kind {
        Kind::Contract(contract) => quote_spanned!(span=> #contract::#ident(&*_object #(, #arguments)*)#await_it),
        // The call is on the object, not on the pointer, because the pointer has methods such as `clone` itself.
        _ => quote_spanned!(span=> (*_object).#ident(#(#arguments),*)#await_it),
    };
    let value = quote_spanned!(span=> #krate::__private::core::result::Result::Ok(#called));
    let (reply, sink, result) = match &method.output {
        Output::Value(ty) => (travelling(&krate, ty.as_ref(), "Value", "reply"), None, value),
        Output::Result(ty) => (travelling(&krate, Some(ty), "Outcome", "reply"), None, value),
        Output::Stream(items) => (
            quote_spanned!(span=> #krate::__private::reply_stream),
            Some(quote!(, _sink)),
            sent(model, items, &called, span),
        ),
        Output::StreamResult(items, ty) => {
            let opened = travelling(&krate, Some(ty), "Outcome", "opened");
            let stream = quote_spanned!(span=> #opened(#called)?);
            (
                quote_spanned!(span=> #krate::__private::reply_stream),
                Some(quote!(, _sink)),
                sent(model, items, &stream, span),
            )
        }
    };
    let exclusive = match exclusive {
        Some(option) => {
            let (krate, class) =
                (respan(&model.krate, option.span()), respan(&model.class.to_token_stream(), option.span()));
            quote_spanned!(option.span()=> #krate::__private::exclusive::<#class>())
        }
        None => quote_spanned!(span=> #krate::__private::core::option::Option::None),
    };
    quote_spanned! {span=>
        #(#cfgs)*
        #krate::__private::Method {
            name: #wire_name,
            parameters: &[#(#names),*],
            exclusive: #exclusive,
            call: |_object, _arguments| #reply(_arguments, |_arguments #sink| async move { #result }),
        }
    }
}

/// The path of a function of `Value` or `Outcome` for a type, with the span of the type, because the compiler may refuse it.
fn travelling(krate: &TokenStream, ty: Option<&Type>, of: &str, function: &str) -> TokenStream {
    let ty = ty.map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let span = ty.span();
    let (krate, of, function) = (respan(krate, span), Ident::new(of, span), Ident::new(function, span));
    quote_spanned!(span=> #krate::__private::#of::<#ty>::#function)
}

/// What has the functions for the items of a stream.
fn of_items(items: &Items) -> &'static str {
    if items.fallible { "Outcome" } else { "Value" }
}

/// The expression that sends the items of a stream, at the method.
fn sent(model: &Model, items: &Items, stream: &TokenStream, span: Span) -> TokenStream {
    let krate = respan(&model.krate, span);
    let send = travelling(&krate, Some(&items.ty), of_items(items), "send");
    quote_spanned!(span=> #krate::__private::core::result::Result::Ok(#send(&_sink, #stream).await))
}

/// The expression that decodes the argument of a parameter, at the method.
fn decoded(model: &Model, index: usize, Parameter { ident, ty, stream, .. }: &Parameter) -> TokenStream {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let name = ident.as_ref().map(names::plain).unwrap_or_default();
    let decode = match stream {
        None => travelling(&model.krate, Some(ty), "Value", "decode"),
        Some(stream) => {
            let (item, of) = stream_item(model, stream);
            travelling(&model.krate, Some(&item), of, "decode_stream")
        }
    };
    quote_spanned!(ty.span()=> #decode(&_arguments, #index, #name)?)
}

/// The type of the items of a parameter that is a stream, and what has the functions for it.
fn stream_item(model: &Model, stream: &StreamParameter) -> (Type, &'static str) {
    let item = &stream.item;
    match stream.error() {
        None => (item.clone(), "Value"),
        Some(error) => {
            let krate = respan(&model.krate, item.span());
            (parse_quote_spanned!(item.span()=> #krate::__private::core::result::Result<#item, #error>), "Outcome")
        }
    }
}

/// The description of the method in the manifest.
fn description(model: &Model, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let cfgs = method.cfgs();
    let name = &method.wire_name;
    let result = method.declared.as_ref().map_or_else(|| "()".into(), type_text);
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

/// The contract of the method: the types that its callers must know.
fn method_contract(model: &Model, method: &Method) -> TokenStream {
    let cfgs = method.cfgs();
    let Method { wire_name, native, parameters, .. } = method;
    let doc = method.doc();
    let krate = &model.krate;
    let flow = |ty: Option<&Type>, of: &str, function: &str| {
        let flow = travelling(krate, ty, of, function);
        quote!(#flow())
    };
    let stream = |items: &Items| flow(Some(&items.ty), of_items(items), "stream_flow");
    let error = |ty: &Type| flow(Some(ty), "Outcome", "error");
    let none = quote!(#krate::__private::core::option::Option::None);
    let params = parameters.iter().map(|Parameter { ident, ty, stream, .. }| {
        let name = ident.as_ref().map(names::plain).unwrap_or_default();
        let flow = match stream.as_ref().map(|stream| stream_item(model, stream)) {
            None => flow(Some(ty), "Value", "flow"),
            Some((item, of)) => flow(Some(&item), of, "stream_flow"),
        };
        quote!(#krate::__private::probe::parameter(#name, #flow))
    });
    let (result, error) = match &method.output {
        Output::Value(ty) => (flow(ty.as_ref(), "Value", "flow"), none),
        Output::Result(ty) => (flow(Some(ty), "Outcome", "flow"), error(ty)),
        Output::Stream(items) => (stream(items), none),
        Output::StreamResult(items, ty) => (stream(items), error(ty)),
    };
    quote! {
        #(#cfgs)*
        #krate::__private::probe::method(
            #wire_name,
            &[#(#doc),*],
            #native,
            #krate::__private::core::convert::From::from([#(#params),*]),
            #result,
            #error,
        )
    }
}

/// The method of the stub, as a caller sees it.
fn stub_method(model: &Model, method: &Method) -> TokenStream {
    let Method { ident, visibility, attributes, wire_name, idempotent, parameters, .. } = method;
    let names = parameters.iter().map(|parameter| &parameter.ident);
    let types = parameters.iter().map(|parameter| accepted(model, parameter));
    let arguments = parameters.iter().map(|parameter| encoded(model, parameter));
    let span = output_span(method);
    let krate = respan(&model.krate, span);
    let core = quote_spanned!(span=> #krate::__private::core);
    let ok = |ty: &Type| quote_spanned!(ty.span()=> <#ty as #krate::__private::Fallible>::Ok);
    let error = |ty: &Type| quote_spanned!(ty.span()=> #krate::CallError<<#ty as #krate::__private::Fallible>::Error>);
    let stream = |items: &Items| {
        let ty = &items.ty;
        if !items.fallible {
            return quote_spanned!(ty.span()=> #krate::RpcStream<#ty>);
        }
        let (ok, error) = (ok(ty), error(ty));
        quote_spanned!(ty.span()=> #krate::RpcStream<#ok, #error>)
    };
    let rpc_error = quote_spanned!(span=> #krate::RpcError);
    let (ok, error, call) = match &method.output {
        Output::Value(ty) => (
            ty.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream),
            rpc_error,
            travelling(&krate, ty.as_ref(), "Value", "call"),
        ),
        Output::Result(ty) => (ok(ty), error(ty), travelling(&krate, Some(ty), "Outcome", "call")),
        Output::Stream(items) => (stream(items), rpc_error, quote_spanned!(span=> #krate::__private::call_stream)),
        Output::StreamResult(items, ty) => {
            (stream(items), error(ty), quote_spanned!(span=> #krate::__private::call_stream_fallible))
        }
    };
    let result = quote_spanned!(span=> #core::result::Result<#ok, #error>);
    let method = quote_spanned!(span=> #krate::__private::MethodName { name: #wire_name, idempotent: #idempotent });
    let ways = ways(&model.krate);
    let body = quote_spanned!(span=> #call(self, #method, &[#(#arguments),*]).await);
    quote! {
        #(#attributes)*
        #visibility async fn #ident(&self #(, #names: #types)*) -> #result {
            #ways
            #body
        }
    }
}

/// The type of a parameter, at the caller.
fn accepted(model: &Model, Parameter { ty, stream, .. }: &Parameter) -> TokenStream {
    let Some(stream) = stream else { return ty.to_token_stream() };
    let (krate, (item, _)) = (respan(&model.krate, ty.span()), stream_item(model, stream));
    quote_spanned!(ty.span()=> impl #krate::Stream<Item = #item> + 'static)
}

/// The expression that encodes the argument of a parameter, at the caller.
fn encoded(model: &Model, Parameter { ident, ty, stream, .. }: &Parameter) -> TokenStream {
    let name = ident.as_ref().map(names::plain).unwrap_or_default();
    match stream {
        None => {
            let argument = travelling(&model.krate, Some(ty), "Value", "argument");
            quote_spanned!(ty.span()=> (#name, #argument(&#ident)))
        }
        Some(stream) => {
            let (item, of) = stream_item(model, stream);
            let argument = travelling(&model.krate, Some(&item), of, "stream");
            quote_spanned!(ty.span()=> (#name, &#argument(#ident)))
        }
    }
}

fn output_span(method: &Method) -> Span {
    method.declared.as_ref().map_or_else(|| method.ident.span(), Spanned::span)
}
