//! Plain JavaScript Workers on the edge, with what their `wrangler.toml` says.

use crate::dev::Dev;
use realgar_test::App;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

const CONFIG: &str = r#"
name = "shop"
main = "index.js"
compatibility_date = "2026-04-21"
workers_dev = true

[vars]
GREETING = "hello"
LIMITS = { most = 3 }

[[kv_namespaces]]
binding = "NOTES"
id = "0123"

[[r2_buckets]]
binding = "FILES"
bucket_name = "files"

[[d1_databases]]
binding = "DB"
database_name = "shop"

[[queues.producers]]
binding = "JOBS"
queue = "jobs"

[[queues.consumers]]
queue = "jobs"
max_batch_timeout = 0

[triggers]
crons = ["0 0 * * *"]
"#;

const SOURCE: &str = r#"
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/done") return Response.json(await env.NOTES.get("done"));
    await env.JOBS.send("a job");
    await env.NOTES.put("note", "kept");
    await env.FILES.put("ü", "a file");
    const { n } = await env.DB.prepare("SELECT count(*) AS n FROM jars").first();
    const file = await (await env.FILES.get("ü", { range: new Headers({ range: "bytes=2-3" }) })).text();
    return Response.json([env.GREETING, env.LIMITS, env.SECRET, await env.NOTES.get("note"), file, n]);
  },
  async queue(batch, env) {
    await env.NOTES.put("done", batch.messages[0].body);
  },
  async scheduled() {},
};
"#;

fn shop(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("migrations")).unwrap();
    fs::write(folder.join("wrangler.toml"), CONFIG).unwrap();
    fs::write(folder.join("index.js"), SOURCE).unwrap();
    fs::write(folder.join("migrations/0001_jars.sql"), "CREATE TABLE jars (id INTEGER);\n").unwrap();
    fs::write(folder.join(".dev.vars"), "SECRET=\"two\\nlines\" # of it\n").unwrap();
    folder
}

#[test]
fn what_a_configuration_binds_is_there() {
    let app = App::builder().plain(shop("plain-shop")).start();
    let found: serde_json::Value = app.get("/").send().expect_status(200).json();
    assert_eq!(found, json!(["hello", {"most": 3}, "two\nlines", "kept", "fi", 0]));
    assert_eq!(app.fire_cron("shop", "0 0 * * *"), "ok");
    while app.get("/done").send().expect_status(200).json::<Option<String>>().as_deref() != Some("a job") {}
}

#[test]
fn what_does_not_run_here_is_named() {
    let folder = shop("plain-workflows");
    fs::write(folder.join("wrangler.toml"), format!("{CONFIG}\n[[workflows]]\nbinding = \"W\"\n")).unwrap();
    let error = App::builder().plain(&folder).try_start().unwrap_err();
    assert!(error.contains("`workflows` is not something that a plain Worker can have here"), "{error}");
    fs::write(folder.join("wrangler.toml"), CONFIG).unwrap();
    fs::write(folder.join(".dev.vars"), "A=1\nno value\n").unwrap();
    let error = App::builder().plain(&folder).try_start().unwrap_err();
    assert!(error.contains("line 2 of") && error.contains("neither `NAME=value` nor a comment"), "{error}");
}

#[test]
fn a_queue_has_one_consumer() {
    let error = App::builder().worker("tests/workers/larder").plain(shop("plain-two")).try_start().unwrap_err();
    assert!(error.contains("`larder` and `shop` both ask for the messages of the queue `jobs`"), "{error}");
}

#[test]
fn what_a_run_leaves_is_no_module_of_the_next_one() {
    let folder = shop("plain-again");
    for _ in 0..2 {
        let dev = Dev::start(&[&folder]);
        dev.serves("shop");
        assert_eq!(dev.interrupt(), Some(0));
    }
}

#[test]
fn a_value_that_nothing_binds_is_a_mistake_of_the_test() {
    let error = App::builder().worker("tests/workers/larder").value("API_KEZ", "1").try_start().unwrap_err();
    assert!(error.contains("`API_KEZ`, which no Worker binds"), "{error}");
}
