//! `realgar plan`, `deploy` and `destroy`, as a person uses them, with the edge on this machine as Cloudflare.

use crate::{
    common::eventually,
    machine::{Ended, Machine, Web, request, verbs},
    project::{Project, worker},
};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    process::{Child, Command, Stdio},
};

#[test]
fn a_worker_is_planned_deployed_answers_is_planned_to_nothing_and_destroyed() {
    let machine = Machine::new("counter");
    let counter = ["examples/counter"];
    let expected = ["counter", "counter/workers.dev", "d1/Events"].map(|fqn| (fqn.to_string(), "create".to_string()));
    assert_eq!(verbs(&machine.plan(&counter)), expected);
    let url = machine.deploy(&counter, &[]).expect(0).url("counter");
    assert_eq!(request("POST", &format!("{url}/ada")), (200, r#"{"value":1}"#.into()));
    assert_eq!(request("POST", &format!("{url}/ada")), (200, r#"{"value":2}"#.into()));
    // Nothing to do, and nothing written.
    let state = || fs::read_to_string(machine.data.join("local-state/realgar-cli/dev_ada/.stack.json")).unwrap();
    let tables = || fs::read_to_string(machine.data.join("edge/api.json")).unwrap();
    let before = (state(), tables());
    assert!(verbs(&machine.plan(&counter)).is_empty());
    assert_eq!(machine.deploy(&counter, &[]).expect(0).url("counter"), url);
    assert_eq!((state(), tables()), before);
    assert_eq!(machine.run(&["plan", "--local", "--dev", "--detailed-exitcode", counter[0]]).code, Some(0));
    assert_eq!(request("GET", &format!("{url}/ada")), (200, r#"{"value":2}"#.into()));
    // Data is not destroyed unasked.
    let refused = machine.run(&["destroy", "--local", "--yes", counter[0]]).expect(1);
    assert!(refused.err.contains("`--allow-data-loss=counter,d1/Events`"), "{}", refused.err);
    assert_eq!(request("GET", &format!("{url}/ada")), (200, r#"{"value":2}"#.into()));
    machine.destroy(counter[0]);
}

#[test]
fn a_bucket_a_queue_and_a_database_with_migrations_come_with_the_worker_that_binds_them() {
    let machine = Machine::new("photos");
    let photos = ["examples/photos"];
    let fqns: Vec<String> = verbs(&machine.plan(&photos)).into_iter().map(|(fqn, _)| fqn).collect();
    let expected = [
        "d1/INDEX",
        "d1/INDEX/migrations",
        "photos",
        "photos/consumer of uploads",
        "photos/workers.dev",
        "queues/uploads",
        "r2/photos",
    ];
    assert_eq!(fqns, expected);
    let url = machine.deploy(&photos, &[]).expect(0).url("photos");
    let put = ureq::put(&format!("{url}/cat.png")).header("content-type", "image/png").send(&b"a cat"[..]).unwrap();
    assert_eq!(put.status(), 202);
    assert_eq!(request("GET", &format!("{url}/cat.png")), (200, "a cat".into()));
    // The queue delivers, and the consumer writes into the table that a migration made.
    eventually("the photo is indexed", || request("GET", &url).1.contains("cat.png"));
    assert!(verbs(&machine.plan(&photos)).is_empty());
    // A bucket with objects is refused by Cloudflare itself.
    let all = "photos,d1/INDEX,queues/uploads,r2/photos";
    let refused = machine.run(&["destroy", "--local", "--yes", "--allow-data-loss", all, photos[0]]).expect(1);
    assert!(refused.err.contains("not empty"), "{}", refused.err);
    let deleted = machine.run(&["state", "list", "--local"]).expect(0);
    assert!(deleted.out.starts_with("r2/photos  r2_bucket") && deleted.out.lines().count() == 1, "{}", deleted.out);
}

#[test]
fn a_host_comes_before_its_consumer_and_a_missing_one_is_named() {
    let machine = Machine::new("cross-script");
    let (host, consumer) = ("examples/cross-script/worker-a", "examples/cross-script/worker-b");
    let refused = machine.deploy(&[consumer], &[]).expect(1);
    assert!(
        refused.err.contains("leads to the Worker `worker-a`, which is neither deployed nor named here"),
        "{}",
        refused.err
    );
    let deployed = machine.deploy(&[consumer, host], &[]).expect(0);
    let (a, b) = (deployed.url("worker-a"), deployed.url("worker-b"));
    assert_eq!(request("GET", &format!("{a}/foo")), (200, r#"{"value":1}"#.into()));
    assert_eq!(request("GET", &format!("{b}/foo")), (200, r#"{"value":1}"#.into()), "both lead to the same object");
    assert!(verbs(&machine.plan(&[host, consumer])).is_empty(), "in any order of the paths");
    // Of the Workers of a workspace one may be deployed alone. The others stay, and may be bound.
    for alone in [host, consumer] {
        assert!(verbs(&machine.plan(&[alone])).is_empty());
        machine.deploy(&[alone], &[]).expect(0);
    }
    let tables = machine.tables();
    let script = tables["scripts"].as_object().unwrap().keys().find(|name| name.contains("worker-b")).unwrap();
    assert_eq!(machine.rest("DELETE", &format!("/workers/scripts/{script}"), &Value::Null).0, 200);
    let b = machine.deploy(&[consumer], &[]).expect(0).url("worker-b");
    assert_eq!(request("GET", &format!("{b}/foo")), (200, r#"{"value":1}"#.into()));
    machine.destroy(host);
}

#[test]
fn two_workers_that_bind_each_other_are_deployed_in_three_steps_and_destroyed() {
    let machine = Machine::new("mixed");
    let both = ["examples/mixed/board", "examples/mixed/web"];
    let expected = [
        ("board", "create"),
        ("board", "update"),
        ("board/workers.dev", "create"),
        ("web", "create"),
        ("web/workers.dev", "create"),
    ];
    assert_eq!(verbs(&machine.plan(&both)), expected.map(|(fqn, verb)| (fqn.to_string(), verb.to_string())));
    let url = machine.deploy(&both, &[]).expect(0).url("web");
    let note = r#"{"author":"ada","text":"spam","color":"pink"}"#;
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
    let mut answer = ureq::Agent::new_with_config(config).post(&format!("{url}/board")).send(note).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(text.contains("the moderator says no"), "TypeScript calls Rust, which calls TypeScript: {text}");
    assert!(verbs(&machine.plan(&both)).is_empty());
    machine.destroy(both[0]);
}

#[test]
fn static_files_go_up_with_the_worker_and_only_those_that_changed() {
    let machine = Machine::new("chat");
    let chat = ["examples/chat"];
    let url = machine.deploy(&chat, &[]).expect(0).url("chat");
    let page = fs::read_to_string("examples/chat/public/index.html").unwrap();
    assert_eq!(request("GET", &url), (200, page));
    assert!(verbs(&machine.plan(&chat)).is_empty());
    let told: Value = serde_json::from_str(&machine.deploy(&chat, &["--json"]).expect(0).out).unwrap();
    assert_eq!(told["addresses"]["chat"], *url);
    assert_eq!((&told["done"], &told["failed"]), (&serde_json::json!([]), &serde_json::json!({})));
    machine.destroy(chat[0]);
}

#[test]
fn a_bucket_more_in_the_source_is_a_bucket_more_in_the_plan() {
    let machine = Machine::new("more");
    let project = Project::new("deploy-more", &worker("", "one"));
    let path = project.folder.to_str().unwrap();
    let url = machine.deploy(&[path], &[]).expect(0).url("api");
    assert_eq!(request("GET", &url).1, "one");
    let bind = "static PICTURES: R2Bucket = R2Bucket::new(\"pictures\"); let _ = cx.bind(&PICTURES);";
    project.write(&worker(bind, "two").replace("use realgar::prelude::*;", "use realgar::{R2Bucket, prelude::*};"));
    let plan = machine.plan(&[path]);
    assert_eq!(
        verbs(&plan),
        [("api", "update"), ("r2/pictures", "create")].map(|(a, b)| (a.to_string(), b.to_string()))
    );
    let api = plan["actions"].as_array().unwrap().iter().find(|action| action["fqn"] == "api").unwrap();
    let paths: Vec<&str> =
        api["differences"].as_array().unwrap().iter().filter_map(|one| one["path"].as_str()).collect();
    assert!(paths.contains(&"bindings.pictures"), "{paths:?}");
    machine.deploy(&[path], &[]).expect(0);
    assert_eq!(request("GET", &url).1, "two", "at the same address");
    machine.destroy(path);
}

#[test]
fn a_secret_is_in_nothing_that_is_stored_or_shown() {
    const MARKER: &str = "s3cr3t-M4rk3r\"?";
    let machine = Machine::new("secret");
    let source = worker("", "").replace(
        "#[worker]\npub struct Api;",
        "static KEY: Secret = Secret::new(\"API_KEY\");\n\n#[worker]\npub struct Api { key: SecretClient }",
    );
    let source =
        source.replace("        let _ = &cx;\n        \n        Api\n", "        Api { key: cx.bind(&KEY) }\n");
    let source = source.replace("Response::ok(\"\")", "Response::ok(self.key.get().await?.expose().len().to_string())");
    let source = source.replace("use realgar::prelude::*;", "use realgar::{Secret, SecretClient, prelude::*};");
    let project = Project::new("deploy-secret", &source);
    let path = project.folder.to_str().unwrap();
    let missing = machine.deploy(&[path], &[]).expect(1);
    assert!(missing.err.contains("the secret `API_KEY` of the Worker `api` has no value"), "{}", missing.err);
    let run = |command: &str, value: &str, more: &[&str]| {
        let mut arguments = vec![command, "--local", "--dev", path];
        arguments.extend(more);
        let output = machine.command(&arguments).env("API_KEY", value).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    };
    let mut shown = Vec::new();
    let deployed = run("deploy", MARKER, &["--yes"]).expect(0);
    assert_eq!(request("GET", &deployed.url("api")).1, MARKER.len().to_string());
    shown.extend([deployed.out, deployed.err]);
    for (value, count) in [(MARKER, 0), ("another one", 1)] {
        let plan = run("plan", value, &["--json"]).expect(0);
        assert_eq!(verbs(&serde_json::from_str(&plan.out).unwrap()).len(), count, "a changed value is seen");
        shown.extend([plan.out, plan.err]);
    }
    shown.push(machine.run(&["state", "show", "api", "--local", "--path", path]).expect(0).out);
    let mut open = vec![machine.data.join("local-state")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            shown.push(fs::read_to_string(&path).unwrap());
        }
    }
    use base64::Engine as _;
    let base64 = base64::prelude::BASE64_STANDARD.encode(MARKER);
    for text in &shown {
        assert!(![MARKER, "M4rk3r", &base64, "s3cr3t-M4rk3r%22%3F"].iter().any(|form| text.contains(form)), "{text}");
    }
    // A secret that leaves the program leaves the Worker. One that somebody else has set stays.
    machine.patch_bindings(|bindings| {
        bindings.push(serde_json::json!({ "type": "secret_text", "name": "OTHER", "text": "x" }))
    });
    project.write(&worker("", "none"));
    let plan = machine.plan(&[path]);
    assert_eq!(
        plan["actions"][0]["notes"],
        serde_json::json!(["`OTHER` (secret_text) was bound by somebody else, and stays"])
    );
    machine.deploy(&[path], &[]).expect(0);
    assert_eq!(machine.bindings(), serde_json::json!([{ "type": "secret_text", "name": "OTHER" }]));
}

/// A Worker that hosts a counter of the class `class`, with these options.
fn counter_worker(class: &str, options: &str) -> String {
    format!(
        "use realgar::prelude::*;\n\n#[durable_object]\npub struct {class} {{ state: State }}\n\n\
         impl DurableObject for {class} {{\n    fn init(_cx: &mut Init) -> impl Instantiate<Self> {{\n        \
         |state: State| async move {{ Ok({class} {{ state }}) }}\n    }}\n}}\n\n#[rpc]\nimpl {class} {{\n    \
         pub async fn add(&self) -> Result<u64> {{\n        let count = self.state.storage().kv().get(\"count\")?.unwrap_or(0) + 1;\n        \
         self.state.storage().kv().put(\"count\", &count)?;\n        Ok(count)\n    }}\n}}\n\n\
         #[worker(hosts({class}){options}, name = \"api\")]\npub struct Api {{ counters: Namespace<{class}> }}\n\n\
         impl Worker for Api {{\n    fn init(cx: &mut Init) -> Self {{\n        Api {{ counters: cx.bind({class}::from::<Api>()) }}\n    }}\n\n    \
         async fn fetch(&self, _request: Request, _cx: &Context) -> Result<Response> {{\n        \
         Ok(Response::ok(self.counters.get_by_name(\"a\").add().await?.to_string())?)\n    }}\n}}\n\nrealgar::export!(Api);\n"
    )
}

#[test]
fn a_class_that_vanishes_needs_a_statement_and_its_data_follows_it() {
    let machine = Machine::new("classes");
    let project = Project::new("deploy-classes", &counter_worker("First", ""));
    let path = project.folder.to_str().unwrap();
    let url = machine.deploy(&[path], &[]).expect(0).url("api");
    assert_eq!(request("GET", &url).1, "1");
    project.write(&counter_worker("Second", ""));
    let calls = || machine.calls();
    let before = calls();
    let refused = machine.deploy(&[path], &[]).expect(1);
    for way in ["`renamed(First = NewName)`", "`transferred_to(First = \"script\")`", "`deleted(First)`"] {
        assert!(refused.err.contains(way), "{}", refused.err);
    }
    let changing = |calls: &[String]| calls.iter().filter(|call| !call.starts_with("GET")).count();
    assert_eq!(changing(&calls()), changing(&before), "refused before any call");
    project.write(&counter_worker("Second", ", renamed(First = Second)"));
    machine.deploy(&[path], &[]).expect(0);
    assert_eq!(request("GET", &url).1, "2", "the data has moved with the class");
    assert!(verbs(&machine.plan(&[path])).is_empty());
    // A class is deleted only with a flag that names the Worker.
    project.write(&counter_worker("Third", ", deleted(Second)"));
    let refused = machine.deploy(&[path], &[]).expect(1);
    assert!(refused.err.contains("the data of `api` would be lost"), "{}", refused.err);
    machine.deploy(&[path], &["--allow-data-loss=api"]).expect(0);
    assert_eq!(request("GET", &url).1, "1");
    machine.destroy(path);
}

#[test]
fn a_renamed_class_stays_bound_and_its_data_survives_a_kill_of_the_edge() {
    let mut machine = Machine::new("renamed");
    let project = Project::new("deploy-renamed", &counter_worker("First", ""));
    let web = Web::new(&machine, "");
    let bind = |class: &str| {
        web.set(&format!(
            "durable_objects.bindings = [{{ name = \"COUNTERS\", class_name = \"{class}\", script_name = \"api\" }}]\n"
        ));
    };
    web.write("index.js", "export default { fetch: () => new Response(\"bound\") };");
    bind("First");
    let both = [project.folder.to_str().unwrap(), web.path()];
    let url = machine.deploy(&both, &[]).expect(0).url("api");
    assert_eq!(request("GET", &url).1, "1");
    let classes = machine.data.join("edge/classes.json");
    let before = fs::read(&classes).unwrap();
    project.write(&counter_worker("Second", ", renamed(First = Second)"));
    bind("Second");
    machine.deploy(&both, &[]).expect(0);
    assert_eq!(request("GET", &url).1, "2");
    assert!(verbs(&machine.plan(&both)).is_empty());
    // As if it was killed after the upload was written down, and before the data followed it.
    machine.kill_edge();
    fs::write(&classes, before).unwrap();
    machine.start_edge();
    assert_eq!(request("GET", &url).1, "3");
    machine.destroy(both[0]);
    assert!(!machine.data.join("edge/objects").read_dir().unwrap().any(|entry| entry.unwrap().path().is_dir()));
}

/// What a plan says of callers that stay, and what they then get.
#[test]
fn a_plan_says_what_a_new_version_breaks_for_those_who_stay() {
    let machine = Machine::new("skew");
    let worker = |name: &str| format!("tests/workers/contract-{name}");
    let all = [worker("host"), worker("branch"), worker("client")];
    let url = machine.deploy(&all.each_ref().map(String::as_str), &[]).expect(0).url("client");
    let ask = |path: &str| request("GET", &format!("{url}/{path}")).1;
    assert_eq!((ask("add/ada"), ask("motto")), ("Ok(1)".into(), "safe and sound".into()));
    let breaks = |plan: &Value| -> Vec<(String, String, bool)> {
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let all = plan["breaks"].as_array().unwrap().iter();
        all.map(|own| (text(&own["user"]), text(&own["what"]), own["fails"].as_bool().unwrap())).collect()
    };
    // A field more, which serde fills in: calls go on as plain values.
    let added = worker("host-added");
    let found = breaks(&machine.plan(&[&added]));
    let of_client = |method: &str| {
        let what = format!("`client` calls `Ledger::{method}` of `bank`, which exchanges other types now");
        ("client".to_string(), what, false)
    };
    for method in ["add", "each", "entries"] {
        assert!(found.contains(&of_client(method)), "{found:?}");
    }
    // The bank calls its own ledgers, of which some go on with the old code.
    let what = "objects of `Ledger` go on with the old code for up to 5 minutes, and `entries` exchanges other types there than `bank` means";
    assert!(found.contains(&("bank".into(), what.into(), false)), "{found:?}");
    let shown = machine.deploy(&[&added], &[]).expect(0).err;
    assert!(shown.contains("For those who use what changes:") && shown.contains("made as plain values"), "{shown}");
    assert_eq!(ask("add/ada"), "Ok(1)", "as plain values; ledgers are in memory only");
    // A field of another type, which serde cannot bridge: the same words, and the other outcome that they name.
    let changed = worker("host-changed");
    machine.deploy(&[&changed], &[]).expect(0);
    assert!(ask("add/ada").contains("VersionSkew"), "{}", ask("add/ada"));
    // A method that is gone: the plan is not applied unless that is allowed.
    machine.deploy(&[&all[0]], &[]).expect(0);
    let fewer = worker("host-fewer");
    let gone = ("client".to_string(), "`client` calls `default::motto` of `bank`, which is gone".to_string(), true);
    let plan = machine.plan(&[&fewer]);
    assert_eq!((breaks(&plan), &plan["breaking"]), (vec![gone], &serde_json::json!(["bank"])));
    let refused = machine.deploy(&[&fewer], &[]).expect(1);
    assert!(
        refused.err.contains("would make others fail") && refused.err.contains("`--allow-breaking=bank`"),
        "{}",
        refused.err
    );
    assert_eq!(ask("motto"), "safe and sound");
    machine.deploy(&[&fewer], &["--allow-breaking=bank"]).expect(0);
    assert_ne!(request("GET", &format!("{url}/motto")).0, 200);
}

#[test]
fn what_is_deployed_outlives_the_edge() {
    let mut machine = Machine::new("outlives");
    let counter = ["examples/counter"];
    let url = machine.deploy(&counter, &[]).expect(0).url("counter");
    assert_eq!(request("POST", &format!("{url}/ada")), (200, r#"{"value":1}"#.into()));
    machine.kill_edge();
    machine.start_edge();
    assert_eq!(request("POST", &format!("{url}/ada")), (200, r#"{"value":2}"#.into()), "at the same address");
    assert!(verbs(&machine.plan(&counter)).is_empty());
}

#[test]
fn local_starts_an_edge_that_goes_on_and_destroy_ends_it() {
    let machine = Machine::without_edge("starts");
    let url = machine.deploy(&["examples/counter"], &[]).expect(0).url("counter");
    assert_eq!(request("GET", &format!("{url}/ada")), (200, r#"{"value":0}"#.into()));
    machine.destroy("examples/counter");
    eventually("the edge has ended", || std::net::TcpStream::connect(url.trim_start_matches("http://")).is_err());
}

#[test]
fn the_api_answers_nobody_without_its_token() {
    let machine = Machine::new("token");
    let token = machine.token();
    let token = token.as_str();
    let status = |headers: &[(&str, &str)]| machine.api("GET", "/user/tokens/verify", headers).0;
    assert_eq!(status(&[("authorization", token)]), 200);
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("authorization", "Bearer 1")]), 403);
    assert_eq!(status(&[("authorization", token), ("origin", "https://evil.example")]), 403);
    assert_eq!(status(&[("authorization", token), ("host", "evil.example")]), 403);
    let (status, body) = machine.api("GET", "/accounts/2/workers/scripts", &[("authorization", token)]);
    assert_eq!((status, &body["errors"][0]["code"]), (403, &10000.into()));
}

/// On a terminal the question can be answered, and interrupted.
#[test]
fn a_question_is_asked_on_a_terminal_and_ctrl_c_ends_it() {
    let machine = Machine::new("asks");
    let web = Web::new(&machine, "");
    let ask = |answer: &dyn Fn(&Child, &mut fs::File)| {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let input = fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = machine.command(&["deploy", "--local", "--dev", web.path()]);
        let mut child = command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        let mut byte = [0];
        while !said.ends_with("[y/N] ") {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
            said.push(char::from(byte[0]));
        }
        answer(&child, &mut fs::File::from(terminal));
        (child.wait().unwrap().code(), said)
    };
    let interrupt = |child: &Child, _: &mut fs::File| {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    };
    let (code, said) = ask(&interrupt);
    assert!(said.contains("+ web") && said.contains("Deploy?"), "{said}");
    assert_eq!(code, Some(130));
    assert_eq!(ask(&|_, terminal| terminal.write_all(b"n\n").unwrap()).0, Some(1));
    assert!(machine.calls().iter().all(|call| call.starts_with("GET")));
    assert_eq!(ask(&|_, terminal| terminal.write_all(b"y\n").unwrap()).0, Some(0));
}

#[test]
fn without_a_terminal_or_a_stage_nothing_is_guessed() {
    let machine = Machine::new("guess");
    let refused = machine.run(&["deploy", "--local", "--dev", "examples/counter"]).expect(1);
    assert!(refused.err.contains("`--yes` answers the question"), "{}", refused.err);
    let output = machine.command(&["plan", "--local", "--dev", "examples/counter"]).env("CI", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("REALGAR_STAGE"));
    let without_account =
        machine.command(&["plan", "--dev", "examples/counter"]).env_remove("CLOUDFLARE_API_TOKEN").output().unwrap();
    assert!(String::from_utf8_lossy(&without_account.stderr).contains("`CLOUDFLARE_API_TOKEN` is not set"));
}
