//! Classes that are renamed, deleted and handed to another script: their data follows the statement in the source, or the new
//! version is refused.

use crate::{dev::Dev, project::Project};
use realgar_test::App;
use serde_json::json;

/// The source of a Worker that hosts objects of `class`, with these further options. `GET /NAME` shows a count, and `POST` adds one.
pub(crate) fn host(script: &str, class: &str, options: &str) -> String {
    format!(
        r#"
use realgar::prelude::*;

#[durable_object]
pub struct {class} {{
    state: State,
}}

impl DurableObject for {class} {{
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {{
        |state: State| async {{ Ok({class} {{ state }}) }}
    }}
}}

#[rpc]
impl {class} {{
    pub async fn add(&self, by: u32) -> Result<u32> {{
        let count = self.state.storage().get("count").await?.unwrap_or(0) + by;
        self.state.storage().put("count", &count).await?;
        console_log!("the count is {{count}}");
        Ok(count)
    }}
}}

#[worker(name = "{script}", hosts({class}){options})]
pub struct Api {{
    objects: Namespace<{class}>,
}}

impl Worker for Api {{
    fn init(cx: &mut Init) -> Self {{
        Api {{ objects: cx.bind({class}::from::<Api>().named("OBJECTS")) }}
    }}

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {{
        let by = u32::from(request.method() == realgar::worker::Method::Post);
        let count = self.objects.get_by_name(&request.path()).add(by).await?;
        Ok(Response::ok(count.to_string())?)
    }}
}}

realgar::export!(Api);
"#
    )
}

/// A Worker that hosts nothing, with these options.
fn empty(script: &str, options: &str) -> String {
    format!(
        r#"
use realgar::prelude::*;

#[worker(name = "{script}"{options})]
pub struct Api;

impl Worker for Api {{
    fn init(_cx: &mut Init) -> Self {{
        Api
    }}
}}

realgar::export!(Api);
"#
    )
}

/// Runs `source`, on the data of the app before it.
fn next(app: App, project: &Project, source: &str) -> Result<App, String> {
    let data = app.into_data();
    App::builder().bundle(project.build(source)).data(data).try_start()
}

#[test]
fn a_renamed_class_without_a_statement_is_refused_and_with_one_keeps_its_data() {
    let project = Project::new("scratch-renamed", &host("api", "Old", ""));
    let app = project.start();
    for _ in 0..25 {
        let _ = app.post("/ada").send().expect_status(200);
    }
    let data = app.into_data();
    let run = |source: &str| App::builder().bundle(project.build(source)).data(data.clone()).try_start();
    let refused = run(&host("api", "New", "")).unwrap_err();
    assert!(
        refused.contains("the Worker `api` no longer hosts the class `Old`, which has data here (objects: 1)"),
        "{refused}"
    );
    for way_out in ["renamed(Old = NewName)", "transferred_to(Old = \"script\")", "deleted(Old)", "name = \"Old\""] {
        assert!(refused.contains(way_out), "{refused}");
    }
    let app = run(&host("api", "New", ", renamed(Old = New)")).unwrap();
    assert_eq!(app.get("/ada").send().text(), "25");
    assert_eq!(
        app.object("api", "New", "/ada").call("add", &json!([1])).unwrap(),
        26,
        "by name, through the class's new name"
    );
    // The statement may go when it has been followed, and the old name begins anew.
    let app = next(app, &project, &host("api", "New", "")).unwrap();
    assert_eq!(app.get("/ada").send().text(), "26");
}

#[test]
fn a_running_app_refuses_a_version_that_loses_a_class_and_goes_on() {
    let project = Project::new("scratch-refused", &host("api", "Old", ""));
    let app = project.start();
    assert_eq!(app.post("/ada").send().text(), "1");
    let lost = app.update(&project.build(&host("api", "New", ""))).unwrap_err();
    assert!(lost.contains("no longer hosts the class `Old`"), "{lost}");
    assert_eq!(app.get("/ada").send().text(), "1");
    app.update(&project.build(&host("api", "New", ", renamed(Old = New)"))).unwrap();
    assert_eq!(app.post("/ada").send().text(), "2");
    app.restart();
    assert_eq!(app.get("/ada").send().text(), "2");
}

#[test]
fn a_deleted_class_loses_its_data() {
    let project = Project::new("scratch-deleted", &host("api", "Gone", ""));
    let app = project.start();
    assert_eq!(app.post("/ada").send().text(), "1");
    let app = next(app, &project, &host("api", "Other", ", deleted(Gone)")).unwrap();
    assert_eq!(app.get("/ada").send().text(), "0");
    let app = next(app, &project, &host("api", "Gone", ", deleted(Other)")).unwrap();
    assert_eq!(app.get("/ada").send().text(), "0", "a class of the old name begins anew");
}

#[test]
fn a_history_with_tags_is_followed_here_too() {
    let project = Project::new("scratch-tagged", "");
    let history = |text: &str| std::fs::write(project.folder.join("migrations.toml"), text).unwrap();
    let first = "[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"Old\"]\n";
    let option = ", migrations = \"migrations.toml\"";
    history(first);
    let app = App::builder().bundle(project.build(&host("api", "Old", option))).start();
    assert_eq!(app.post("/ada").send().text(), "1");
    history(&format!("{first}[[migrations]]\ntag = \"v2\"\nrenamed_classes = [{{ from = \"Old\", to = \"New\" }}]\n"));
    let app = next(app, &project, &host("api", "New", option)).unwrap();
    assert_eq!(app.get("/ada").send().text(), "1");
}

#[test]
fn a_version_that_does_not_start_has_changed_nothing() {
    let project = Project::new("scratch-refused-start", &host("api", "Old", ""));
    let app = project.start();
    assert_eq!(app.post("/ada").send().text(), "1");
    let data = app.into_data();
    let mut broken = project.build(&host("api", "New", ", deleted(Old)"));
    let entry = broken.folder.join(&broken.manifest.main_module);
    std::fs::write(&entry, "throw new Error(\"at the top level\");").unwrap();
    broken.manifest.modules.retain(|module| module.name == broken.manifest.main_module);
    let error = App::builder().bundle(broken).data(data.clone()).try_start().unwrap_err();
    assert!(error.contains("at the top level"), "{error}");
    let app = App::builder().bundle(project.build(&host("api", "Old", ""))).data(data).start();
    assert_eq!(app.get("/ada").send().text(), "1");
}

#[test]
fn a_class_moves_to_another_script_with_its_data() {
    let old = Project::new("scratch-giver", &host("giver", "Moved", ""));
    let new = Project::new("scratch-taker", &host("taker", "Moved", ", transferred_from(Moved = \"giver\")"));
    let app = old.start();
    assert_eq!(app.post("/ada").send().text(), "1");
    let giver = old.build(&empty("giver", ", transferred_to(Moved = \"taker\")"));
    let taker = new.built().unwrap();
    let app = App::builder().bundle(giver).bundle(taker).data(app.into_data()).start();
    assert_eq!(app.request("POST", "taker", "/ada").send().text(), "2");
}

#[test]
fn statements_that_cannot_be_are_refused_by_name() {
    let project = Project::new("scratch-statements", "");
    let error = |source: &str| project.try_build(source).unwrap_err();
    let both = error(&host("api", "A", ", renamed(B = A), deleted(B)"));
    assert!(both.contains("two options of `#[worker]` say what became of the class `B`"), "{both}");
    let hosted = error(&host("api", "A", ", deleted(A)"));
    assert!(hosted.contains("says that the class `A` is gone, and the Worker hosts a class of that name"), "{hosted}");
    let itself = error(&host("api", "A", ", transferred_from(A = \"api\")"));
    assert!(itself.contains("between the script `api` and itself"), "{itself}");
    let elsewhere =
        error(&format!("{}\n#[durable_object]\npub struct Other;\n", host("api", "A", ", renamed(B = Other)")));
    assert!(elsewhere.contains("the Worker `Api` does not host `Other`"), "{elsewhere}");
}

#[test]
fn dev_refuses_a_renamed_class_and_follows_the_statement() {
    let project = Project::new("scratch-dev-renamed", &host("api", "Old", ""));
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    let ask = |method: &str| {
        let answer = if method == "POST" { ureq::post(&url).send_empty() } else { ureq::get(&url).call() };
        answer.unwrap().body_mut().read_to_string().unwrap()
    };
    assert_eq!(ask("POST"), "1");
    assert!(dev.says("the count is 1").contains("api Old//: the count is 1"), "the line says which object it is from");
    project.write(&host("api", "New", ""));
    dev.says("no longer hosts the class `Old`");
    dev.says("The last good version still serves");
    assert_eq!(ask("GET"), "1");
    project.write(&host("api", "New", ", renamed(Old = New)"));
    dev.says("Serving the new version");
    assert_eq!(ask("GET"), "1");
    assert!(dev.says("GET / 200").contains("[api] GET / 200 in"));
    assert_eq!(dev.interrupt(), Some(0));
    // Another run, of another name.
    project.write(&host("other", "New", ""));
    let dev = Dev::start(&[&project.folder]);
    dev.serves("other");
    dev.says("the data of the Worker `api` (`New`) is here, and no Worker of that name runs");
    assert_eq!(dev.interrupt(), Some(0));
}
