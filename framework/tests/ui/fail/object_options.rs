use realgar::{Namespace, prelude::*};

#[durable_object(class = "Counter", name = "not-a-class", hosts(A))]
pub struct Counter;

// Whatever names these two has no error of its own.
#[durable_object(isolation = "process")]
pub struct Alone;

impl DurableObject for Alone {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(Alone) }
    }
}

#[worker(host(Alone), hosts(Alone))]
pub struct Lonely {
    alone: Namespace<Alone>,
}

impl Worker for Lonely {
    fn init(cx: &mut Init) -> Self {
        Lonely { alone: cx.bind(Alone::from::<Self>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        Ok(self.alone.get_by_name("one").fetch(request).await?)
    }
}

realgar::export!(Lonely);

#[durable_object]
pub enum Either {
    One,
}

fn main() {
    let _ = (Counter, Alone, Either::One);
}
