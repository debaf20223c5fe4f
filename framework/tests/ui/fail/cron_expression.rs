//! Cron expressions that never fire.

use realgar::cron;

fn main() {
    let _ = cron!("61 * * * *");
    let _ = cron!("0 0 30 2 *");
    let _ = cron!("0 9 * *");
}
