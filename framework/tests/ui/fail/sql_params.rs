//! What is no list of parameters.

use realgar::{State, Result};

fn store(state: &State) -> Result<u64> {
    state.sql().execute("INSERT INTO t VALUES (?)", 1)
}

fn main() {}
