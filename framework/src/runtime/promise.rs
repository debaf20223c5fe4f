//! Awaiting a JavaScript promise.
//!
//! `JsFuture` is not used, because it makes two closures for each promise and registers them for finalisation. Here the entry
//! module gets a number, and calls one export with it when the promise is settled. This makes a call from Rust as fast as one from
//! JavaScript.

use super::{executor, js};
use crate::Error;
use std::{
    cell::RefCell,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use wasm_bindgen::prelude::*;

thread_local! {
    static SLOTS: RefCell<Slots> = const { RefCell::new(Slots { list: Vec::new(), free: Vec::new() }) };
}

/// The promises that are awaited, by number.
struct Slots {
    list: Vec<Slot>,
    free: Vec<u32>,
}

enum Slot {
    Free,
    Waiting(Option<Waker>),
    Settled(Result<JsValue, JsValue>),
    /// Nobody awaits it any more, but the entry module still has the number.
    Abandoned,
}

impl Slots {
    fn add(&mut self) -> u32 {
        let waiting = Slot::Waiting(None);
        if let Some(number) = self.free.pop() {
            self.list[number as usize] = waiting;
            return number;
        }
        self.list.push(waiting);
        self.list.len() as u32 - 1
    }

    fn free(&mut self, number: u32) -> Slot {
        self.free.push(number);
        mem::replace(&mut self.list[number as usize], Slot::Free)
    }

    /// Keeps the result of a promise. Returns the waker to wake; or the result, if nobody wants it.
    fn settle(&mut self, number: u32, result: Result<JsValue, JsValue>) -> (Option<Waker>, Slot) {
        let Some(slot) = self.list.get_mut(number as usize) else { return (None, Slot::Free) };
        match mem::replace(slot, Slot::Settled(result)) {
            Slot::Waiting(waker) => (waker, Slot::Free),
            Slot::Abandoned => (None, self.free(number)),
            Slot::Free | Slot::Settled(_) => (None, Slot::Free),
        }
    }
}

impl Slot {
    /// Cancels a stream that nobody is going to read.
    fn discard(self) {
        if let Self::Settled(Ok(value)) = self
            && value.is_object()
        {
            js::discard(&value);
        }
    }
}

/// The future of a promise's result. Dropping it does not stop the promise; if the promise's result is a stream, the stream is then
/// cancelled.
#[derive(Debug)]
pub(crate) struct Settled {
    /// `None` once the result was taken.
    number: Option<u32>,
}

/// Awaits `promise`, or any other thenable, such as what a stub returns.
pub(crate) fn settled(promise: &JsValue) -> Settled {
    settled_by(|number| js::wait(promise, number))
}

/// Awaits what an operation of the platform returned: a promise, or an exception that was thrown at once.
pub(crate) async fn awaited(returned: Result<JsValue, JsValue>) -> crate::Result<JsValue> {
    let promise = returned.map_err(Error::from_js)?;
    settled(&promise).await.map_err(Error::from_js)
}

/// Awaits a result that JavaScript reports under a number, which `begin` gets.
pub(crate) fn settled_by(begin: impl FnOnce(u32)) -> Settled {
    let number = SLOTS.with_borrow_mut(Slots::add);
    begin(number);
    Settled { number: Some(number) }
}

impl Future for Settled {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(number) = self.number else { return Poll::Pending };
        let mut replaced = None;
        let state = SLOTS.with_borrow_mut(|slots| {
            if let Slot::Waiting(waker) = &mut slots.list[number as usize] {
                // The waker is always the latest one: a call is polled by more than one task in its life.
                replaced = waker.replace(cx.waker().clone());
                return Poll::Pending;
            }
            self.number = None;
            match slots.free(number) {
                Slot::Settled(result) => Poll::Ready(result),
                Slot::Free | Slot::Waiting(_) | Slot::Abandoned => Poll::Pending,
            }
        });
        // Dropped while the slots are not borrowed: the waker may be the last to hold a task, whose end may run anything.
        drop(replaced);
        state
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let left = SLOTS.with_borrow_mut(|slots| match &mut slots.list[number as usize] {
            waiting @ Slot::Waiting(_) => mem::replace(waiting, Slot::Abandoned),
            _ => slots.free(number),
        });
        // As above.
        left.discard();
    }
}

/// A number that no promise has.
const NEXT_TURN: u32 = u32::MAX;

/// Makes the executor poll the tasks that are ready, as soon as the event loop comes to it.
pub(crate) fn next_turn() {
    js::wait(&js_sys::Promise::resolve(&JsValue::UNDEFINED), NEXT_TURN);
}

/// Called by the entry module when the promise with this number is settled.
#[wasm_bindgen(js_name = realgarSettled)]
pub fn promise_settled(number: u32, fulfilled: bool, value: JsValue) {
    if number == NEXT_TURN {
        return executor::poll_ready();
    }
    let result = if fulfilled { Ok(value) } else { Err(value) };
    let (waker, unwanted) = SLOTS.with_borrow_mut(|slots| slots.settle(number, result));
    // Done while the slots are not borrowed, because waking may run anything.
    unwanted.discard();
    if let Some(waker) = waker {
        executor::settled(|| waker.wake());
    }
}
