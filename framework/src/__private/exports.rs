//! What the program is, and the exports with which the runtime calls it. The life of a call is in `framework/src/runtime/call.rs`.

use super::{
    describe::unserved,
    object::{self, Factory, Handler, Instance, ObjectList},
};
use crate::{
    Alarm, Close, Context, RpcErrorKind, State, Worker, WorkerClass,
    calls::{Arguments, Failure, Reply},
    init::Record,
    objects::websocket::SocketEvent,
    runtime::{
        call::{current_call, start, within},
        executor, js,
        trace::{self, Scope},
    },
    workers::WholeWorker,
};
use js_sys::Array;
use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};
use wasm_bindgen::prelude::*;
use worker::Request;

thread_local! {
    static PROGRAM: OnceCell<Program> = const { OnceCell::new() };
}

/// What this module exports. Phase 1 of each part runs when the part is used first.
struct Program {
    script: &'static str,
    /// The Worker, and then its named entrypoints.
    workers: Vec<WorkerEntry>,
    objects: Vec<fn() -> Rc<dyn Factory>>,
    started_objects: RefCell<Vec<Option<Rc<dyn Factory>>>>,
}

/// A Worker of the script.
pub struct WorkerEntry {
    start: fn() -> Rc<dyn AnyWorker>,
    started: OnceCell<Rc<dyn AnyWorker>>,
    /// Returns the name of the method with this index.
    method: fn(u32) -> &'static str,
}

impl std::fmt::Debug for WorkerEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkerEntry")
    }
}

impl WorkerEntry {
    fn new<W: WholeWorker>() -> Self {
        Self {
            start: || Rc::new(W::init(&mut crate::Init::live())),
            started: OnceCell::new(),
            method: |index| W::table().methods.get(index as usize).map_or("", |method| method.name),
        }
    }
}

/// The named entrypoints of a script, as nested pairs: `(A, (B, ()))`.
pub trait WorkerList: 'static {
    /// Appends an entry for each entrypoint, in order.
    fn entries(list: &mut Vec<WorkerEntry>);
    /// Appends the descriptions of the entrypoints, in order, and the declarations of their init phases.
    fn describe(description: &mut realgar_wire::Description, record: &mut Record);
}

impl WorkerList for () {
    fn entries(_: &mut Vec<WorkerEntry>) {}
    fn describe(_: &mut realgar_wire::Description, _: &mut Record) {}
}

impl<Head: WholeWorker, Tail: WorkerList> WorkerList for (Head, Tail) {
    fn entries(list: &mut Vec<WorkerEntry>) {
        list.push(WorkerEntry::new::<Head>());
        Tail::entries(list);
    }

    fn describe(description: &mut realgar_wire::Description, record: &mut Record) {
        let mut init = crate::Init::describing();
        drop(Head::init(&mut init));
        let realgar_wire::WorkerClass { class, methods, .. } = Head::describe();
        record.problems.extend(unserved::<Head>(&methods, Head::table().methods.len()));
        description.entrypoints.push(realgar_wire::Entrypoint { class, methods });
        description.interfaces.entrypoints.push(std::any::type_name::<Head::Class>().into());
        record.extend(init.into_record());
        Tail::describe(description, record);
    }
}

impl Program {
    fn worker(&self, entrypoint: u32) -> Option<Rc<dyn AnyWorker>> {
        let entry = self.workers.get(entrypoint as usize)?;
        Some(entry.started.get_or_init(entry.start).clone())
    }

    fn object(&self, class: usize) -> Option<Rc<dyn Factory>> {
        if let Some(started) = self.started_objects.borrow().get(class).cloned().flatten() {
            return Some(started);
        }
        // Nothing is borrowed here, because Phase 1 is the user's code.
        let started = self.objects.get(class)?();
        self.started_objects.borrow_mut()[class] = Some(started.clone());
        Some(started)
    }
}

/// Says what this module exports.
pub(super) fn register<W: WholeWorker, O: ObjectList, E: WorkerList>() {
    let mut objects = Vec::new();
    O::factories(&mut objects);
    let mut workers = vec![WorkerEntry::new::<W>()];
    E::entries(&mut workers);
    PROGRAM.with(|program| {
        let _ = program.set(Program {
            script: <W::Class as WorkerClass>::NAME,
            workers,
            started_objects: RefCell::new(vec![None; objects.len()]),
            objects,
        });
    });
}

/// A Worker of any class.
pub(crate) trait AnyWorker {
    fn fetch(self: Rc<Self>, request: Request, context: Context) -> Reply;
    fn run_method(self: Rc<Self>, method: u32, arguments: Arguments) -> Reply;
    fn scheduled(self: Rc<Self>, event: JsValue, context: Context) -> Reply;
    fn consume(self: Rc<Self>, batch: JsValue, context: Context) -> Reply;
}

impl<W: WholeWorker> AnyWorker for W {
    fn fetch(self: Rc<Self>, request: Request, context: Context) -> Reply {
        Reply(Box::pin(async move {
            let response = Worker::fetch(&*self, request, &context).await.map_err(Failure::from)?;
            Ok(worker::web_sys::Response::from(response).into())
        }))
    }

    fn run_method(self: Rc<Self>, method: u32, arguments: Arguments) -> Reply {
        object::run_method(W::table().methods, &self, method, arguments)
    }

    fn scheduled(self: Rc<Self>, event: JsValue, context: Context) -> Reply {
        handle(W::table().scheduled, self, event, context)
    }

    fn consume(self: Rc<Self>, batch: JsValue, context: Context) -> Reply {
        handle(W::table().consume.map(|consumer| consumer.handle), self, batch, context)
    }
}

fn handle<W>(handler: Option<Handler<W>>, worker: Rc<W>, event: JsValue, context: Context) -> Reply {
    match handler {
        Some(handler) => handler(worker, event, context),
        None => Reply::failed(Failure::other_build()),
    }
}

/// One object instance, as the runtime holds it.
#[wasm_bindgen(js_name = RealgarObject)]
pub struct ObjectHandle {
    instance: Rc<dyn Instance>,
    class: &'static str,
    /// Its name or id, for logs.
    name: Rc<str>,
    state: State,
}

impl std::fmt::Debug for ObjectHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectHandle")
    }
}

#[wasm_bindgen(js_class = RealgarObject)]
impl ObjectHandle {
    /// Calls the method with this index. With `bytes`, `arguments` has one element, the bytes of all arguments, and the result is
    /// bytes too. The call has `remaining` milliseconds to end.
    #[expect(clippy::too_many_arguments, reason = "one crossing into wasm instead of several")]
    pub fn call(
        &self,
        record: JsValue,
        call: u32,
        method: u32,
        arguments: Array,
        bytes: bool,
        remaining: f64,
        trace: Option<String>,
    ) {
        let scope = || self.scope(self.instance.method(method), trace);
        start(record, call, scope, || match Arguments::new(arguments, bytes) {
            Ok(arguments) => self.instance.run_method(method, arguments).within(remaining),
            Err(failure) => Reply::failed(failure),
        });
    }

    /// Forwards an HTTP request.
    pub fn fetch(&self, record: JsValue, call: u32, request: worker::web_sys::Request) {
        start(record, call, || self.scope("fetch", None), || self.instance.fetch(request.into()));
    }

    /// Handles the alarm, which has failed `retries` times and was to go off at `time`.
    pub fn alarm(&self, record: JsValue, call: u32, retries: u32, time: Option<f64>) {
        let alarm = Alarm { retries, time_ms: time.map(|time| time as u64) };
        start(record, call, || self.scope("alarm", None), || self.instance.alarm(self.state.clone(), alarm));
    }

    /// Handles a message on a WebSocket.
    #[wasm_bindgen(js_name = socketMessage)]
    pub fn socket_message(&self, record: JsValue, call: u32, socket: JsValue, message: JsValue) {
        self.socket(record, call, "message", socket, SocketEvent::Message(message));
    }

    /// Handles the close of a WebSocket.
    #[wasm_bindgen(js_name = socketClose)]
    pub fn socket_close(&self, record: JsValue, call: u32, socket: JsValue, code: u16, reason: String, clean: bool) {
        self.socket(record, call, "close", socket, SocketEvent::Close(Close { code, reason, clean }));
    }

    /// Handles the failure of a WebSocket.
    #[wasm_bindgen(js_name = socketError)]
    pub fn socket_error(&self, record: JsValue, call: u32, socket: JsValue, error: JsValue) {
        self.socket(record, call, "error", socket, SocketEvent::Error(error));
    }
}

impl ObjectHandle {
    fn socket(&self, record: JsValue, call: u32, what: &'static str, socket: JsValue, event: SocketEvent) {
        let socket = self.state.socket(socket);
        start(record, call, || self.scope(what, None), || self.instance.socket(socket, event));
    }

    fn scope(&self, method: &'static str, trace: Option<String>) -> Scope {
        Scope {
            class: self.class,
            object: Some(self.name.clone()),
            method,
            trace: trace.map_or_else(trace::fresh, Into::into),
        }
    }
}

/// Makes an instance of class `class`: runs Phase 1, if it did not run yet in this wasm instance, and Phase 2. Settles with an
/// [`ObjectHandle`]. `death` says why the wasm instance died that held the object before, if it died.
#[wasm_bindgen(js_name = realgarObject)]
pub fn make_object(record: JsValue, call: u32, class: u32, state: JsValue, death: Option<String>) {
    let state = State::new(state, death);
    let factory = PROGRAM.with(|program| program.get()?.object(class as usize));
    let class = factory.as_ref().map_or("", |factory| factory.class());
    let name: Rc<str> = state.name().unwrap_or_else(|| state.id().to_string()).into();
    let object = Some(name.clone());
    start(
        record,
        call,
        || Scope { class, object, method: "init", trace: trace::fresh() },
        || {
            Reply(Box::pin(async move {
                let factory = factory.ok_or_else(Failure::other_build)?;
                let made = factory.make(state.clone()).await;
                let instance = made.map_err(|error| {
                    let message = format!("`{}` could not start: {error}", factory.class());
                    Failure::new(RpcErrorKind::InitFailed, message)
                })?;
                Ok(ObjectHandle { instance, class, name, state }.into())
            }))
        },
    );
}

/// Answers an HTTP request to the Worker. Returns the number of the task to [`cancel`] if the client goes away before there is an
/// answer.
#[wasm_bindgen(js_name = realgarFetch)]
pub fn fetch(
    record: JsValue,
    call: u32,
    entrypoint: u32,
    request: worker::web_sys::Request,
    context: JsValue,
) -> Option<u32> {
    on_worker(record, call, entrypoint, "fetch", None, |worker| worker.fetch(request.into(), Context::new(context)))
}

/// Drops the waiting task `task` of the call `call`. A panic while it is dropped is that call's.
#[wasm_bindgen(js_name = realgarCancel)]
pub fn cancel(call: u32, task: u32) {
    within(call, || executor::cancel(task));
}

/// Calls a method of the Worker: see [`ObjectHandle::call`].
#[wasm_bindgen(js_name = realgarCall)]
#[expect(clippy::too_many_arguments, reason = "one crossing into wasm instead of several")]
pub fn call_worker(
    record: JsValue,
    number: u32,
    entrypoint: u32,
    method: u32,
    arguments: Array,
    bytes: bool,
    remaining: f64,
    trace: Option<String>,
) {
    let name = PROGRAM.with(|program| Some((program.get()?.workers.get(entrypoint as usize)?.method)(method)));
    on_worker(record, number, entrypoint, name.unwrap_or_default(), trace, |worker| {
        match Arguments::new(arguments, bytes) {
            Ok(arguments) => worker.run_method(method, arguments).within(remaining),
            Err(failure) => Reply::failed(failure),
        }
    });
}

/// Handles a firing of a cron trigger.
#[wasm_bindgen(js_name = realgarScheduled)]
pub fn scheduled(record: JsValue, call: u32, event: JsValue, context: JsValue) {
    on_worker(record, call, 0, "scheduled", None, |worker| worker.scheduled(event, Context::new(context)));
}

/// Works off messages of a queue.
#[wasm_bindgen(js_name = realgarQueue)]
pub fn consume(record: JsValue, call: u32, batch: JsValue, context: JsValue) {
    on_worker(record, call, 0, "queue", None, |worker| worker.consume(batch, Context::new(context)));
}

fn on_worker(
    record: JsValue,
    call: u32,
    entrypoint: u32,
    method: &'static str,
    trace: Option<String>,
    event: impl FnOnce(Rc<dyn AnyWorker>) -> Reply,
) -> Option<u32> {
    let scope = || Scope {
        class: PROGRAM.with(|program| program.get().map_or("", |program| program.script)),
        object: None,
        method,
        trace: trace.map_or_else(trace::fresh, Into::into),
    };
    start(record, call, scope, || match PROGRAM.with(|program| program.get()?.worker(entrypoint)) {
        Some(worker) => event(worker),
        None => Reply::failed(Failure::other_build()),
    })
}

/// Replaces the base crate's panic hook and abort handler. To be called once per wasm instance, after its start functions:
/// the base crate's handler re-creates the instance below the frames of the old one.
#[wasm_bindgen(js_name = realgarArm)]
pub fn arm() {
    std::panic::set_hook(Box::new(|info| js::panicked(current_call(), &info.to_string())));
    wasm_bindgen::handler::set_on_abort(|| js::aborted(current_call()));
}
