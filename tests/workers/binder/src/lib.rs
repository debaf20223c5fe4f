//! A Worker that binds an object of a library and hosts nothing.

use pantry::{Pantry, PantryHost};
use realgar::{CallError, prelude::*};

#[worker]
pub struct Binder {
    pantries: Namespace<Pantry>,
}

impl Worker for Binder {
    fn init(cx: &mut Init) -> Self {
        Binder { pantries: cx.bind(Pantry::from::<PantryHost>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let pantry = self.pantries.get_by_name("shared");
        if request.path() != "/shatter" {
            return Ok(Response::from_json(&pantry.stock(request.path()).await?)?);
        }
        Ok(Response::ok(match pantry.shatter().await {
            Ok(value) => format!("fine: {value}"),
            Err(CallError::Method(error)) => format!("method: {error}"),
            Err(CallError::Rpc(error)) => format!("{:?}: {}", error.kind(), error.message()),
        })?)
    }
}

realgar::export!(Binder);
