//! The same values through serde-wasm-bindgen, to the object in JavaScript: `GET /SIZE/N`.

use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::*;

#[derive(Clone, Serialize, Deserialize)]
pub struct Item {
    id: u32,
    name: String,
    price: f64,
    tags: Vec<String>,
    active: bool,
}

fn items(count: u32) -> Vec<Item> {
    let item = |id| Item {
        id,
        name: format!("item number {id}"),
        price: f64::from(id) * 1.25,
        tags: vec!["red".into(), "large".into()],
        active: id % 2 == 0,
    };
    (0..count).map(item).collect()
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _cx: Context) -> Result<Response> {
    let path = request.path();
    let [_, size, count] = path.split('/').collect::<Vec<_>>()[..] else { return Response::error("GET /SIZE/N", 400) };
    let namespace = js_sys::Reflect::get(&env, &"Echo".into())?;
    let by_name: js_sys::Function = js_sys::Reflect::get(&namespace, &"getByName".into())?.unchecked_into();
    let echo = by_name.call1(&namespace, &"one".into())?;
    let method: js_sys::Function = js_sys::Reflect::get(&echo, &"echo".into())?.unchecked_into();
    let sent = items(size.parse().unwrap_or(0));
    let mut seen = 0;
    for _ in 0..count.parse().unwrap_or(0) {
        let value = serde_wasm_bindgen::to_value(&sent).map_err(|error| Error::from(JsValue::from(error)))?;
        // Not `call1`: to a stub, `call` is the name of a method.
        let returned = js_sys::Reflect::apply(&method, &echo, &js_sys::Array::of1(&value))?;
        let promise: js_sys::Promise = js_sys::Promise::resolve(&returned);
        let answer = JsFuture::from(promise).await?;
        let items: Vec<Item> =
            serde_wasm_bindgen::from_value(answer).map_err(|error| Error::from(JsValue::from(error)))?;
        seen += items.len();
    }
    Response::ok(seen.to_string())
}
