//! The contracts between a program and its peers: which methods exchange bytes, and the hash that tells whether both sides mean the
//! same by them.
//!
//! Numbers and text are fastest as plain values. Composed values travel as postcard. Postcard has no names in it, so it works only
//! between two builds whose types have exactly the same form. Both builds have the hash of that form, and a call carries it.

use crate::{BuildError, Cancel, Progress, Warning, cargo::Package, describe, typescript};
use realgar_wire::{
    Awaited, Body, Contracts, Description, Flow, Form, Interface, Interfaces, Method, MethodContract, MethodContracts,
    Shape, TypeContract, fingerprint,
};
use std::{collections::HashMap, fmt::Write, path::Path};

/// The name of the Worker itself among the classes of its script.
const DEFAULT: &str = "default";

/// The facts about a program from which its entry module is generated.
pub(crate) struct Program {
    pub(crate) description: Description,
    /// For each hosted class, its methods.
    pub(crate) hosted: Vec<Hashes>,
    /// The same for the Worker itself, and for its named entrypoints.
    pub(crate) worker: Hashes,
    pub(crate) entrypoints: Vec<Hashes>,
    /// For each bound class with methods that take bytes: the binding, and the hash of each such method.
    pub(crate) known: Vec<(String, Vec<(String, String)>)>,
    /// The contracts of all methods, for the deployment.
    pub(crate) contracts: Contracts,
    /// The TypeScript declarations.
    pub(crate) types: String,
}

/// The methods of a class: name, index, and, if the method takes bytes, the hash of its contract.
pub(crate) type Hashes = Vec<(String, usize, Option<String>)>;

/// Reads the description in the module to describe, and settles the contract of each method.
pub(crate) fn program(
    module: &Path,
    package: &Package,
    cancel: Option<&Cancel>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Program, BuildError> {
    let described =
        describe::run(module, cancel)?.ok_or_else(|| BuildError::NoExport { package: package.name.clone() })?;
    if described.prints {
        progress(Progress::Warning(Warning::Prints));
    }
    let description = described.description;
    let interfaces: HashMap<&str, &Interface> =
        described.interfaces.iter().map(|interface| (interface.rust.as_str(), interface)).collect();
    let mut settled = HashMap::new();
    let mut problems = Vec::new();
    let Interfaces { worker, entrypoints, hosted, bound, awaited } = &description.interfaces;
    let used = hosted.values().chain(bound.values()).chain(entrypoints).chain([worker]);
    for rust in used {
        if let Some(interface) = interfaces.get(rust.as_str())
            && !settled.contains_key(rust)
        {
            settled.insert(rust.clone(), settle(interface, &mut problems, progress));
            problems.extend(interface.methods.iter().flat_map(|method| unfit_items(rust, method)));
        }
    }
    if !problems.is_empty() {
        return Err(BuildError::Unfit { problems });
    }
    let hashes = |rust: Option<&String>, methods: &[Method]| -> Hashes {
        let hashes: &[(String, String)] = rust.and_then(|rust| settled.get(rust)).map_or(&[], Vec::as_slice);
        let hash = |name: &str| hashes.iter().find(|(own, _)| own == name).map(|(_, hash)| hash.clone());
        let named = methods.iter().enumerate();
        named.map(|(index, method)| (method.name.clone(), index, hash(&method.name))).collect()
    };
    let objects = description.objects.iter();
    let objects = objects.map(|object| hashes(hosted.get(&object.class), &object.methods)).collect();
    let own = hashes(Some(worker), &description.worker.methods);
    let named = entrypoints.iter().zip(&description.entrypoints);
    let named = named.map(|(rust, entrypoint)| hashes(Some(rust), &entrypoint.methods)).collect();
    let known = bound.iter().filter_map(|(binding, rust)| {
        let hashes = settled.get(rust).filter(|hashes| !hashes.is_empty())?;
        Some((binding.clone(), hashes.clone()))
    });
    let known = known.collect();
    let of = |rust: &String| {
        let hashes: &[(String, String)] = settled.get(rust).map_or(&[], Vec::as_slice);
        let hash = |method: &MethodContract| {
            let bytes = hashes.iter().find(|(own, _)| *own == method.name).map(|(_, hash)| hash.clone());
            (method.name.clone(), bytes.unwrap_or_else(|| plain_hash(method)))
        };
        // A class without `#[rpc]` has no interface, and no methods.
        interfaces.get(rust.as_str()).map(|interface| interface.methods.iter().map(hash).collect()).unwrap_or_default()
    };
    let own_offers = hosted.iter().map(|(class, rust)| (class.clone(), of(rust)));
    let entries = entrypoints.iter().zip(&description.entrypoints).map(|(rust, own)| (own.class.clone(), of(rust)));
    let contracts = Contracts {
        offers: own_offers.chain(entries).chain([(DEFAULT.to_string(), of(worker))]).collect(),
        calls: bound.iter().map(|(binding, rust)| (binding.clone(), of(rust))).collect(),
        awaits: awaited.iter().map(|(class, own)| (class.clone(), awaits(own))).collect(),
    };
    let types = typescript::render(&description, &described.interfaces);
    Ok(Program { hosted: objects, worker: own, entrypoints: named, known, contracts, types, description })
}

/// What a method exchanges that sends plain values, as a hash.
fn plain_hash(method: &MethodContract) -> String {
    let mut text = Text::default();
    text.put("plain");
    for (_, kind, ty) in types(method) {
        text.put(kind);
        // A form that bytes could not have is no obstacle here.
        text.form(&ty.native.root, &ty.native);
    }
    format!("{:016x}", fingerprint(&text.out))
}

/// What comes to an object later, as hashes.
fn awaits(awaited: &Awaited) -> MethodContracts {
    let hash = |(name, shape): (&str, &Option<Shape>)| {
        let shape = shape.as_ref()?;
        let mut text = Text::default();
        // Where the probe saw nothing, or a type contains itself, the text ends: what follows is not compared.
        let _ = text.form(&shape.root, shape);
        Some((name.to_string(), format!("{:016x}", fingerprint(&text.out))))
    };
    [("event", &awaited.payload), ("message", &awaited.message)].into_iter().filter_map(hash).collect()
}

/// The methods of an interface that exchange bytes, with their hashes.
fn settle(
    interface: &Interface,
    problems: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Vec<(String, String)> {
    let mut hashes = Vec::new();
    for method in interface.methods.iter().filter(|method| !method.native && takes_bytes(method)) {
        let name = format!("{}::{}", interface.rust, method.name);
        let mut text = Text::default();
        let mut good = true;
        for (what, kind, ty) in types(method) {
            let place = |path: &str| if path.is_empty() { what.clone() } else { format!("{what}, at `{path}`") };
            if let Some(untried) = &ty.untried {
                let (method, place, reason) = (name.to_string(), place(&untried.path), untried.reason.clone());
                progress(Progress::Warning(Warning::Untried { method, place, reason }));
            }
            text.put(kind);
            match &ty.bytes {
                Ok(shape) => good &= text.form(&shape.root, shape),
                Err(unfit) => {
                    problems.push(format!("`{name}`: {} cannot travel as bytes: {}", place(&unfit.path), unfit.reason))
                }
            }
        }
        if good {
            hashes.push((method.name.clone(), format!("{:016x}", fingerprint(&text.out))));
        }
    }
    hashes
}

/// The problems of a method's streams whose items have no form as lines of JSON, which is how JavaScript reads and writes them.
fn unfit_items(rust: &str, method: &MethodContract) -> Vec<String> {
    let parameters =
        method.params.iter().map(|parameter| (format!("the parameter `{}`", parameter.name), &parameter.flow));
    let flows = parameters.chain([("the result".to_string(), &method.result)]);
    let problem = |(what, flow): (String, &Flow)| {
        let Flow::Stream { item, .. } = flow else { return None };
        let path = bad_key(&item.native.root, &item.native, &mut Vec::new())?;
        Some(format!(
            "`{rust}::{}`: {what}, a stream whose items travel as lines of JSON, has a map at `item{path}` with keys that are \
             neither text nor numbers; use a list of pairs",
            method.name
        ))
    };
    flows.filter_map(problem).collect()
}

/// The path to the first map with keys that JSON does not take.
fn bad_key(form: &Form, shape: &Shape, inside: &mut Vec<String>) -> Option<String> {
    match form {
        Form::Option(inner) => bad_key(inner, shape, inside),
        Form::Seq(item) => Some(format!("[]{}", bad_key(item, shape, inside)?)),
        Form::Tuple(forms) => bad_key_in_tuple(forms, shape, inside),
        Form::Map(key, value) if is_json_key(key, shape) => Some(format!("[]{}", bad_key(value, shape, inside)?)),
        Form::Map(..) => Some(String::new()),
        Form::Named(name) if !inside.contains(name) => {
            inside.push(name.clone());
            let found = shape.types.get(name).and_then(|composite| match &composite.body {
                Body::Variants(variants) => variants.iter().find_map(|(_, body)| bad_key_in(body, shape, inside)),
                body => bad_key_in(body, shape, inside),
            });
            inside.pop();
            found
        }
        _ => None,
    }
}

fn bad_key_in(body: &Body, shape: &Shape, inside: &mut Vec<String>) -> Option<String> {
    match body {
        Body::Newtype(inner) => bad_key(inner, shape, inside),
        Body::Tuple(forms) => bad_key_in_tuple(forms, shape, inside),
        Body::Fields(fields) => {
            fields.iter().find_map(|(name, form)| Some(format!(".{name}{}", bad_key(form, shape, inside)?)))
        }
        Body::Unknown | Body::Unit | Body::Variants(_) => None,
    }
}

fn bad_key_in_tuple(forms: &[Form], shape: &Shape, inside: &mut Vec<String>) -> Option<String> {
    forms.iter().enumerate().find_map(|(index, form)| Some(format!(".{index}{}", bad_key(form, shape, inside)?)))
}

fn is_json_key(key: &Form, shape: &Shape) -> bool {
    match key {
        Form::Unit | Form::Bytes | Form::Option(_) | Form::Seq(_) | Form::Map(..) | Form::Tuple(_) => false,
        Form::Named(name) => match shape.types.get(name).map(|composite| &composite.body) {
            Some(Body::Newtype(inner)) => is_json_key(inner, shape),
            Some(Body::Variants(variants)) => {
                variants.iter().all(|(_, body)| matches!(body, Body::Unit | Body::Unknown))
            }
            Some(Body::Unknown) | None => true,
            Some(Body::Unit | Body::Tuple(_) | Body::Fields(_)) => false,
        },
        _ => true,
    }
}

/// Whether the method exchanges bytes instead of plain values. A stream that is an argument always travels as text: see
/// `StreamArgument`.
fn takes_bytes(method: &MethodContract) -> bool {
    let streams_in = method.params.iter().any(|parameter| matches!(parameter.flow, Flow::Stream { .. }));
    let streams_out = matches!(method.result, Flow::Stream { .. });
    !streams_in && (streams_out || !is_plain(method))
}

/// The types that are part of a method's contract, each with its role in words and as a mark. The type of the method's error is no
/// part of it, because an error always describes itself.
fn types(method: &MethodContract) -> Vec<(String, &'static str, &TypeContract)> {
    let parameters = method.params.iter().filter_map(|parameter| match &parameter.flow {
        Flow::Value(ty) => Some((format!("the parameter `{}`", parameter.name), ",", ty)),
        Flow::Stream { .. } => None,
    });
    let mut types: Vec<_> = parameters.collect();
    match &method.result {
        Flow::Value(ty) => types.push(("the result".into(), ">", ty)),
        Flow::Stream { item, error } => {
            types.push(("an item of the stream".into(), "*", item));
            types.extend(error.as_ref().map(|error| ("the error of the stream".into(), "!", error)));
        }
    }
    types
}

/// Whether all values of a method are numbers, text or bytes.
fn is_plain(method: &MethodContract) -> bool {
    let plain = |flow: &Flow| match flow {
        // The native form decides, because a type without a form as bytes is composed of more.
        Flow::Value(ty) => is_plain_form(&ty.native.root, &ty.native),
        Flow::Stream { .. } => true,
    };
    method.params.iter().all(|parameter| plain(&parameter.flow)) && plain(&method.result)
}

fn is_plain_form(form: &Form, shape: &Shape) -> bool {
    match form {
        Form::Unit | Form::Bool | Form::Integer(..) | Form::Float(_) | Form::Char | Form::String | Form::Bytes => true,
        Form::Option(inner) => is_plain_form(inner, shape),
        // `Vec<u8>` is bytes.
        Form::Seq(item) => **item == Form::Integer(8, false),
        Form::Named(name) => match shape.types.get(name).map(|composite| &composite.body) {
            Some(Body::Newtype(inner)) => is_plain_form(inner, shape),
            _ => false,
        },
        Form::Any | Form::Unknown | Form::Map(..) | Form::Tuple(_) => false,
    }
}

/// The form of a type as text. The texts of two types are equal exactly if their bytes are. Names of Rust types are not in it.
#[derive(Default)]
struct Text {
    out: String,
    /// The named types that enclose the current position.
    inside: Vec<String>,
}

impl Text {
    /// Appends `form`. Returns false if values of this form must not be read from bytes that somebody else made. There are three
    /// reasons. If the probe saw nothing of a type, two types could look the same. If a type contains itself, values could nest
    /// until the stack ends. If elements take no bytes, a long length without any data could take for ever.
    fn form(&mut self, form: &Form, shape: &Shape) -> bool {
        match form {
            Form::Unknown | Form::Any => return false,
            Form::Unit => self.put("()"),
            Form::Bool => self.put("bool"),
            Form::Integer(bits, signed) => self.put(&format!("{}{bits}", if *signed { 'i' } else { 'u' })),
            Form::Float(bits) => self.put(&format!("f{bits}")),
            Form::Char => self.put("char"),
            Form::String => self.put("str"),
            Form::Bytes => self.put("bytes"),
            Form::Option(inner) => {
                self.put("?");
                return self.form(inner, shape);
            }
            Form::Seq(item) => {
                self.put("[");
                let good = self.form(item, shape) && !is_empty(item, shape);
                self.put("]");
                return good;
            }
            Form::Map(key, value) => {
                self.put("{");
                let good = self.form(key, shape);
                self.put(":");
                let good = good && self.form(value, shape) && !is_empty(key, shape);
                self.put("}");
                return good;
            }
            Form::Tuple(forms) => return self.tuple(forms, shape),
            Form::Named(name) => {
                if self.inside.contains(name) {
                    return false;
                }
                let Some(composite) = shape.types.get(name) else { return false };
                self.inside.push(name.clone());
                let good = self.body(&composite.body, shape);
                self.inside.pop();
                return good;
            }
        }
        true
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn tuple(&mut self, forms: &[Form], shape: &Shape) -> bool {
        self.put("(");
        let good = forms.iter().all(|form| {
            let good = self.form(form, shape);
            self.put(",");
            good
        });
        self.put(")");
        good
    }

    fn body(&mut self, body: &Body, shape: &Shape) -> bool {
        match body {
            Body::Unknown => false,
            Body::Unit => {
                self.put("()");
                true
            }
            Body::Newtype(inner) => self.form(inner, shape),
            Body::Tuple(forms) => self.tuple(forms, shape),
            Body::Fields(fields) => {
                self.put("{");
                let good = fields.iter().all(|(name, form)| {
                    let _ = write!(self.out, "{name:?}:");
                    let good = self.form(form, shape);
                    self.put(",");
                    good
                });
                self.put("}");
                good
            }
            Body::Variants(variants) => {
                self.put("<");
                let good = variants.iter().all(|(name, body)| {
                    let _ = write!(self.out, "{name:?}=");
                    let good = self.body(body, shape);
                    self.put("|");
                    good
                });
                self.put(">");
                good
            }
        }
    }
}

/// Whether values of `form` take no bytes.
fn is_empty(form: &Form, shape: &Shape) -> bool {
    match form {
        Form::Unit => true,
        Form::Tuple(forms) => forms.iter().all(|form| is_empty(form, shape)),
        Form::Named(name) => match shape.types.get(name).map(|composite| &composite.body) {
            Some(Body::Unit) => true,
            Some(Body::Newtype(inner)) => is_empty(inner, shape),
            Some(Body::Tuple(forms)) => forms.iter().all(|form| is_empty(form, shape)),
            Some(Body::Fields(fields)) => fields.iter().all(|(_, form)| is_empty(form, shape)),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use realgar_wire::Composite;

    const U32: Form = Form::Integer(32, false);

    fn named(name: &str) -> Form {
        Form::Named(name.into())
    }

    fn shape(root: Form, types: &[(&str, Body)]) -> Shape {
        let composite =
            |(path, body): &(&str, Body)| (path.to_string(), Composite { name: path.to_string(), body: body.clone() });
        Shape { root, types: types.iter().map(composite).collect() }
    }

    /// The text that is hashed, or `None` if the form must not be read from foreign bytes.
    fn text_of(shape: &Shape) -> Option<String> {
        let mut text = Text::default();
        text.form(&shape.root, shape).then_some(text.out)
    }

    fn fields(fields: &[(&str, Form)]) -> Body {
        Body::Fields(fields.iter().map(|(name, form)| (name.to_string(), form.clone())).collect())
    }

    #[test]
    fn a_renamed_type_is_the_same_contract_and_a_renamed_moved_or_retyped_field_is_another() {
        let point = |name: &str, of: &[(&str, Form)]| text_of(&shape(named(name), &[(name, fields(of))])).unwrap();
        let first = point("a::Point", &[("x", U32), ("y", U32)]);
        assert_eq!(first, point("b::Place", &[("x", U32), ("y", U32)]));
        for other in [
            &[("y", U32), ("x", U32)][..],
            &[("x", U32), ("z", U32)],
            &[("x", U32), ("y", Form::Integer(32, true))],
            &[("x", U32)],
            &[("x", U32), ("y", Form::Option(Box::new(U32)))],
        ] {
            assert_ne!(first, point("a::Point", other), "{other:?}");
        }
    }

    #[test]
    fn fields_and_variants_cannot_pretend_to_be_others() {
        let of = |body: Body| text_of(&shape(named("T"), &[("T", body)])).unwrap();
        let variants = |of: &[(&str, Body)]| {
            Body::Variants(of.iter().map(|(name, body)| (name.to_string(), body.clone())).collect())
        };
        let all = [
            of(fields(&[("a\":u32,\"b", U32)])),
            of(fields(&[("a", U32), ("b", U32)])),
            of(Body::Tuple(vec![U32, U32])),
            of(Body::Tuple(vec![Form::Tuple(vec![U32]), U32])),
            of(variants(&[("a", Body::Newtype(U32)), ("b", Body::Newtype(U32))])),
            of(variants(&[("a", Body::Tuple(vec![U32])), ("b", Body::Newtype(U32))])),
            of(variants(&[("a", Body::Newtype(U32))])),
            of(variants(&[("b", Body::Newtype(U32)), ("a", Body::Newtype(U32))])),
        ];
        for (index, text) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(text), "{text}");
        }
    }

    #[test]
    fn what_foreign_bytes_could_abuse_has_no_contract() {
        let list = |item: Form| Form::Seq(Box::new(item));
        let tree = shape(named("Tree"), &[("Tree", fields(&[("children", list(named("Tree")))]))]);
        assert_eq!(text_of(&tree), None, "nests until the stack ends");
        assert_eq!(text_of(&shape(list(Form::Unit), &[])), None, "a long list of nothing");
        let nothing = [("Nothing", fields(&[("a", Form::Unit), ("b", Form::Tuple(Vec::new()))]))];
        assert_eq!(text_of(&shape(list(named("Nothing")), &nothing)), None, "a long list of nothing, by name");
        assert_eq!(text_of(&shape(Form::Option(Box::new(Form::Unknown)), &[])), None, "nothing was seen of it");
        // The same type twice, side by side, does not contain itself.
        let pair = shape(Form::Tuple(vec![named("P"), named("P")]), &[("P", fields(&[("x", U32)]))]);
        assert!(text_of(&pair).is_some());
    }

    #[test]
    fn the_first_map_is_found_whose_keys_json_does_not_take() {
        let map = |key: Form| Form::Map(Box::new(key), Box::new(U32));
        let path = |shape: &Shape| bad_key(&shape.root, shape, &mut Vec::new());
        assert_eq!(path(&shape(map(Form::String), &[])), None);
        assert_eq!(path(&shape(map(U32), &[])), None);
        let plain = Body::Variants(vec![("A".into(), Body::Unit), ("B".into(), Body::Unit)]);
        assert_eq!(path(&shape(map(named("E")), &[("E", plain)])), None);
        assert_eq!(path(&shape(map(named("N")), &[("N", Body::Newtype(Form::String))])), None);
        let data = Body::Variants(vec![("A".into(), Body::Newtype(U32))]);
        assert_eq!(path(&shape(map(named("E")), &[("E", data)])).as_deref(), Some(""));
        let deep = fields(&[("a", U32), ("list", Form::Seq(Box::new(Form::Tuple(vec![U32, map(Form::Bytes)]))))]);
        assert_eq!(path(&shape(named("D"), &[("D", deep)])).as_deref(), Some(".list[].1"));
        let cycle = fields(&[("next", Form::Option(Box::new(named("C")))), ("bad", map(Form::Tuple(vec![U32, U32])))]);
        assert_eq!(path(&shape(named("C"), &[("C", cycle)])).as_deref(), Some(".bad"));
    }
}
