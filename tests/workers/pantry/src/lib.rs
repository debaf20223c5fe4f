//! A library that holds an object, its implementation and the identity of the Worker that hosts it. A Worker that only binds
//! the object depends on this crate too.

#![forbid(unsafe_code)]

use realgar::prelude::*;
use std::cell::RefCell;

/// A text that only the implementation has. The tests look for it in the wasm.
const MARK: &str = "only-the-implementation-says-this";

#[durable_object]
pub struct Pantry {
    jars: RefCell<Vec<String>>,
}

impl DurableObject for Pantry {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(Pantry { jars: RefCell::default() }) }
    }
}

#[rpc]
impl Pantry {
    pub fn stock(&self, jar: String) -> Vec<String> {
        self.jars.borrow_mut().push(jar);
        self.jars.borrow().clone()
    }

    pub fn shatter(&self) -> Result<u32> {
        panic!("{MARK}");
    }
}

#[worker(hosts(Pantry))]
pub struct PantryHost;

impl Worker for PantryHost {
    fn init(_cx: &mut Init) -> Self {
        PantryHost
    }
}
