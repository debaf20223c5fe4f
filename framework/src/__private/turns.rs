//! Whose turn it is: the exclusive methods of an object run one after the other, in the order of their calls.

use crate::{ObjectClass, calls::Reply};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// The queue of calls of exclusive methods. The first one in the queue has its turn.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    queue: Rc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    last: Cell<u64>,
    waiting: RefCell<Vec<(u64, Option<Waker>)>>,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: Rc<Queue>,
    number: u64,
}

impl Turns {
    /// A place at the end of the queue.
    pub(crate) fn queue(&self) -> Turn {
        let number = self.queue.last.get() + 1;
        self.queue.last.set(number);
        self.queue.waiting.borrow_mut().push((number, None));
        Turn { queue: self.queue.clone(), number }
    }
}

impl Turn {
    /// Ready when the turn has come.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.queue.waiting.borrow_mut();
        if waiting.first().is_none_or(|(number, _)| *number == self.number) {
            return Poll::Ready(());
        }
        let own = waiting.iter_mut().find(|(number, _)| *number == self.number);
        let replaced = own.and_then(|(_, waker)| waker.replace(cx.waker().clone()));
        drop(waiting);
        // Dropped while the queue is not borrowed: the waker may be the last to hold a task, whose end may run anything.
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.borrow_mut();
        let own = waiting.iter().position(|(number, _)| *number == self.number);
        let own = own.map(|index| waiting.remove(index));
        let next = waiting.first_mut().and_then(|(_, waker)| waker.take());
        drop(waiting);
        // As above.
        drop(own);
        if let Some(next) = next {
            next.wake();
        }
    }
}

/// The function that runs an exclusive method of the class when its turn has come.
#[must_use]
pub const fn exclusive<C: HasTurns>() -> Option<fn(&Turns, Reply) -> Reply> {
    Some(in_turn)
}

/// A class whose methods can be exclusive.
#[diagnostic::on_unimplemented(
    message = "a method of `{Self}` cannot be exclusive",
    note = "only the methods of a Durable Object can wait for each other: a Worker runs in many isolates at once"
)]
pub trait HasTurns {}

impl<C: ObjectClass> HasTurns for C {}

/// Runs `reply` when its turn has come.
fn in_turn(turns: &Turns, reply: Reply) -> Reply {
    let turn = turns.queue();
    Reply(Box::pin(async move {
        poll_fn(|cx| turn.poll(cx)).await;
        let result = reply.0.await;
        drop(turn);
        result
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_turn(turn: &Turn) -> bool {
        turn.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn turns_come_in_order_whoever_gives_up() {
        let turns = Turns::default();
        let (first, second, third) = (turns.queue(), turns.queue(), turns.queue());
        assert!(has_turn(&first) && !has_turn(&second) && !has_turn(&third));
        drop(second);
        assert!(!has_turn(&third));
        drop(first);
        assert!(has_turn(&third));
        let fourth = turns.queue();
        drop(third);
        assert!(has_turn(&fourth));
    }
}
