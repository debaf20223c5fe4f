//! An entrypoint of another Worker, and one that is none.

use realgar::prelude::*;

#[worker]
pub struct Api;

#[worker]
pub struct Other;

#[worker(entrypoint_of = Other, name = "admin")]
pub struct Named;

#[worker(entrypoint_of = Other)]
pub struct Admin;

impl Worker for Api {
    fn init(_cx: &mut Init) -> Self {
        Api
    }
}

impl Worker for Admin {
    fn init(_cx: &mut Init) -> Self {
        Admin
    }
}

realgar::export!(Api, entrypoints(Admin));

fn main() {}
