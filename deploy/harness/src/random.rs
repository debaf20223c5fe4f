//! Random numbers that can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// The environment variable that a seed is read from.
const VARIABLE: &str = "REALGAR_SEED";

/// Random numbers from a seed. The seed is printed, so that `cargo test` shows it if the test fails; `REALGAR_SEED=..` repeats the
/// numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Takes the seed from the variable `REALGAR_SEED`, or else from the clock.
    ///
    /// # Panics
    /// When the variable is no number.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "whoever reads of a failure needs the seed")]
    pub fn new() -> Self {
        let seed = match std::env::var(VARIABLE) {
            Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{VARIABLE} is `{seed}`, which is no number")),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64,
        };
        println!("{VARIABLE}={seed}");
        Self(seed)
    }

    /// A number below `end`, or 0 if `end` is 0 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators").
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there is none.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
