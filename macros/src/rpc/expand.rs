//! Generates the code: a table of methods, their description, and a call for each on the stub.

use super::model::{Items, Kind, Method, Model, Output, Parameter, StreamParameter};
use crate::names;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Type, spanned::Spanned};

pub(super) fn all(model: &Model) -> TokenStream {
    let Model { item, krate, class, kind, .. } = model;
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
                const METHODS: &'static [#krate::__private::Method<Live>] = &[#(#callables),*];
            }
        },
        _ => quote! {
            impl #krate::__private::Rpc for #class {
                const METHODS: &'static [#krate::__private::Method<Self>] = &[#(#callables),*];
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

/// Checks that a type which does not look like a `Result` is none. As a value, a `Result` would reach callers as `{ "Err": .. }`.
fn hidden_result(model: &Model, method: &Method) -> Option<TokenStream> {
    let ty = match &method.output {
        Output::Value(ty) => ty.as_ref(),
        Output::Stream(items) | Output::StreamResult(items, _) if !items.fallible => Some(&items.ty),
        _ => None,
    }?;
    // There is no `Self` outside of the block.
    if mentions_self(ty.to_token_stream()) {
        return None;
    }
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

fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

/// The contract that callers know, for describe mode.
fn contract(model: &Model) -> TokenStream {
    let Model { krate, class, methods, .. } = model;
    let descriptions = methods.iter().map(|method| description(model, method));
    let contracts = methods.iter().map(|method| method_contract(model, method));
    quote! {
        impl #krate::__private::Contract for #class {
            fn describe() -> #krate::__private::Vec<#krate::__private::wire::Method> {
                #krate::__private::core::convert::From::from([#(#descriptions),*])
            }

            fn interface() -> #krate::__private::wire::Interface {
                #krate::__private::probe::interface::<Self>(#krate::__private::core::convert::From::from([#(#contracts),*]))
            }
        }
    }
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
    let methods = model.methods.iter().map(|method| call(model, method));
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
    let count = u32::try_from(parameters.len()).unwrap_or(u32::MAX);
    let arguments = parameters.iter().enumerate().map(|(index, parameter)| decoded(model, index, parameter));
    let await_it = method.is_async.then(|| quote!(.await));
    let span = output_span(method);
    let krate = respan(&model.krate, span);
    let called = match &model.kind {
        Kind::Contract(contract) => quote_spanned!(span=> #contract::#ident(&*_object #(, #arguments)*)#await_it),
        // The call is on the object, not on the pointer, because the pointer has methods such as `clone` itself.
        _ => quote_spanned!(span=> (*_object).#ident(#(#arguments),*)#await_it),
    };
    let run = |items: &Items| Ident::new(if items.fallible { "run_results" } else { "run" }, items.ty.span());
    let (reply, sink, result) = match &method.output {
        Output::Value(_) => ("reply", None, called),
        Output::Result(_) => ("reply_fallible", None, called),
        Output::Stream(items) => {
            let run = run(items);
            ("reply_stream", Some(quote!(, _sink)), quote_spanned!(span=> _sink.#run(#called).await))
        }
        Output::StreamResult(items, _) => {
            let run = run(items);
            let opened = quote_spanned!(span=> #krate::__private::opened(#called)?);
            ("reply_stream", Some(quote!(, _sink)), quote_spanned!(span=> _sink.#run(#opened).await))
        }
    };
    let reply = Ident::new(reply, span);
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
            parameters: #count,
            exclusive: #exclusive,
            call: |_object, _arguments| #krate::__private::#reply(_arguments, |_arguments #sink| async move {
                #krate::__private::core::result::Result::Ok(#result)
            }),
        }
    }
}

/// The expression that decodes the argument of a parameter, at the method.
fn decoded(model: &Model, index: usize, Parameter { ident, ty, stream, .. }: &Parameter) -> TokenStream {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let name = ident.as_ref().map(names::plain).unwrap_or_default();
    let krate = respan(&model.krate, ty.span());
    let Some(StreamParameter { item, call_error }) = stream else {
        return quote_spanned!(ty.span()=> #krate::__private::argument::<#ty>(&_arguments, #index, #name)?);
    };
    let error =
        call_error.as_ref().map_or_else(|| quote_spanned!(ty.span()=> #krate::RpcError), ToTokens::to_token_stream);
    quote_spanned!(ty.span()=> #krate::__private::stream_argument::<#item, #error>(&_arguments, #index, #name)?)
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
    let probe = |span: Span| {
        let krate = respan(&model.krate, span);
        quote_spanned!(span=> #krate::__private::probe)
    };
    let krate = &model.krate;
    let some_error = |ty: &Type| {
        let (probe, krate) = (probe(ty.span()), respan(krate, ty.span()));
        quote_spanned!(ty.span()=> #probe::error::<<#ty as #krate::__private::Fallible>::Error>())
    };
    let none = quote!(#krate::__private::core::option::Option::None);
    let ok = |ty: &Type| {
        let krate = respan(krate, ty.span());
        quote_spanned!(ty.span()=> <#ty as #krate::__private::Fallible>::Ok)
    };
    let value = |ty: TokenStream, span: Span| {
        let probe = probe(span);
        quote_spanned!(span=> #probe::value::<#ty>())
    };
    let stream = |items: &Items| {
        let (ty, probe) = (&items.ty, probe(items.ty.span()));
        if !items.fallible {
            return quote_spanned!(ty.span()=> #probe::stream::<#ty>(#none));
        }
        let (ok, error) = (ok(ty), some_error(ty));
        quote_spanned!(ty.span()=> #probe::stream::<#ok>(#error))
    };
    let params = parameters.iter().map(|Parameter { ident, ty, stream, .. }| {
        let (name, probe) = (ident.as_ref().map(names::plain).unwrap_or_default(), probe(ty.span()));
        let flow = match stream {
            None => value(ty.to_token_stream(), ty.span()),
            Some(stream) => {
                let item = &stream.item;
                let error = stream
                    .error()
                    .map_or_else(|| none.clone(), |ty| quote_spanned!(ty.span()=> #probe::error::<#ty>()));
                quote_spanned!(ty.span()=> #probe::stream::<#item>(#error))
            }
        };
        quote_spanned!(ty.span()=> #probe::parameter(#name, #flow))
    });
    let span = output_span(method);
    let (result, error) = match &method.output {
        Output::Value(ty) => {
            (value(ty.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream), span), none.clone())
        }
        Output::Result(ty) => (value(ok(ty), span), some_error(ty)),
        Output::Stream(items) => (stream(items), none.clone()),
        Output::StreamResult(items, ty) => (stream(items), some_error(ty)),
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
fn call(model: &Model, method: &Method) -> TokenStream {
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
        Output::Value(value) => {
            (value.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream), rpc_error, "call")
        }
        Output::Result(ty) => (ok(ty), error(ty), "call_fallible"),
        Output::Stream(items) => (stream(items), rpc_error, "call_stream"),
        Output::StreamResult(items, ty) => (stream(items), error(ty), "call_stream_fallible"),
    };
    let call = Ident::new(call, span);
    let result = quote_spanned!(span=> #core::result::Result<#ok, #error>);
    let method = quote_spanned!(span=> #krate::__private::MethodName { name: #wire_name, idempotent: #idempotent });
    let body = quote_spanned!(span=> #krate::__private::#call(self, #method, &[#(#arguments),*]).await);
    quote! {
        #(#attributes)*
        #visibility async fn #ident(&self #(, #names: #types)*) -> #result {
            #body
        }
    }
}

/// The type of a parameter, at the caller.
fn accepted(model: &Model, Parameter { ty, stream, .. }: &Parameter) -> TokenStream {
    let Some(stream) = stream else { return ty.to_token_stream() };
    let (krate, item) = (respan(&model.krate, ty.span()), &stream.item);
    let item = match stream.error() {
        Some(error) => quote_spanned!(ty.span()=> #krate::__private::core::result::Result<#item, #error>),
        None => item.to_token_stream(),
    };
    quote_spanned!(ty.span()=> impl #krate::Stream<Item = #item> + 'static)
}

/// The expression that encodes the argument of a parameter, at the caller.
fn encoded(model: &Model, Parameter { ident, ty, stream, .. }: &Parameter) -> TokenStream {
    let name = ident.as_ref().map(names::plain).unwrap_or_default();
    let krate = respan(&model.krate, ty.span());
    let argument = match stream {
        None => quote_spanned!(ty.span()=> #ident),
        Some(stream) => {
            let new = Ident::new(if stream.call_error.is_some() { "of_results" } else { "new" }, ty.span());
            quote_spanned!(ty.span()=> #krate::__private::StreamArgument::#new(#ident))
        }
    };
    quote_spanned!(ty.span()=> (#name, &#argument as &dyn #krate::__private::Argument))
}

fn output_span(method: &Method) -> Span {
    method.declared.as_ref().map_or_else(|| method.ident.span(), Spanned::span)
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
fn type_text(ty: &Type) -> String {
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
