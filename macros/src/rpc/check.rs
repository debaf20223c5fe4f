//! Checks the rules for methods that can be called from elsewhere.

use super::model::{Kind, Method, Model, Output, ungrouped};
use crate::{errors::Errors, names, tokens::mentions_self};
use quote::ToTokens as _;
use std::collections::HashMap;
use syn::{FnArg, GenericParam, Receiver, ReceiverKind, Safety, Type, TypeReference, Visibility};

/// Checks all methods. Leaves in the model those that a stub can have, whether or not they have mistakes.
pub(super) fn run(model: &mut Model, errors: &mut Errors) {
    let inherent = matches!(model.kind, Kind::Inherent);
    let mut seen = HashMap::new();
    model.methods.retain(|method| {
        if inherent && !matches!(method.visibility, Visibility::Public(_)) {
            errors.at(
                &method.ident,
                "every method of a `#[rpc]` block can be called by others; make it `pub`, or move it to a plain `impl` \
                 block",
            );
        }
        signature(method, errors);
        name(method, &mut seen, errors);
        // The caller's side of a method with another mistake can be generated, so that its callers have no second error.
        let mut types = Errors::default();
        parameters(method, &mut types);
        output(method, &mut types);
        let callable = types.is_empty() && !is_generic(method);
        errors.append(types);
        callable
    });
}

fn signature(method: &Method, errors: &mut Errors) {
    let signature = &method.signature;
    if is_generic(method) {
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

/// Whether the method has type or const parameters. A lifetime does not count: it ties a stream to its object, and callers do not
/// see it.
fn is_generic(method: &Method) -> bool {
    let mut parameters = method.signature.generics.params.iter();
    parameters.any(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
}

fn self_reference(receiver: &Receiver, errors: &mut Errors) {
    let is_shared = match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_none(),
        // `self: &Self`
        ReceiverKind::Typed(_, ty) => {
            matches!(ungrouped(ty), Type::Reference(reference) if is_shared_self(reference))
        }
        _ => false,
    };
    if !is_shared {
        errors.at(
            receiver,
            "an RPC method takes `&self`: while one call awaits, others run; keep what changes in a `Cell` or a `RefCell`",
        );
    }
}

fn is_shared_self(reference: &TypeReference) -> bool {
    let is_self = matches!(ungrouped(&reference.elem), Type::Path(path) if path.path.is_ident("Self"));
    reference.mutability.is_none() && is_self
}

fn parameters(method: &Method, errors: &mut Errors) {
    for parameter in &method.parameters {
        if parameter.ident.is_none() {
            errors.at(&parameter.source, "a parameter of an RPC method is a name and a type, without a pattern");
        }
        no_self(&parameter.ty, errors);
        match ungrouped(&parameter.ty) {
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

/// At the caller, the method is one of the stub, which is another `Self`.
fn no_self(ty: &Type, errors: &mut Errors) {
    if mentions_self(ty.to_token_stream()) {
        errors.at(ty, "the types of an RPC method are named: `Self` would be the stub at the caller");
    }
}

fn output(method: &Method, errors: &mut Errors) {
    method.declared.iter().for_each(|ty| no_self(ty, errors));
    let value = match &method.output {
        Output::Value(value) => value.as_ref(),
        Output::Result(_) => None,
        Output::Stream(items) | Output::StreamResult(items, _) => Some(&items.ty),
    };
    match value.map(ungrouped) {
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
