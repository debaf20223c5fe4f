//! A Worker of its own that reads the baskets of the shop: `GET /BASKET` answers with the sum in cents.

use realgar::prelude::*;
use shop::{Basket, Shop};

#[worker]
pub struct Till {
    baskets: Namespace<Basket>,
}

impl Worker for Till {
    fn init(cx: &mut Init) -> Self {
        Till { baskets: cx.bind(Basket::from::<Shop>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let items = self.baskets.get_by_name(&request.path()).items().await?;
        let sum: u32 = items.iter().map(|item| item.cents).sum();
        Ok(Response::ok(sum.to_string())?)
    }
}

realgar::export!(Till);
