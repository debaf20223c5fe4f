//! The platform's limits that Realgar checks before the platform does, in one place.
//!
//! | limit | value | Cloudflare's page | as of |
//! |---|---|---|---|
//! | [`QUEUE_DELAY_MAX_S`] | 24 hours | changelog 2026-02 "Queues: longer delays"; "Queues limits" | 2026-02 |
//! | [`QUEUE_BATCH_SIZE_MAX`] | 100 messages | "Queues limits" | 2026-11 |
//! | [`QUEUE_BATCH_TIMEOUT_MAX_S`] | 60 s | "Queues limits" | 2026-11 |
//! | [`QUEUE_RETRIES_MAX`] | 100 | "Queues limits" | 2026-11 |
//! | [`QUEUE_CONCURRENCY_MAX`] | 250 | "Queues limits" | 2026-11 |
//! | [`QUEUE_NAME_LENGTH_MAX`] | 63 bytes | API reference, "Queues" | 2026-11 |
//! | [`BUCKET_NAME_LENGTH`] | 3 to 63 bytes | "R2 limits" | 2026-11 |
//! | [`R2_KEY_SIZE_MAX`] | 1,024 bytes | "R2 limits" | 2026-11 |
//! | [`R2_CUSTOM_METADATA_SIZE_MAX`] | 8,192 bytes | "R2 limits" | 2026-11 |
//! | [`R2_PART_SIZE_MIN`] | 5 MiB | "R2 limits" | 2026-11 |
//! | [`R2_LIST_MAX`] | 1,000 objects | "R2 Workers API" | 2026-11 |
//! | [`STORAGE_KEY_SIZE_MAX`] | 2 KiB | "Durable Objects limits" | 2026-11 |
//! | [`SCRIPT_NAME_LENGTH_MAX`] | 63 bytes | one DNS label, so that it has a `workers.dev` address | RFC 1035 |
//!
//! Limits that only workerd enforces, such as the 2 MB of a row or the 100 parameters of a statement, are not listed here. They are
//! documented where a program meets them, and appear nowhere else in the code.

use std::ops::RangeInclusive;

/// The longest delay of a message, in seconds, both when it is sent and when it is delivered again.
pub const QUEUE_DELAY_MAX_S: u32 = 24 * 60 * 60;
/// The largest number of messages in a batch.
pub const QUEUE_BATCH_SIZE_MAX: u32 = 100;
/// The longest time that a batch waits to become full, in seconds.
pub const QUEUE_BATCH_TIMEOUT_MAX_S: u32 = 60;
/// The largest number of times that a message may be delivered again.
pub const QUEUE_RETRIES_MAX: u32 = 100;
/// The largest number of batches of a queue that may be processed at once.
pub const QUEUE_CONCURRENCY_MAX: u32 = 250;
/// The longest name of a queue, in bytes.
pub const QUEUE_NAME_LENGTH_MAX: usize = 63;
/// The length of a bucket's name, in bytes.
pub const BUCKET_NAME_LENGTH: RangeInclusive<usize> = 3..=63;
/// The longest key of an R2 object, in bytes.
pub const R2_KEY_SIZE_MAX: usize = 1024;
/// The largest custom metadata of an R2 object: the bytes of all its keys and values together.
pub const R2_CUSTOM_METADATA_SIZE_MAX: usize = 8192;
/// The smallest part of an R2 upload except for the last one, in bytes.
pub const R2_PART_SIZE_MIN: u64 = 5 << 20;
/// The largest number of R2 objects in one page of a list.
pub const R2_LIST_MAX: u64 = 1000;
/// The longest key in the storage of a Durable Object, in bytes.
pub const STORAGE_KEY_SIZE_MAX: usize = 2048;
pub use realgar_names::SCRIPT_NAME_LENGTH_MAX;
