//! A cron expression that is none, or in a time zone that is none.

use realgar::cron;

fn main() {
    let _ = cron!("0 9 * * *", "Europe/Berlni");
    let _ = cron!("0 9 * * *", "europe/berlin");
    let _ = cron!(every_day);
}
