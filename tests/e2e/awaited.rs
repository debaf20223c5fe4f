//! What comes to objects later was made for the version before: a plan says which events that wait and which messages of clients a new
//! version reads otherwise, and what then happens is what it said.

use crate::{
    common::eventually,
    machine::{Machine, request},
    project::Project,
};
use serde_json::Value;

/// A desk with notes for later. `note` is what a note consists of, and `last` what the desk does besides.
fn desk(note: &str, last: &str) -> String {
    format!(
        "use realgar::{{Event, Json, Namespace, OnEvent, OnMessage, Retry, ScheduleSettings, WebSocket, When, prelude::*}};\n\
         use serde::{{Deserialize, Serialize}};\n\n\
         #[derive(Default, Serialize, Deserialize)]\npub struct Note {{ {note} }}\n\n\
         #[durable_object]\npub struct Desk {{ state: State }}\n\n\
         impl DurableObject for Desk {{\n    fn init(_cx: &mut Init) -> impl Instantiate<Self> {{\n        \
         |state: State| async move {{ Ok(Desk {{ state }}) }}\n    }}\n}}\n\n\
         #[rpc]\nimpl Desk {{\n    pub async fn later(&self) -> Result<()> {{\n        \
         self.state.schedule::<Self>().set(\"n\", When::after(std::time::Duration::from_secs(3600)), &Note::default()).map(drop)\n    }}\n\n    \
         pub async fn now(&self) -> Result<bool> {{ self.state.schedule::<Self>().run_now(\"n\") }}\n\n    \
         pub async fn left(&self) -> Result<String> {{\n        \
         let schedule = self.state.schedule::<Self>();\n        \
         let buried = schedule.dead_letters(9)?.len();\n        \
         Ok(format!(\"{{}} {{buried}}\", schedule.list(9)?.len()))\n    }}\n}}\n\n\
         impl OnEvent for Desk {{\n    type Payload = Note;\n    \
         const SCHEDULE: ScheduleSettings = ScheduleSettings::new().retry(Retry::new().attempts(1));\n    \
         async fn event(&self, _event: Event<Note>) -> Result<()> {{ Ok(()) }}\n}}\n\n{last}\n\n\
         #[worker(hosts(Desk), name = \"api\")]\npub struct Api {{ desks: Namespace<Desk> }}\n\n\
         impl Worker for Api {{\n    fn init(cx: &mut Init) -> Self {{\n        Api {{ desks: cx.bind(Desk::from::<Api>()) }}\n    }}\n\n    \
         async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {{\n        \
         let desk = self.desks.get_by_name(\"a\");\n        let text = match request.path().as_str() {{\n            \
         \"/later\" => desk.later().await.map(|()| \"set\".to_string())?,\n            \
         \"/now\" => desk.now().await?.to_string(),\n            _ => desk.left().await?,\n        }};\n        \
         Ok(Response::ok(text)?)\n    }}\n}}\n\nrealgar::export!(Api);\n"
    )
}

const HEARS: &str = "impl OnMessage for Desk {\n    type Message = Json<Note>;\n    \
    async fn message(&self, _socket: WebSocket, _note: Json<Note>) -> Result<()> { Ok(()) }\n}";
const DEAF: &str =
    "pub type Unused = (Json<u8>, WebSocket, dyn Fn(WebSocket) -> Json<u8>);\npub trait Unheard: OnMessage {}";

fn breaks(plan: &Value) -> Vec<&str> {
    plan["breaks"].as_array().unwrap().iter().map(|own| own["what"].as_str().unwrap()).collect()
}

#[test]
fn a_plan_says_which_events_and_messages_a_new_version_reads_otherwise() {
    let machine = Machine::new("awaited");
    let project = Project::new("awaited", &desk("pub text: String", HEARS));
    let path = project.folder.to_str().unwrap();
    let url = machine.deploy(&[path], &[]).expect(0).url("api");
    let ask = |path: &str| request("GET", &format!("{url}{path}")).1;
    assert_eq!((ask("/later").as_str(), ask("/left").as_str()), ("set", "1 0"));
    // A field with a default: both are named, and what waits is read.
    project.write(&desk("pub text: String, #[serde(default)] pub more: u32", HEARS));
    let plan = machine.plan(&[path]);
    let found = breaks(&plan);
    assert!(found.contains(&"events that wait carry other data than is read now by objects of `Desk`"), "{found:?}");
    assert!(found.iter().any(|what| what.starts_with("clients that were told of the old messages")), "{found:?}");
    assert_eq!((plan["breaking"].as_array().unwrap().len(), found.len()), (0, 2), "{plan}");
    machine.deploy(&[path], &[]).expect(0);
    assert_eq!(ask("/now"), "true");
    eventually("the event has run", || ask("/left") == "0 0");
    // A field of another type: as the plan says, the event becomes a dead letter.
    assert_eq!(ask("/later"), "set");
    project.write(&desk("pub text: u64, #[serde(default)] pub more: u32", HEARS));
    let shown = machine.deploy(&[path], &[]).expect(0).err;
    assert!(shown.contains("becomes a dead letter after its last attempt"), "{shown}");
    assert_eq!(ask("/now"), "true");
    eventually("the event is a dead letter", || ask("/left") == "0 1");
    // The same again, and another name of the type, are no difference; without messages, there is one.
    assert!(breaks(&machine.plan(&[path])).is_empty());
    project.write(&desk("pub text: u64, #[serde(default)] pub more: u32", HEARS).replace("Note", "Memo"));
    assert!(breaks(&machine.plan(&[path])).is_empty());
    project.write(&desk("pub text: u64, #[serde(default)] pub more: u32", DEAF));
    let plan = machine.plan(&[path]);
    assert_eq!(breaks(&plan), ["messages of clients are no longer read, or of no known form, in `Desk`"]);
    machine.destroy(path);
}
