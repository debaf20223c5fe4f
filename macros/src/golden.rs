//! Golden expansions: a change of a template shows up in the diff. `BLESS=1 cargo test -p realgar-macros` writes them.

use proc_macro2::TokenStream;
use quote::quote;
use std::{env, fs, path::Path};

fn check(name: &str, expansion: TokenStream) {
    let file = syn::parse2(expansion).expect("an expansion is a sequence of items");
    let text = prettyplease::unparse(&file);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/expand/{name}.rs"));
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &text).expect("the folder of the golden files can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "the expansion differs from `{}`", path.display());
}

#[test]
fn durable_object() {
    check(
        "durable_object",
        crate::durable_object::run(
            quote!(),
            quote!(
                pub struct Counter {
                    count: u64,
                }
            ),
        ),
    );
}

#[test]
fn worker() {
    check(
        "worker",
        crate::worker::run(
            quote!(hosts(Counter, Room), name = "api"),
            quote!(
                pub struct Api;
            ),
        ),
    );
}

#[test]
fn rpc() {
    let block = quote! {
        impl Counter {
            /// Adds.
            pub async fn add_all(&self, first: u64, rest: Vec<u64>) -> Result<u64> {
                Ok(0)
            }

            #[cfg(feature = "extra")]
            #[rpc(name = "size")]
            pub fn length(&self) -> u64 {
                0
            }

            pub fn clear(&self) {}
        }
    };
    check("rpc", crate::rpc::run(quote!(), block));
}

#[test]
fn export() {
    check("export", crate::export::run(quote!(Api)));
}
