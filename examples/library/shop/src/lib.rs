//! A library with an object and the Worker that hosts it. It exports nothing: `shop-worker` makes a script of it, and `till` binds the
//! object, of which its bundle has nothing.

use realgar::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub name: String,
    pub cents: u32,
}

#[durable_object]
pub struct Basket {
    state: State,
}

impl DurableObject for Basket {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            let items = "CREATE TABLE IF NOT EXISTS items (name TEXT NOT NULL, cents INTEGER NOT NULL)";
            state.sql().execute(items, ())?;
            Ok(Basket { state })
        }
    }
}

#[rpc]
impl Basket {
    pub fn add(&self, item: Item) -> Result<()> {
        self.state.sql().execute("INSERT INTO items VALUES (?, ?)", (item.name, item.cents)).map(drop)
    }

    pub fn items(&self) -> Result<Vec<Item>> {
        self.state.sql().query("SELECT name, cents FROM items", ())
    }
}

#[worker(hosts(Basket))]
pub struct Shop {
    baskets: Namespace<Basket>,
}

impl Worker for Shop {
    fn init(cx: &mut Init) -> Self {
        Shop { baskets: cx.bind(Basket::from::<Shop>()) }
    }

    /// `POST /BASKET` with an item.
    async fn fetch(&self, mut request: Request, _cx: &Context) -> Result<Response> {
        let item: Item = request.json().await?;
        self.baskets.get_by_name(&request.path()).add(item).await?;
        Ok(Response::empty()?.with_status(204))
    }
}
