//! The executor, which polls the calls that wait for something.
//!
//! wasm-bindgen's `spawn_local` is not used: with it, a promise that settles costs one more microtask until the task that it woke
//! is polled. Here the event loop calls [`settled`], which polls that task before it returns.

use super::promise;
use std::{
    cell::RefCell,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

thread_local! {
    static TASKS: RefCell<Tasks> = const { RefCell::new(Tasks { slots: Vec::new(), free: Vec::new(), ready: Vec::new(), scheduled: false }) };
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks, by number.
struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The tasks that are to be polled next.
    ready: Vec<u32>,
    /// Whether it is arranged that the tasks in `ready` are polled.
    scheduled: bool,
}

struct Slot {
    /// `None` while the task is being polled, and in a free slot.
    task: Option<Task>,
    queued: bool,
    /// The waker of every task that has this number in turn. A task that is woken for nothing takes no harm.
    waker: Waker,
}

struct Number(u32);

impl Wake for Number {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        wake(self.0);
    }
}

impl Tasks {
    fn add(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let number = self.slots.len() as u32;
            self.slots.push(Slot { task: None, queued: false, waker: Arc::new(Number(number)).into() });
            number
        })
    }

    /// Has the task polled. Returns whether the caller still has to arrange that.
    fn queue(&mut self, number: u32) -> bool {
        if mem::replace(&mut self.slots[number as usize].queued, true) {
            return false;
        }
        self.ready.push(number);
        !mem::replace(&mut self.scheduled, true)
    }
}

/// Polls `task` at once, and again whenever it is woken. Returns its number if it waits.
pub(crate) fn run(mut task: impl Future<Output = ()> + Unpin + 'static) -> Option<u32> {
    let number = TASKS.with_borrow_mut(Tasks::add);
    // Most tasks are done after this poll, and are never put in a box.
    if poll_once(number, Pin::new(&mut task)) {
        TASKS.with_borrow_mut(|tasks| tasks.free.push(number));
        return None;
    }
    keep(number, Box::pin(task));
    Some(number)
}

/// Drops the task that has this number, and is not being polled.
pub(crate) fn cancel(number: u32) {
    let task = TASKS.with_borrow_mut(|tasks| tasks.slots.get_mut(number as usize)?.task.take());
    if let Some(task) = task {
        end(number, task);
    }
}

/// Leaves `task` to the event loop.
pub(crate) fn spawn(task: Task) {
    let number = TASKS.with_borrow_mut(|tasks| {
        let number = tasks.add();
        tasks.slots[number as usize].task = Some(task);
        number
    });
    wake(number);
}

/// Calls `wake`, and polls what it woke. To be called from the event loop.
pub(crate) fn settled(wake: impl FnOnce()) {
    TASKS.with_borrow_mut(|tasks| tasks.scheduled = true);
    wake();
    poll_ready();
}

fn wake(number: u32) {
    if TASKS.with_borrow_mut(|tasks| tasks.queue(number)) {
        promise::next_turn();
    }
}

/// Polls the tasks that are ready now. Tasks that become ready meanwhile are polled after the promises that have settled by then: a
/// task that wakes itself to let others go on must not keep them waiting.
pub(crate) fn poll_ready() {
    let ready = TASKS.with_borrow_mut(|tasks| {
        tasks.scheduled = false;
        mem::take(&mut tasks.ready)
    });
    for number in ready {
        let task = TASKS.with_borrow_mut(|tasks| {
            let slot = &mut tasks.slots[number as usize];
            slot.queued = false;
            slot.task.take()
        });
        if let Some(task) = task {
            poll(number, task);
        }
    }
}

fn poll(number: u32, mut task: Task) {
    if !poll_once(number, task.as_mut()) {
        return keep(number, task);
    }
    end(number, task);
}

/// Nothing is borrowed while a task is dropped: it is user code.
fn end(number: u32, task: Task) {
    drop(task);
    TASKS.with_borrow_mut(|tasks| tasks.free.push(number));
}

/// Returns whether the task is done. Nothing is borrowed here either.
fn poll_once(number: u32, task: Pin<&mut (impl Future<Output = ()> + ?Sized)>) -> bool {
    let waker = TASKS.with_borrow(|tasks| tasks.slots[number as usize].waker.clone());
    task.poll(&mut Context::from_waker(&waker)).is_ready()
}

fn keep(number: u32, task: Task) {
    TASKS.with_borrow_mut(|tasks| tasks.slots[number as usize].task = Some(task));
}
