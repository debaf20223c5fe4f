//! How many calls are under way at once: fewer after Cloudflare said that there are too many, and then one more with each that is
//! answered. Uploads have a gate of their own, because they share one way out.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A gate that all clones share.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    shared: Arc<(Mutex<State>, Condvar)>,
    most: usize,
}

#[derive(Debug)]
struct State {
    under_way: usize,
    /// How many may be under way now.
    allowed: usize,
}

/// A call that is under way. Dropping it lets the next one through.
pub(crate) struct Passed<'a>(&'a Gate);

impl Gate {
    /// A gate for at most `most` calls.
    pub(crate) fn new(most: usize) -> Self {
        Self { shared: Arc::new((Mutex::new(State { under_way: 0, allowed: most }), Condvar::new())), most }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more call may be made.
    pub(crate) fn pass(&self) -> Passed<'_> {
        let full = |state: &mut State| state.under_way >= state.allowed;
        let waited = self.shared.1.wait_while(self.state(), full);
        waited.unwrap_or_else(PoisonError::into_inner).under_way += 1;
        Passed(self)
    }

    /// Lets half as many through from now on.
    pub(crate) fn narrow(&self) {
        let mut state = self.state();
        state.allowed = (state.allowed / 2).max(1);
    }

    /// Lets one more through from now on.
    pub(crate) fn widen(&self) {
        let mut state = self.state();
        state.allowed = (state.allowed + 1).min(self.most);
        drop(state);
        self.shared.1.notify_all();
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.shared.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[test]
    fn no_more_pass_than_may() {
        for narrowed in [0, 1, 9] {
            let gate = Gate::new(8);
            (0..narrowed).for_each(|_| gate.narrow());
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..64 {
                    scope.spawn(|| {
                        let _passed = gate.pass();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
            assert!(most.into_inner() <= (8 >> narrowed).max(1));
        }
    }

    #[test]
    fn what_was_narrowed_becomes_wide_again() {
        let gate = Gate::new(4);
        (0..5).for_each(|_| gate.narrow());
        (0..9).for_each(|_| gate.widen());
        let _all: Vec<Passed<'_>> = (0..4).map(|_| gate.pass()).collect();
        assert_eq!(gate.state().allowed, 4);
    }
}
