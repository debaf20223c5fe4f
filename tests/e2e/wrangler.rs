//! Unmodified wrangler, with the `wrangler.toml` that a build writes: which classes it tells Cloudflare of.

use crate::{
    classes::host,
    common::{eventually, npm_ci},
    machine::{Machine, Web, request},
    project::Project,
};
use realgar_test::{Bundle, Profile, bundle};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex, OnceLock},
    thread,
};

/// Installs the pinned wrangler and the Node that it wants, once: only these tests need them, and they are large.
fn wrangler() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrangler");
        npm_ci(Path::new("tests/wrangler"), &folder);
        folder.join("node_modules")
    })
}

/// Runs wrangler in `folder`, with the recorder at `api` as Cloudflare.
fn run(folder: &Path, api: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = command(folder, arguments);
    command.envs([("CLOUDFLARE_API_TOKEN", "token"), ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)]);
    command.env("CLOUDFLARE_API_BASE_URL", api.unwrap_or("http://127.0.0.1:9")).output().unwrap()
}

/// wrangler in `folder`, with `realgar` on its path.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let modules = wrangler();
    let arch = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x64" };
    let own = Path::new(env!("CARGO_BIN_EXE_realgar")).parent().unwrap();
    let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(modules.join(format!("node-linux-{arch}/bin/node")));
    command.arg(modules.join("wrangler/bin/wrangler.js")).args(arguments).current_dir(folder).envs([
        ("PATH", path.as_str()),
        ("WRANGLER_SEND_METRICS", "false"),
        ("CI", "true"),
        ("NO_COLOR", "1"),
    ]);
    command
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// A server that answers as Cloudflare does for an account without Workers, and keeps the metadata of what is uploaded.
struct Recorder {
    url: String,
    uploads: Arc<Mutex<Vec<Value>>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let uploads: Arc<Mutex<Vec<Value>>> = Arc::default();
        let record = uploads.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let record = record.clone();
                thread::spawn(move || answer(stream, &record));
            }
        });
        Self { url, uploads }
    }

    /// The metadata of the last upload.
    fn last(&self) -> Value {
        self.uploads.lock().unwrap().last().cloned().expect("something was uploaded")
    }
}

/// Answers one request, and closes the connection.
fn answer(stream: TcpStream, record: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let (mut length, mut expects) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        expects |= header == "expect: 100-continue";
        assert!(!header.starts_with("transfer-encoding"), "wrangler sends lengths");
    }
    let mut stream = stream;
    if expects {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, result) = reply(&line, &body, record);
    let body = match status {
        200 => json!({ "success": true, "errors": [], "messages": [], "result": result }),
        _ => json!({ "success": false, "errors": [result], "messages": [], "result": null }),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // wrangler may have ended already.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn reply(line: &str, body: &[u8], record: &Mutex<Vec<Value>>) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let path = path.split([' ', '?']).next().unwrap();
    let uploaded = record.lock().unwrap().last().cloned();
    match method {
        "PUT" if path.contains("/workers/scripts/") => {
            record.lock().unwrap().push(metadata(body));
            (200, json!({ "id": "history", "etag": "e", "handlers": ["fetch"], "startup_time_ms": 1 }))
        }
        "GET" if path.ends_with("/workers/subdomain") => (200, json!({ "subdomain": "acme" })),
        "POST" if path.ends_with("/subdomain") => (200, json!({ "enabled": true, "previews_enabled": true })),
        "GET" if path.contains("/workers/services/") && uploaded.is_some() => {
            let tag = uploaded.map(|metadata| metadata["migrations"]["new_tag"].clone());
            let script = json!({ "id": "history", "migration_tag": tag, "last_deployed_from": "wrangler" });
            (200, json!({ "id": "history", "default_environment": { "environment": "production", "script": script } }))
        }
        "GET" if path.contains("/workers/workers/") => {
            let subdomain = json!({ "enabled": true, "previews_enabled": true });
            let observability = json!({ "enabled": false });
            (
                200,
                json!({ "id": "1", "name": "history", "subdomain": subdomain, "observability": observability, "tags": [] }),
            )
        }
        _ => (404, json!({ "code": 10007, "message": "This Worker does not exist on your account." })),
    }
}

/// The part `metadata` of an upload.
fn metadata(body: &[u8]) -> Value {
    let body = String::from_utf8_lossy(body);
    let part = body.split("name=\"metadata\"").nth(1).expect("an upload has metadata");
    let json = part.split_once("\r\n\r\n").and_then(|(_, rest)| rest.split_once("\r\n--")).unwrap().0;
    serde_json::from_str(json).unwrap()
}

/// Deploys the bundle as it is, and returns the metadata that wrangler sent. `wrangler_accepts_the_folder` has wrangler build it first.
fn deployed(recorder: &Recorder, bundle: &Bundle, project: &Project) -> Value {
    let written = fs::read_to_string(bundle.folder.join("wrangler.toml")).unwrap();
    let config = bundle.folder.join("built.toml");
    let built = written.replace("[build]\ncommand = ", "[vars]\nBUILDS_WITH = ");
    assert_ne!(built, written, "it has no command that builds it");
    fs::write(&config, built).unwrap();
    let output = run(&project.folder, Some(&recorder.url), &["deploy", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    recorder.last()
}

/// An entry of `exports`.
fn live() -> Value {
    json!({ "type": "durable-object", "storage": "sqlite" })
}

#[test]
fn wrangler_accepts_the_folder() {
    let folder = bundle("examples/counter", Profile::Release).unwrap().folder;
    let output = run(&folder, None, &["deploy", "--dry-run"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for expected in [
        "realgar build --package counter",
        "worker_bg.wasm",
        "env.Counter (Counter)",
        "env.Events (Events)",
        "--dry-run: exiting now",
    ] {
        assert!(said.contains(expected), "`{expected}` is not in:\n{said}");
    }
}

#[test]
fn the_configuration_names_no_folder_of_the_machine_that_built() {
    let folder = bundle("examples/counter", Profile::Release).unwrap().folder;
    let config = fs::read_to_string(folder.join("wrangler.toml")).unwrap();
    assert!(config.contains("command = \"realgar build --package counter\""), "{config}");
    let here = std::env::current_dir().unwrap();
    assert!(!config.contains(here.to_str().unwrap()), "{config}");
}

#[test]
fn wrangler_tells_cloudflare_what_the_classes_are_and_what_became_of_others() {
    let (recorder, project) = (Recorder::start(), Project::new("scratch-history", ""));
    let deploy = |source: &str| deployed(&recorder, &project.build(source), &project);
    let first = deploy(&host("history", "Old", ""));
    assert_eq!(first["exports"], json!({ "Old": live() }), "{first}");
    assert_eq!(first["migrations"], Value::Null);

    // A class is added: it has to be made, whatever was deployed before.
    let second = "#[durable_object]\npub struct Added;\nimpl DurableObject for Added {\n    \
                  fn init(_cx: &mut Init) -> impl Instantiate<Self> {\n        |_state: State| async { Ok(Added) }\n    }\n}\n";
    let two = |class: &str, options: &str| {
        let source =
            host("history", class, options).replace(&format!("hosts({class})"), &format!("hosts({class}, Added)"));
        format!("{source}\n{second}")
    };
    assert_eq!(deploy(&two("Old", ""))["exports"], json!({ "Old": live(), "Added": live() }));
    assert_eq!(
        deploy(&two("New", ", renamed(Old = New)"))["exports"],
        json!({ "New": live(), "Added": live(), "Old": { "type": "durable-object", "state": "renamed", "renamed_to": "New" } })
    );
    assert_eq!(
        deploy(&host("history", "New", ", renamed(Old = New), deleted(Added)"))["exports"],
        json!({
            "New": live(),
            "Added": { "type": "durable-object", "state": "deleted" },
            "Old": { "type": "durable-object", "state": "renamed", "renamed_to": "New" },
        })
    );
    assert_eq!(
        deploy(&host("history", "New", ", transferred_from(New = \"giver\"), transferred_to(Lent = \"taker\")"))["exports"],
        json!({
            "New": {
                "type": "durable-object", "state": "expecting-transfer", "storage": "sqlite", "transfer_from": "giver"
            },
            "Lent": { "type": "durable-object", "state": "transferred", "transferred_to": "taker" },
        })
    );
}

#[test]
fn a_worker_with_migration_tags_goes_on_with_its_history() {
    let (recorder, project) = (Recorder::start(), Project::new("scratch-tags", ""));
    let history = |text: &str| fs::write(project.folder.join("migrations.toml"), text).unwrap();
    let option = ", migrations = \"migrations.toml\"";
    let first = "[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"Old\"]\n";
    history(first);
    let sent = deployed(&recorder, &project.build(&host("history", "Old", option)), &project);
    assert_eq!(sent["migrations"]["new_tag"], "v1");
    assert_eq!(sent["migrations"]["steps"], json!([{ "new_sqlite_classes": ["Old"] }]));
    assert_eq!(sent["exports"], Value::Null);

    let refused = project.try_build(&host("history", "New", option)).unwrap_err();
    assert!(refused.contains("ends with the class `Old`, and the Worker hosts the class `New`"), "{refused}");
    assert!(
        refused.contains("add a step `v2` with `renamed_classes = [{ from = \"Old\", to = \"New\" }]`"),
        "{refused}"
    );
    history(&format!(
        "{first}\n[[migrations]]\ntag = \"v2\"\nrenamed_classes = [{{ from = \"Old\", to = \"New\" }}]\n"
    ));
    let sent = deployed(&recorder, &project.build(&host("history", "New", option)), &project);
    assert_eq!((&sent["migrations"]["old_tag"], &sent["migrations"]["new_tag"]), (&json!("v1"), &json!("v2")));
    assert_eq!(sent["migrations"]["steps"], json!([{ "renamed_classes": [{ "from": "Old", "to": "New" }] }]));

    history("[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"New\"]\nnew_sqlite = []\n");
    let refused = project.try_build(&host("history", "New", option)).unwrap_err();
    assert!(refused.contains("migrations.toml`") && refused.contains("unknown field `new_sqlite`"), "{refused}");
    let both = project.try_build(&host("history", "New", &format!("{option}, deleted(Gone)"))).unwrap_err();
    assert!(both.contains("has `migrations` and says what became of the class `Gone`"), "{both}");
}

/// A plain Worker with a bit of everything, as wrangler knows it.
const EVERYTHING: &str = r#"
import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  add() {
    const count = (this.ctx.storage.kv.get("count") ?? 0) + 1;
    this.ctx.storage.kv.put("count", count);
    return count;
  }
}
export default {
  async fetch(_request, env) {
    await env.BUCKET.put("object", "of the bucket");
    await env.Q.send("a message");
    const { results } = await env.DB.prepare("SELECT v FROM t").all();
    const count = await env.COUNTER.getByName("a").add();
    return Response.json({ count, key: await env.KV.get("key"), row: results[0]?.v, seen: await env.KV.get("seen"), secret: env.TOKEN });
  },
  queue: (batch, env) => env.KV.put("seen", batch.messages[0].body),
  scheduled() {},
};
"#;

const EVERYTHING_CONFIGURATION: &str = r#"{
  "name": "tiny", "main": "index.js", "compatibility_date": "2026-04-01",
  "durable_objects": { "bindings": [{ "name": "COUNTER", "class_name": "Counter" }] },
  "exports": { "Counter": { "type": "durable-object", "storage": "sqlite" } },
  "r2_buckets": [{ "binding": "BUCKET", "bucket_name": "tiny-bucket" }],
  "kv_namespaces": [{ "binding": "KV", "id": "KV_ID" }],
  "d1_databases": [{ "binding": "DB", "database_name": "tiny-db", "database_id": "DB_ID" }],
  "queues": { "producers": [{ "binding": "Q", "queue": "q1" }], "consumers": [{ "queue": "q1", "max_batch_timeout": 1 }] },
  "assets": { "directory": "public", "binding": "ASSETS" },
  "triggers": { "crons": ["*/5 * * * *"] }
}"#;

/// Runs wrangler in `folder`, with the edge of `machine` as Cloudflare, and returns what it says.
#[track_caller]
fn on_edge(machine: &Machine, folder: &Path, arguments: &[&str]) -> String {
    let mut command = command(folder, arguments);
    let file = |name: &str| fs::read_to_string(machine.data.join("edge").join(name)).unwrap();
    command.env("CLOUDFLARE_API_BASE_URL", file("address")).env("CLOUDFLARE_API_TOKEN", file("token"));
    let output = command.env("CLOUDFLARE_ACCOUNT_ID", crate::machine::ACCOUNT).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

#[test]
fn wrangler_deploys_everything_to_the_edge_twice_and_its_commands_work() {
    let machine = Machine::new("wrangler");
    let folder = machine.data.join("project");
    fs::create_dir_all(folder.join("public")).unwrap();
    fs::create_dir_all(folder.join("migrations")).unwrap();
    fs::write(folder.join("index.js"), EVERYTHING).unwrap();
    fs::write(folder.join("public/page.html"), "a page").unwrap();
    fs::write(folder.join("migrations/0001_t.sql"), "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('one; two');")
        .unwrap();
    let made = |table: &str| machine.tables()[table].as_object().unwrap().keys().next().unwrap().clone();
    let wrangler = |arguments: &[&str]| on_edge(&machine, &folder, arguments);
    fs::write(folder.join("wrangler.json"), r#"{ "name": "tiny" }"#).unwrap();
    wrangler(&["kv", "namespace", "create", "tiny-kv"]);
    wrangler(&["d1", "create", "tiny-db"]);
    wrangler(&["r2", "bucket", "create", "tiny-bucket"]);
    wrangler(&["queues", "create", "q1"]);
    let configuration =
        EVERYTHING_CONFIGURATION.replace("KV_ID", &made("namespaces")).replace("DB_ID", &made("databases"));
    fs::write(folder.join("wrangler.json"), configuration).unwrap();
    wrangler(&["d1", "migrations", "apply", "tiny-db", "--remote"]);
    wrangler(&["kv", "key", "put", "key", "a value", "--binding", "KV", "--remote", "--metadata", r#"{"m":1}"#]);
    for _ in 0..2 {
        wrangler(&["deploy"]);
    }
    fs::write(folder.join("secrets.json"), r#"{ "TOKEN": "s3cret", "OTHER": "x" }"#).unwrap();
    wrangler(&["secret", "bulk", "secrets.json"]);
    wrangler(&["secret", "delete", "OTHER"]);
    let secrets = wrangler(&["secret", "list"]);
    assert!(secrets.contains("TOKEN") && !secrets.contains("OTHER"), "{secrets}");
    let url = format!("http://127.0.0.1:{}", machine.tables()["scripts"]["tiny"]["port"]);
    let ask = || serde_json::from_str::<Value>(&request("GET", &format!("{url}/api")).1).unwrap();
    let first = json!({ "count": 1, "key": "a value", "row": "one; two", "seen": null, "secret": "s3cret" });
    assert_eq!(ask(), first);
    eventually("the queue has delivered", || ask()["seen"] == "a message");
    assert_eq!(request("GET", &format!("{url}/page")).1, "a page");
    assert!(wrangler(&["kv", "key", "get", "key", "--binding", "KV", "--remote", "--text"]).contains("a value"));
    assert!(wrangler(&["kv", "key", "list", "--binding", "KV", "--remote"]).contains("\"m\": 1"));
    assert!(wrangler(&["r2", "object", "get", "tiny-bucket/object", "--remote", "--pipe"]).contains("of the bucket"));
    fs::write(folder.join("more.sql"), "INSERT INTO t VALUES ('three');").unwrap();
    wrangler(&["d1", "execute", "tiny-db", "--remote", "--yes", "--file", "more.sql"]);
    assert!(
        wrangler(&["d1", "execute", "tiny-db", "--remote", "--yes", "--command", "SELECT v FROM t"]).contains("three")
    );
    // The dashboard's other way to lose a schedule: wrangler sets it, and it stays at the second deployment.
    assert_eq!(machine.tables()["scripts"]["tiny"]["crons"], json!(["*/5 * * * *"]));
    wrangler(&["delete", "--force"]);
    assert_eq!(machine.tables()["scripts"], json!({}));
}

/// The same plain Worker, as both tools read it. What is made first by us is named by its ids in wrangler's.
fn same(of: &dyn Fn(&str, &str) -> String) -> String {
    format!(
        "compatibility_flags = [\"nodejs_compat\"]\n\
         [durable_objects]\nbindings = [{{ name = \"COUNTER\", class_name = \"Counter\" }}]\n\
         [exports.Counter]\ntype = \"durable-object\"\nstorage = \"sqlite\"\n\
         [[r2_buckets]]\nbinding = \"BUCKET\"\nbucket_name = \"{}\"\n\
         [[kv_namespaces]]\nbinding = \"KV\"\nid = \"{}\"\n\
         [[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"data\"\ndatabase_id = \"{}\"\n\
         [[queues.producers]]\nbinding = \"Q\"\nqueue = \"{}\"\n\
         [[queues.consumers]]\nqueue = \"{}\"\nmax_batch_size = 5\nmax_batch_timeout = 2\nmax_retries = 3\n\
         [vars]\nMODE = \"on\"\nLIST = [1, 2]\n[triggers]\ncrons = [\"*/5 * * * *\"]\n",
        of("buckets", "r2"),
        of("namespaces", "kv"),
        of("databases", "d1"),
        of("queues", "jobs"),
        of("queues", "later"),
    )
}

/// Where our uploads say something else than wrangler's, and why.
const DIFFERENT: [(&str, &str); 3] = [
    ("code_update_strategy", "wrangler says in words what is Cloudflare's default"),
    ("tags", "ours say whose a Worker is"),
    (
        "keep_bindings",
        "what somebody else has bound stays because each is inherited by name; ours keep no type as a whole",
    ),
];

/// The calls that a tool made are compared by what they leave behind: the metadata of the upload, the consumer, the triggers.
#[test]
fn what_we_upload_is_what_wrangler_uploads() {
    let machine = Machine::new("same-upload");
    let (ours, theirs) = (Web::named(&machine, "ours"), Web::named(&machine, "theirs"));
    ours.set(&same(&|_, name| name.into()));
    for web in [&ours, &theirs] {
        web.write("index.js", EVERYTHING);
    }
    machine.deploy(&[ours.path()], &[]).expect(0);
    let made = machine.tables();
    let id = |table: &str, name: &str| {
        let all = made[table].as_object().unwrap();
        let (id, own) = all.iter().find(|(_, own)| own["name"].as_str().unwrap().contains(name)).unwrap();
        let by_name = ["queues", "buckets"].contains(&table);
        if by_name { own["name"].as_str().unwrap().to_string() } else { id.clone() }
    };
    // A queue has one consumer, so theirs takes the place of ours.
    let consumer =
        |machine: &Machine| machine.tables()["consumers"].as_object().unwrap().values().next().unwrap().clone();
    let our_consumer = consumer(&machine);
    let queue = made["consumers"].as_object().unwrap().keys().next().unwrap().clone();
    let path = format!("/queues/{queue}/consumers/{}", our_consumer["id"].as_str().unwrap());
    assert_eq!(machine.rest("DELETE", &path, &Value::Null).0, 200);
    theirs.set(&same(&|table, name| id(table, name)));
    on_edge(&machine, Path::new(theirs.path()), &["deploy"]);
    let tables = machine.tables();
    let script = |name: &str| {
        let (_, row) = tables["scripts"].as_object().unwrap().iter().find(|(own, _)| own.contains(name)).unwrap();
        let mut metadata = row["metadata"].clone();
        metadata["bindings"].as_array_mut().unwrap().sort_by_key(|own| own["name"].as_str().unwrap().to_string());
        (metadata, row["crons"].clone(), row["subdomain"].clone(), row["modules"].clone())
    };
    let ((mut own, crons, subdomain, modules), (mut other, their_crons, their_subdomain, their_modules)) =
        (script("ours"), script("theirs"));
    for (field, why) in DIFFERENT {
        let both = [&mut own, &mut other].map(|metadata| metadata.as_object_mut().unwrap().remove(field));
        assert_ne!(both[0], both[1], "`{field}` is the same now: {why}");
    }
    assert_eq!(own, other);
    assert_eq!((crons, subdomain), (their_crons, their_subdomain));
    // wrangler bundles, so it has a source map too.
    let kinds = |modules: &Value| -> Vec<Value> {
        modules.as_object().unwrap().values().filter(|kind| **kind != "application/source-map").cloned().collect()
    };
    assert_eq!(kinds(&modules), kinds(&their_modules));
    let their_consumer = consumer(&machine);
    for field in ["settings", "dead_letter_queue"] {
        assert_eq!(our_consumer[field], their_consumer[field], "{field}");
    }
}

/// A Worker with the older `migrations`: the first deployment and a renamed class are uploads, what lies between is a version.
#[test]
fn wrangler_deploys_a_worker_with_migration_tags_to_the_edge() {
    let machine = Machine::new("wrangler-tags");
    let folder = machine.data.join("project");
    fs::create_dir_all(&folder).unwrap();
    let write = |class: &str, text: &str, steps: &str| {
        let source = format!(
            "import {{ DurableObject }} from \"cloudflare:workers\";\nexport class {class} extends DurableObject {{\n  add() {{\n    \
             const n = (this.ctx.storage.kv.get(\"n\") ?? 0) + 1;\n    this.ctx.storage.kv.put(\"n\", n);\n    return n;\n  }}\n}}\n\
             export default {{ fetch: async (_, env) => new Response(`{text} ${{await env.OWN.getByName(\"a\").add()}}`) }};\n"
        );
        fs::write(folder.join("index.js"), source).unwrap();
        let configuration = format!(
            r#"{{ "name": "tagged", "main": "index.js", "compatibility_date": "2026-04-01",
               "durable_objects": {{ "bindings": [{{ "name": "OWN", "class_name": "{class}" }}] }}, "migrations": [{steps}] }}"#
        );
        fs::write(folder.join("wrangler.json"), configuration).unwrap();
    };
    let first = r#"{ "tag": "v1", "new_sqlite_classes": ["Old"] }"#;
    let second = format!(r#"{first}, {{ "tag": "v2", "renamed_classes": [{{ "from": "Old", "to": "New" }}] }}"#);
    write("Old", "one", first);
    on_edge(&machine, &folder, &["deploy"]);
    let url = format!("http://127.0.0.1:{}", machine.tables()["scripts"]["tagged"]["port"]);
    let ask = || request("GET", &url).1;
    assert_eq!(ask(), "one 1");
    write("Old", "two", first);
    on_edge(&machine, &folder, &["deploy"]);
    assert!(machine.calls().iter().any(|call| call.starts_with("POST") && call.contains("/versions ")));
    assert_eq!(ask(), "two 2");
    write("New", "three", &second);
    on_edge(&machine, &folder, &["deploy"]);
    assert_eq!(ask(), "three 3", "the data has moved with the class");
    assert_eq!(machine.tables()["scripts"]["tagged"]["migration_tag"], "v2");
}
