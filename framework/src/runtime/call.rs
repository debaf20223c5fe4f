//! A call under way: its future, the record that it settles, and which call it is.
//!
//! A call is not a promise made by wasm. The entry module keeps a record of it and passes that in; the call's future is
//! polled at once, and most calls settle their record before the export returns. If the instance breaks, the entry module
//! still holds the records and rejects them: nobody waits for ever.

use super::{
    executor, js,
    trace::{self, Scope},
};
use crate::calls::{Failure, Reply};
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{self, Poll},
};
use wasm_bindgen::JsValue;

thread_local! {
    /// The call that is being polled; 0 outside of any.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// The call that is being polled.
pub(crate) fn current_call() -> u32 {
    CURRENT.get()
}

/// Runs `begin` and the future it returns as part of call `call`, which `scope` describes for logs. Returns the number of the
/// call's task if it waits.
pub(crate) fn start(
    record: JsValue,
    call: u32,
    scope: impl FnOnce() -> Scope,
    begin: impl FnOnce() -> Reply,
) -> Option<u32> {
    let Reply(future) = within(call, begin);
    // Asked only now: Phase 1, which may have run in `begin`, decides whether scopes are recorded.
    let scope = trace::enabled().then(|| Rc::new(scope()));
    executor::run(Call { record, call, scope, future })
}

/// Polls `future` at once as part of call `call`, and settles `record` with its result.
pub(crate) fn run(record: JsValue, call: u32, future: Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>) {
    executor::run(Call { record, call, scope: None, future });
}

/// Leaves `future` to the event loop, as part of no call, and settles `record` with its result.
pub(crate) fn spawn(record: JsValue, future: Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>) {
    executor::spawn(Box::pin(Call { record, call: 0, scope: None, future }));
}

/// Starts `future`, and makes the event whose context is `raw` wait until it ends or the wasm instance dies.
pub(crate) fn wait_until(raw: &JsValue, future: impl Future<Output = ()> + 'static) {
    let record = js::wait_until(raw);
    spawn(
        record,
        Box::pin(async {
            future.await;
            Ok(JsValue::UNDEFINED)
        }),
    );
}

/// A call under way.
struct Call {
    record: JsValue,
    call: u32,
    scope: Option<Rc<Scope>>,
    future: Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>,
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let (call, scope) = (self.call, self.scope.clone());
        let future = self.future.as_mut();
        match task::ready!(trace::within(scope.as_ref(), || within(call, || future.poll(cx)))) {
            Ok(value) => js::settle(&self.record, &value),
            Err(Failure { code, message, path, data }) => {
                js::fail(&self.record, code, &message, path.as_deref(), &data);
            }
        }
        Poll::Ready(())
    }
}

/// Attributes a panic inside `body` to `call`.
pub(crate) fn within<T>(call: u32, body: impl FnOnce() -> T) -> T {
    let outer = CURRENT.replace(call);
    let result = body();
    CURRENT.set(outer);
    result
}
