//! The rules for methods that can be called from elsewhere.

use super::model::{Method, Model, Output};
use crate::{errors::Errors, names};
use std::collections::HashMap;
use syn::{FnArg, ImplItem, Receiver, ReceiverKind, Safety, Type};

/// Checks everything, and leaves in the model the methods that a stub can have, right or wrong.
pub(super) fn run(model: &mut Model, errors: &mut Errors) {
    block(model, errors);
    if model.item.trait_.is_some() {
        // The rules for methods do not apply to those of a trait.
        return model.methods.clear();
    }
    let mut seen = HashMap::new();
    model.methods.retain(|method| {
        signature(method, errors);
        name(method, &mut seen, errors);
        // The caller's side of a method with another mistake can be generated, so that its callers have no second error.
        let mut types = Errors::default();
        parameters(method, &mut types);
        output(method, &mut types);
        let callable = types.is_empty() && method.source.sig.generics.params.is_empty();
        errors.append(types);
        callable
    });
}

fn block(model: &Model, errors: &mut Errors) {
    if let Some((of, _)) = &model.item.trait_ {
        errors.at(of, "`#[rpc]` goes on an inherent `impl` block, without a trait");
    }
    if !model.item.generics.params.is_empty() {
        errors.at(&model.item.generics, "a `#[rpc]` block cannot be generic");
    }
    for entry in &model.item.items {
        if !matches!(entry, ImplItem::Fn(_)) {
            errors.at(entry, "a `#[rpc]` block holds methods only; move this to a plain `impl` block");
        }
    }
}

fn signature(method: &Method, errors: &mut Errors) {
    let signature = &method.source.sig;
    if !matches!(method.visibility, syn::Visibility::Public(_)) {
        errors.at(
            &signature.ident,
            "every method of a `#[rpc]` block can be called by others; make it `pub`, or move it to a plain `impl` block",
        );
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "an RPC method cannot be generic: the caller's types are not known here");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        errors.at(token, "an RPC method cannot be `unsafe`");
    }
    if let Some(token) = &signature.constness {
        errors.at(token, "an RPC method cannot be `const`");
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "an RPC method cannot be `extern`");
    }
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) => self_reference(receiver, errors),
        _ => errors
            .at(&signature.ident, "an RPC method takes `&self`; move an associated function to a plain `impl` block"),
    }
}

fn self_reference(receiver: &Receiver, errors: &mut Errors) {
    if !matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) {
        errors.at(
            receiver,
            "an RPC method takes `&self`: while one call awaits, others run; keep what changes in a `Cell` or a `RefCell`",
        );
    }
}

fn parameters(method: &Method, errors: &mut Errors) {
    for parameter in &method.parameters {
        if parameter.ident.is_none() {
            errors.at(&parameter.source, "a parameter of an RPC method is a name and a type, without a pattern");
        }
        match &parameter.ty {
            Type::Reference(reference) => {
                errors.at(reference, "a parameter of an RPC method is owned: it arrives from another isolate");
            }
            Type::ImplTrait(ty) => {
                errors.at(ty, "an RPC method cannot be generic: the caller's types are not known here");
            }
            _ => {}
        }
    }
}

fn output(method: &Method, errors: &mut Errors) {
    let value = match &method.output {
        Output::Value(value) => value.as_ref(),
        Output::Result(_) => None,
        Output::Stream(items) | Output::StreamResult(items, _) => Some(&items.ty),
    };
    match value {
        Some(Type::Reference(reference)) => {
            errors.at(reference, "an RPC method returns an owned value: it travels to another isolate");
        }
        Some(Type::ImplTrait(ty)) => errors.at(
            ty,
            "an RPC method returns a type that serde can encode and decode: name it; or a stream: \
             `impl Stream<Item = T>`",
        ),
        _ => {}
    }
}

fn name(method: &Method, seen: &mut HashMap<String, String>, errors: &mut Errors) {
    let mut refuse = |problem: String| match &method.given_name {
        Some(given) => errors.at(given, problem),
        None => errors.at(&method.ident, problem),
    };
    if let Some(problem) = names::method_name_problem(&method.wire_name) {
        refuse(problem);
    }
    // Two methods of which only one exists in a build may share a name.
    if method.cfgs().next().is_none()
        && let Some(first) = seen.insert(method.wire_name.clone(), method.ident.to_string())
    {
        refuse(format!(
            "`{}` is the name on the wire of `{first}` too; give one of them another `#[rpc(name = \"..\")]`",
            method.wire_name
        ));
    }
}
