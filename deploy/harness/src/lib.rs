//! Test Realgar Workers on real workerd, from `cargo test`.
//!
//! ```no_run
//! use realgar_test::App;
//!
//! #[test]
//! fn the_count_survives_eviction() {
//!     let app = App::start("examples/counter");
//!     app.post("/ada").send().expect_status(200);
//!     app.object("counter", "Counter", "ada").evict();
//!     assert_eq!(app.get("/ada").send().text(), r#"{"value":1}"#);
//! }
//! # fn main() {}
//! ```
//!
//! A Worker crate is built once per process. An app gets free ports and an empty data folder. It is torn down when it is dropped,
//! also when the test fails; in that case its log is printed. When the harness itself fails, it panics with the reason, because a
//! test could do nothing about it.

mod app;
mod folder;
mod http;
mod outbound;
mod random;
mod websocket;

pub use app::{App, AppBuilder, CallFailed, Data, ObjectRef, Sockets};
pub use http::{Request, Response};
pub use random::Random;
pub use realgar_bundle::{Bundle, Profile, read as read_bundle};
pub use realgar_edge::{LogLine, OutboundRequest, OutboundResponse};
pub use websocket::{Frame, SocketClient};

use realgar_bundle::{BuildOptions, Builder, build};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

/// Builds the Worker crate in `path`, once per process: further calls return the same bundle. A relative `path` is relative to the
/// package under test, because cargo runs tests there.
///
/// # Errors
/// When the build fails, with what the compiler said.
pub fn bundle(path: impl AsRef<Path>, profile: Profile) -> Result<Bundle, String> {
    type Built = Arc<OnceLock<Result<Bundle, String>>>;
    static BUILT: LazyLock<Mutex<HashMap<String, Built>>> = LazyLock::new(Mutex::default);
    let path = path.as_ref();
    let key = format!("{} {}", path.display(), profile.name());
    let cell = lock(&BUILT).entry(key).or_default().clone();
    cell.get_or_init(|| {
        let mut output = String::new();
        let options = BuildOptions {
            path: path.into(),
            profile,
            builder: Builder::Realgar,
            color: false,
            wasm_bindgen: None,
            cancel: None,
        };
        build(&options, &mut |progress| {
            if let realgar_bundle::Progress::Output(line) = progress {
                output.push_str(&line);
                output.push('\n');
            }
        })
        .map_err(|error| format!("cannot build `{}`: {}\n{output}", path.display(), chain(&error)))
    })
    .clone()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The message of an error, with those of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
