use realgar::prelude::*;

#[durable_object]
pub struct Counter<T> {
    pub value: T,
}

fn main() {
    let _ = Counter { value: 1 };
}
