//! The attribute macros of Realgar. Their documentation is where users find them: at the re-exports of the crate `realgar`.
//!
//! Every macro goes through the same phases: *parse* the item into a model, *check* the model and collect every mistake,
//! *expand* it into data plus calls into `realgar::__private`. Expanding cannot fail. Where there is a mistake the user's
//! item is emitted all the same, so that one mistake is one error.

mod cron;
mod durable_object;
mod errors;
mod export;
mod names;
mod options;
mod rpc;
mod tokens;
mod worker;

#[cfg(test)]
mod golden;

use proc_macro::TokenStream;

#[expect(missing_docs, reason = "documented at the re-export")]
#[proc_macro_attribute]
pub fn durable_object(options: TokenStream, item: TokenStream) -> TokenStream {
    durable_object::run(options.into(), item.into()).into()
}

#[expect(missing_docs, reason = "documented at the re-export")]
#[proc_macro_attribute]
pub fn worker(options: TokenStream, item: TokenStream) -> TokenStream {
    worker::run(options.into(), item.into()).into()
}

#[expect(missing_docs, reason = "documented at the re-export")]
#[proc_macro_attribute]
pub fn rpc(options: TokenStream, item: TokenStream) -> TokenStream {
    rpc::run(options.into(), item.into()).into()
}

#[expect(missing_docs, reason = "documented at the re-export")]
#[proc_macro]
pub fn export(input: TokenStream) -> TokenStream {
    export::run(input.into()).into()
}

#[expect(missing_docs, reason = "documented at the re-export")]
#[proc_macro]
pub fn cron(input: TokenStream) -> TokenStream {
    cron::run(input.into()).into()
}
