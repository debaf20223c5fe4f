use realgar::prelude::*;

#[durable_object(class = "Counter", name = "not-a-class", hosts(A))]
pub struct Counter;

#[durable_object(isolation = "process")]
pub struct Alone;

#[durable_object]
pub enum Either {
    One,
}

fn main() {
    let _ = (Counter, Alone, Either::One);
}
