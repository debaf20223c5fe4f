//! Generated code names everything by its full path, and needs nothing of the user's crate.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]
#![allow(dead_code, reason = "a test of what compiles")]

extern crate realgar as renamed;

/// Shadows what generated code might name.
pub struct Result;
/// Shadows what generated code might name.
pub struct Option;
/// Shadows what generated code might name.
pub struct Vec;
/// Shadows what generated code might name.
pub struct String;
/// Shadows what generated code might name.
pub struct Box;
/// Shadows what generated code might name.
#[allow(non_camel_case_types)]
pub struct str;
/// Shadows what generated code might name.
#[allow(non_camel_case_types)]
pub struct u32;

/// An object.
#[renamed::durable_object(crate = renamed)]
pub struct Counter {
    state: renamed::State,
}

impl renamed::DurableObject for Counter {
    fn init(_cx: &mut renamed::Init) -> impl renamed::Instantiate<Self> {
        |state: renamed::State| async move { ::core::result::Result::Ok(Counter { state }) }
    }
}

#[renamed::rpc(crate = renamed)]
impl Counter {
    /// A method with every kind of parameter name.
    pub async fn add(&self, object: u64, arguments: u64, stub: u64, r#type: u64) -> renamed::Result<u64> {
        ::core::result::Result::Ok(object + arguments + stub + r#type)
    }

    /// A method that exists in some builds.
    #[cfg(any())]
    pub fn sometimes(&self) {}

    /// A method without a result.
    pub fn nothing(&self) {}
}

/// An object without methods.
#[renamed::durable_object(crate = renamed)]
pub struct Silent;

impl renamed::DurableObject for Silent {
    fn init(_cx: &mut renamed::Init) -> impl renamed::Instantiate<Self> {
        |_state: renamed::State| async move { ::core::result::Result::Ok(Silent) }
    }
}

/// A Worker.
#[renamed::worker(hosts(Counter, Silent), crate = renamed)]
pub struct Api {
    counters: renamed::Namespace<Counter>,
}

impl renamed::Worker for Api {
    fn init(cx: &mut renamed::Init) -> Self {
        Api { counters: cx.bind(Counter::from::<Api>()) }
    }
}

impl Api {
    async fn call(&self) {
        let counter: CounterStub = self.counters.get_by_name("x");
        let _: ::core::result::Result<u64, renamed::CallError<renamed::Error>> = counter.add(1, 2, 3, 4).await;
        let _: ::core::result::Result<(), renamed::RpcError> = counter.nothing().await;
    }
}

renamed::export!(Api, crate = renamed);

fn main() {}
