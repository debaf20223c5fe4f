//! The tables of a class: what the platform can call on it, found by looking at which traits its type implements; and the objects
//! that run by such a table.

use super::turns::Turns;
use crate::{
    Alarm, Consume, Context, DurableObject, Error, Fetch, Hosts, Init, Instantiate, Live, LiveObject, MessageBatch,
    ObjectClass, OnAlarm, OnClose, OnError, OnEvent, OnMessage, Result, ScheduleSettings, Scheduled, ScheduledEvent,
    State, WebSocket,
    calls::{Arguments, Failure, Reply},
    init::Record,
    objects::{
        WholeObject,
        websocket::{self, SocketEvent},
    },
    scheduler::{self, Handled, Handlers, Handling, RawEvent, Waking},
};
use std::{future::Future, marker::PhantomData, pin::Pin, rc::Rc};
use wasm_bindgen::JsValue;
use worker::Request;

/// One RPC method of `T`.
pub struct Method<T> {
    /// Its name on the wire.
    pub name: &'static str,
    /// The names of its parameters.
    pub parameters: &'static [&'static str],
    /// For an exclusive method, the function that makes it wait for the object's other exclusive methods: [`super::exclusive`]. A
    /// program without such methods does not ship that function.
    pub exclusive: Option<fn(&Turns, Reply) -> Reply>,
    /// Decodes the arguments and runs the method.
    pub call: fn(Rc<T>, Arguments) -> Reply,
}

impl<T> std::fmt::Debug for Method<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

/// The methods of `T`. `#[rpc]` implements it.
pub trait Rpc: Sized + 'static {
    /// A call refers to a method by its index in this list. The list has only callables: descriptions of methods must stay out of
    /// reach of the shipped module.
    const METHODS: &'static [Method<Self>];
}

/// The methods of a class as `T` implements them. `#[rpc(for = ..)]` implements it for every `T` that has the trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no contract that this trait is",
    note = "`#[rpc]` on the `impl` of a trait is for traits that `#[rpc(for = {Self})]` marks"
)]
pub trait ImplementedBy<T: 'static> {
    /// As in [`Rpc`].
    const METHODS: &'static [Method<T>];
}

/// What callers know of a class, for describe mode. `#[rpc]` implements it.
pub trait Contract {
    /// Its methods, for the manifest.
    fn describe() -> Vec<realgar_wire::Method>;

    /// Its methods, for callers in other programs.
    fn interface() -> realgar_wire::Interface;
}

/// Says that `export!` names an object that implements class `C`.
#[diagnostic::on_unimplemented(
    message = "this Worker hosts `{C}`, and no object that is exported implements it",
    label = "`{C}` is in `hosts(..)` of this Worker",
    note = "add what is marked with `#[durable_object(of = {C})]` to `export!(.., objects(..))`"
)]
pub trait Provides<C> {}

/// Called by the code `#[worker]` generates: the name of the class `C`, which the Worker `W` has to host.
#[must_use]
pub fn hosted_name<W: Hosts<C>, C: ObjectClass>() -> &'static str {
    C::NAME
}

/// Everything the platform can call on `T`.
pub struct ObjectTable<T: 'static> {
    /// Its methods.
    pub methods: &'static [Method<T>],
    /// Its HTTP handler.
    pub fetch: Option<fn(Rc<T>, Request) -> Reply>,
    /// Its handler of the alarm.
    pub alarm: Option<fn(Rc<T>, Alarm) -> Handling>,
    /// Its handler of scheduled events, and the settings of its schedule.
    pub event: Option<EventHandler<T>>,
    /// The functions that wake it for an alarm or an event.
    pub waking: Option<Waking>,
    /// Its handler of messages on WebSockets.
    pub message: Option<SocketHandler<T>>,
    /// Its handler of closes of WebSockets.
    pub close: Option<SocketHandler<T>>,
    /// Its handler of failures of WebSockets.
    pub error: Option<SocketHandler<T>>,
}

/// Handles an event.
pub type EventHandler<T> = (fn(Rc<T>, RawEvent) -> Handling, ScheduleSettings);

/// Handles what happened on a socket.
pub type SocketHandler<T> = fn(Rc<T>, WebSocket, SocketEvent) -> Reply;

impl<T> std::fmt::Debug for ObjectTable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectTable").field("methods", &self.methods.len()).finish_non_exhaustive()
    }
}

/// Everything the platform can call on Worker `T`, besides `fetch`.
pub struct WorkerTable<T: 'static> {
    /// Its methods.
    pub methods: &'static [Method<T>],
    /// Its handler of cron triggers.
    pub scheduled: Option<Handler<T>>,
    /// Its handler of messages of queues.
    pub consume: Option<Consumer<T>>,
}

impl<T> std::fmt::Debug for WorkerTable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerTable").field("methods", &self.methods.len()).finish_non_exhaustive()
    }
}

/// Handles an event of a Worker, as JavaScript passes it.
pub type Handler<T> = fn(Rc<T>, JsValue, Context) -> Reply;

/// Finds out at compile time whether `T` is a Durable Object, and whether it is a Worker: an inherent constant takes precedence over
/// that of a trait.
#[derive(Debug)]
pub struct Implements<T>(PhantomData<T>);

impl<T: DurableObject> Implements<T> {
    /// `T` implements `DurableObject`.
    pub const OBJECT: bool = true;
}

impl<T: crate::Worker> Implements<T> {
    /// `T` implements `Worker`.
    pub const WORKER: bool = true;
}

/// The constants of [`Implements`] for every other type.
pub trait ImplementsNot {
    /// `T` does not implement `DurableObject`.
    const OBJECT: bool = false;
    /// `T` does not implement `Worker`.
    const WORKER: bool = false;
}

impl<T> ImplementsNot for Implements<T> {}

/// Called by the code `#[worker]` generates, at compile time: its `impl` would never be used.
pub const fn assert_no_object(is_object: bool) {
    assert!(
        !is_object,
        "this struct has `#[worker]` and implements `DurableObject`; mark it with `#[durable_object]`, or implement `Worker`"
    );
}

/// Called by the code `#[durable_object]` generates, at compile time: its `impl` would never be used.
pub const fn assert_no_worker(is_worker: bool) {
    assert!(
        !is_worker,
        "this struct has `#[durable_object]` and implements `Worker`; mark it with `#[worker]`, or implement `DurableObject` and `Fetch`"
    );
}

/// Finds out at compile time which optional traits `T` implements.
///
/// `(&Probe::<T>::NEW).methods()` picks [`RpcPresent`] where it applies, because that needs no further reference, and
/// [`RpcAbsent`] otherwise. It works for concrete types only, so generated code spells the two calls out.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

/// `T` has methods.
pub trait RpcPresent<T> {
    /// The methods.
    fn methods(&self) -> &'static [Method<T>];
}

impl<T: Rpc> RpcPresent<T> for Probe<T> {
    fn methods(&self) -> &'static [Method<T>] {
        T::METHODS
    }
}

/// `T` has no methods.
pub trait RpcAbsent<T: 'static> {
    /// No methods.
    fn methods(&self) -> &'static [Method<T>] {
        &[]
    }
}

impl<T: 'static> RpcAbsent<T> for &Probe<T> {}

/// Class `C` has methods.
pub trait ContractPresent<C> {
    /// The methods, for the manifest.
    fn describe_methods(&self) -> Vec<realgar_wire::Method>;
}

impl<C: Contract> ContractPresent<C> for Probe<C> {
    fn describe_methods(&self) -> Vec<realgar_wire::Method> {
        C::describe()
    }
}

/// Class `C` has no methods.
pub trait ContractAbsent<C> {
    /// No methods.
    fn describe_methods(&self) -> Vec<realgar_wire::Method> {
        Vec::new()
    }
}

impl<C> ContractAbsent<C> for &Probe<C> {}

/// `T` answers HTTP requests.
pub trait FetchPresent<T> {
    /// The HTTP handler.
    fn fetch(&self) -> Option<fn(Rc<T>, Request) -> Reply>;
    /// The names of the handlers this stands for.
    fn describe_fetch(&self) -> Vec<String>;
}

impl<T: Fetch> FetchPresent<T> for Probe<T> {
    fn fetch(&self) -> Option<fn(Rc<T>, Request) -> Reply> {
        Some(|object, request| {
            Reply(Box::pin(async move {
                let response = object.fetch(request).await.map_err(Failure::from)?;
                Ok(worker::web_sys::Response::from(response).into())
            }))
        })
    }

    fn describe_fetch(&self) -> Vec<String> {
        vec!["fetch".into()]
    }
}

/// `T` answers no HTTP requests.
pub trait FetchAbsent<T> {
    /// No HTTP handler.
    fn fetch(&self) -> Option<fn(Rc<T>, Request) -> Reply> {
        None
    }
    /// No names of handlers.
    fn describe_fetch(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<T> FetchAbsent<T> for &Probe<T> {}

/// `T` handles its alarm.
pub trait AlarmPresent<T> {
    /// The handler of the alarm.
    fn alarm(&self) -> Option<fn(Rc<T>, Alarm) -> Handling>;
    /// The functions that wake an object for its alarm.
    fn alarm_waking(&self) -> Option<Waking>;
    /// The names of the handlers this stands for.
    fn describe_alarm(&self) -> Vec<String>;
}

impl<T: OnAlarm> AlarmPresent<T> for Probe<T> {
    fn alarm(&self) -> Option<fn(Rc<T>, Alarm) -> Handling> {
        Some(|object, alarm| Box::pin(async move { object.alarm(alarm).await }))
    }

    fn alarm_waking(&self) -> Option<Waking> {
        Some(scheduler::ALARM)
    }

    fn describe_alarm(&self) -> Vec<String> {
        vec!["alarm".into()]
    }
}

/// `T` has no alarm.
pub trait AlarmAbsent<T: 'static> {
    /// No handler of the alarm.
    fn alarm(&self) -> Option<fn(Rc<T>, Alarm) -> Handling> {
        None
    }
    /// No functions that wake an object.
    fn alarm_waking(&self) -> Option<Waking> {
        None
    }
    /// No names of handlers.
    fn describe_alarm(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<T: 'static> AlarmAbsent<T> for &Probe<T> {}

/// `T` handles events.
pub trait EventPresent<T> {
    /// The handler of events, and the settings of the schedule.
    fn event(&self) -> Option<EventHandler<T>>;
    /// The functions that wake an object for its events.
    fn event_waking(&self) -> Option<Waking>;
    /// The names of the handlers this stands for.
    fn describe_event(&self) -> Vec<String>;
    /// The form of the payload.
    fn describe_payload(&self) -> Option<realgar_wire::Shape>;
}

impl<T: OnEvent> EventPresent<T> for Probe<T> {
    fn event(&self) -> Option<EventHandler<T>> {
        let handler: fn(Rc<T>, RawEvent) -> Handling =
            |object, event| Box::pin(async move { object.event(event.decode()?).await });
        Some((handler, T::SCHEDULE))
    }

    fn event_waking(&self) -> Option<Waking> {
        Some(scheduler::EVENTS)
    }

    fn describe_event(&self) -> Vec<String> {
        vec!["alarm".into()]
    }

    fn describe_payload(&self) -> Option<realgar_wire::Shape> {
        Some(super::probe::read::<T::Payload>())
    }
}

/// `T` handles no events.
pub trait EventAbsent<T: 'static> {
    /// No handler of events.
    fn event(&self) -> Option<EventHandler<T>> {
        None
    }
    /// No functions that wake an object.
    fn event_waking(&self) -> Option<Waking> {
        None
    }
    /// No names of handlers.
    fn describe_event(&self) -> Vec<String> {
        Vec::new()
    }
    /// No payload.
    fn describe_payload(&self) -> Option<realgar_wire::Shape> {
        None
    }
}

impl<T: 'static> EventAbsent<T> for &Probe<T> {}

/// `T` takes messages of WebSockets.
pub trait MessageFormPresent<T> {
    /// The form of the messages.
    fn describe_message_form(&self) -> Option<realgar_wire::Shape>;
}

impl<T: OnMessage> MessageFormPresent<T> for Probe<T> {
    fn describe_message_form(&self) -> Option<realgar_wire::Shape> {
        <T::Message as websocket::FromMessage>::describe_form()
    }
}

/// `T` takes no messages of WebSockets.
pub trait MessageFormAbsent<T> {
    /// No messages.
    fn describe_message_form(&self) -> Option<realgar_wire::Shape> {
        None
    }
}

impl<T> MessageFormAbsent<T> for &Probe<T> {}

macro_rules! socket_handlers {
    ($(
        $trait:ident as $js:literal: $method:ident, $describe:ident, $present:ident, $absent:ident,
        |$object:ident, $socket:ident, $event:ident| $handle:expr;
    )*) => {$(
        #[doc = concat!("`T` implements `", stringify!($trait), "`.")]
        pub trait $present<T> {
            /// The handler of this event of a socket.
            fn $method(&self) -> Option<SocketHandler<T>>;
            /// The names of the handlers this stands for.
            fn $describe(&self) -> Vec<String>;
        }

        impl<T: $trait> $present<T> for Probe<T> {
            fn $method(&self) -> Option<SocketHandler<T>> {
                Some(|$object, $socket, $event| {
                    Reply(Box::pin(async move {
                        $handle
                        Ok(JsValue::UNDEFINED)
                    }))
                })
            }

            fn $describe(&self) -> Vec<String> {
                vec![$js.into()]
            }
        }

        #[doc = concat!("`T` does not implement `", stringify!($trait), "`.")]
        pub trait $absent<T: 'static> {
            /// No handler of this event of a socket.
            fn $method(&self) -> Option<SocketHandler<T>> {
                None
            }
            /// No names of handlers.
            fn $describe(&self) -> Vec<String> {
                Vec::new()
            }
        }

        impl<T: 'static> $absent<T> for &Probe<T> {}
    )*};
}

socket_handlers! {
    OnMessage as "webSocketMessage": message, describe_message, MessagePresent, MessageAbsent,
    |object, socket, event| {
        if let SocketEvent::Message(raw) = event
            && let Some(message) = websocket::message(&socket, &raw)
        {
            object.message(socket, message).await.map_err(Failure::from)?;
        }
    };
    OnClose as "webSocketClose": close, describe_close, ClosePresent, CloseAbsent,
    |object, socket, event| {
        if let SocketEvent::Close(close) = event {
            object.close(socket, close).await.map_err(Failure::from)?;
        }
    };
    OnError as "webSocketError": error, describe_error, ErrorPresent, ErrorAbsent,
    |object, socket, event| {
        if let SocketEvent::Error(error) = event {
            object.error(socket, Error::from_js(error)).await.map_err(Failure::from)?;
        }
    };
}

/// The objects that a Worker hosts, as nested pairs: `(A, (B, ()))`.
pub trait ObjectList: 'static {
    /// Appends the functions that make the factories of the objects, in order.
    fn factories(list: &mut Vec<fn() -> Rc<dyn Factory>>);
    /// Appends the descriptions of the objects, in order, and the declarations of their init phases.
    #[doc(hidden)]
    fn describe(description: &mut realgar_wire::Description, record: &mut Record);
}

impl ObjectList for () {
    fn factories(_: &mut Vec<fn() -> Rc<dyn Factory>>) {}
    fn describe(_: &mut realgar_wire::Description, _: &mut Record) {}
}

impl<Head: WholeObject, Tail: ObjectList> ObjectList for (Head, Tail) {
    fn factories(list: &mut Vec<fn() -> Rc<dyn Factory>>) {
        list.push(|| Rc::new(Phase2::<Head, _>::new(Head::init(&mut Init::live()))));
        Tail::factories(list);
    }

    fn describe(description: &mut realgar_wire::Description, record: &mut Record) {
        let mut init = Init::describing();
        drop(Head::init(&mut init));
        let object = Head::describe();
        record.problems.extend(super::describe::unserved::<Head>(&object.methods, Head::table().methods.len()));
        description.interfaces.hosted.insert(object.class.clone(), std::any::type_name::<Head::Class>().into());
        description.interfaces.awaited.insert(object.class.clone(), Head::describe_awaited());
        description.objects.push(object);
        record.extend(init.into_record());
        Tail::describe(description, record);
    }
}

/// Phase 2, running.
type Making = Pin<Box<dyn Future<Output = Result<Rc<dyn Instance>>>>>;

/// Makes instances of one class, whose Phase 1 has run.
pub trait Factory {
    /// The name of the class.
    fn class(&self) -> &'static str;
    /// Runs Phase 2.
    fn make(&self, state: State) -> Making;
}

/// One object instance, of any class.
pub trait Instance {
    /// Runs the method with this index.
    fn run_method(&self, method: u32, arguments: Arguments) -> Reply;
    /// The name of the method with this index.
    fn method(&self, method: u32) -> &'static str;
    /// Answers an HTTP request.
    fn fetch(&self, request: Request) -> Reply;
    /// Handles the alarm.
    fn alarm(&self, state: State, alarm: Alarm) -> Reply;
    /// Handles what happened on a socket.
    fn socket(&self, socket: WebSocket, event: SocketEvent) -> Reply;
}

/// The closure that Phase 1 returned, as a factory.
struct Phase2<T, I> {
    instantiate: Rc<I>,
    object: PhantomData<fn() -> T>,
}

impl<T, I> Phase2<T, I> {
    fn new(instantiate: I) -> Self {
        Self { instantiate: Rc::new(instantiate), object: PhantomData }
    }
}

impl<T: WholeObject, I: Instantiate<T>> Factory for Phase2<T, I> {
    fn class(&self) -> &'static str {
        <T::Class as ObjectClass>::NAME
    }

    fn make(&self, state: State) -> Making {
        let table = T::table();
        let instantiate = self.instantiate.clone();
        Box::pin(async move {
            // The schedule starts before Phase 2, which may schedule something.
            if let Some(waking) = table.waking {
                let settings = table.event.map_or_else(ScheduleSettings::new, |(_, settings)| settings);
                let handled = Handled { events: table.event.is_some(), alarm: table.alarm.is_some() };
                (waking.start)(state.wakes().clone(), handled, settings).await?;
            }
            let object = Rc::new(instantiate.instantiate(state).await?);
            let instance: Rc<dyn Instance> = Rc::new(Hosted { object, table, turns: Turns::default() });
            Ok(instance)
        })
    }
}

/// An object, with the table of its class.
struct Hosted<T: LiveObject> {
    object: Rc<T>,
    table: ObjectTable<T>,
    turns: Turns,
}

impl<T: LiveObject> Instance for Hosted<T> {
    fn run_method(&self, method: u32, arguments: Arguments) -> Reply {
        let reply = run_method(self.table.methods, &self.object, method, arguments);
        match self.table.methods.get(method as usize).and_then(|method| method.exclusive) {
            Some(in_turn) => in_turn(&self.turns, reply),
            None => reply,
        }
    }

    fn method(&self, method: u32) -> &'static str {
        self.table.methods.get(method as usize).map_or("", |method| method.name)
    }

    fn fetch(&self, request: Request) -> Reply {
        match self.table.fetch {
            Some(fetch) => fetch(self.object.clone(), request),
            None => Reply::failed(Failure::other_build()),
        }
    }

    fn alarm(&self, state: State, alarm: Alarm) -> Reply {
        let Some(waking) = self.table.waking else { return Reply::failed(Failure::other_build()) };
        let (object, own) = (self.object.clone(), self.object.clone());
        let handlers = Handlers {
            event: self.table.event.map(|(handler, _)| -> Box<dyn Fn(RawEvent) -> Handling> {
                Box::new(move |event| handler(object.clone(), event))
            }),
            alarm: self.table.alarm.map(|handler| -> Box<dyn Fn(Alarm) -> Handling> {
                Box::new(move |alarm| handler(own.clone(), alarm))
            }),
        };
        Reply(Box::pin(async move {
            (waking.wake)(state, handlers, alarm).await.map_err(Failure::from)?;
            Ok(JsValue::UNDEFINED)
        }))
    }

    fn socket(&self, socket: WebSocket, event: SocketEvent) -> Reply {
        let handler = match event {
            SocketEvent::Message(_) => self.table.message,
            SocketEvent::Close(_) => self.table.close,
            SocketEvent::Error(_) => self.table.error,
        };
        match handler {
            Some(handler) => handler(self.object.clone(), socket, event),
            None => Reply::failed(Failure::other_build()),
        }
    }
}

/// Runs the method with this index on `target`.
pub(crate) fn run_method<T>(methods: &[Method<T>], target: &Rc<T>, method: u32, arguments: Arguments) -> Reply {
    let Some(method) = methods.get(method as usize) else { return Reply::failed(Failure::other_build()) };
    match arguments.check_count(method.name, method.parameters) {
        Ok(()) => (method.call)(target.clone(), arguments),
        Err(failure) => Reply::failed(failure),
    }
}

/// Called by the code `export!` generates: checks that `E` is an entrypoint of Worker `W`.
pub fn entrypoint<W: Live, E: Live<Class: EntrypointOf<W::Class>>>() {}

/// Says that the Worker class `Self` is a named entrypoint of `W`. `#[worker(entrypoint_of = ..)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no entrypoint of `{W}`",
    note = "mark it with `#[worker(entrypoint_of = {W})]`"
)]
pub trait EntrypointOf<W> {}

/// Called by the code `#[durable_object]` and `#[worker]` generate: joins several lists of handlers into one.
pub fn joined<const N: usize>(lists: [Vec<String>; N]) -> Vec<String> {
    let mut all: Vec<String> = lists.into_iter().flatten().collect();
    // The alarm is in the lists twice if the class handles both alarms and events.
    all.dedup();
    all
}

/// `T` handles cron triggers.
pub trait ScheduledPresent<T> {
    /// The handler of cron triggers.
    fn scheduled(&self) -> Option<Handler<T>>;
    /// The names of the handlers this stands for.
    fn describe_scheduled(&self) -> Vec<String>;
}

impl<T: Scheduled> ScheduledPresent<T> for Probe<T> {
    fn scheduled(&self) -> Option<Handler<T>> {
        Some(|worker, event, context| {
            Reply(Box::pin(async move {
                worker.scheduled(ScheduledEvent::new(event), &context).await.map_err(Failure::from)?;
                Ok(JsValue::UNDEFINED)
            }))
        })
    }

    fn describe_scheduled(&self) -> Vec<String> {
        vec!["scheduled".into()]
    }
}

/// `T` handles no cron triggers.
pub trait ScheduledAbsent<T: 'static> {
    /// No handler of cron triggers.
    fn scheduled(&self) -> Option<Handler<T>> {
        None
    }
    /// No names of handlers.
    fn describe_scheduled(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<T: 'static> ScheduledAbsent<T> for &Probe<T> {}

/// How a Worker handles the messages of queues.
pub struct Consumer<T> {
    pub(crate) handle: Handler<T>,
    /// The name of the type of messages.
    pub(crate) message: fn() -> &'static str,
}

impl<T> std::fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consumer")
    }
}

/// `T` handles the messages of queues.
pub trait ConsumePresent<T> {
    /// The handler of messages, and the name of their type.
    fn consume(&self) -> Option<Consumer<T>>;
    /// The names of the handlers this stands for.
    fn describe_consume(&self) -> Vec<String>;
}

impl<T: Consume> ConsumePresent<T> for Probe<T> {
    fn consume(&self) -> Option<Consumer<T>> {
        let handle: Handler<T> = |worker, batch, context| {
            Reply(Box::pin(async move {
                worker.consume(MessageBatch::new(batch), &context).await.map_err(Failure::from)?;
                Ok(JsValue::UNDEFINED)
            }))
        };
        Some(Consumer { handle, message: std::any::type_name::<T::Message> })
    }

    fn describe_consume(&self) -> Vec<String> {
        vec!["queue".into()]
    }
}

/// `T` handles no messages of queues.
pub trait ConsumeAbsent<T: 'static> {
    /// No handler of messages.
    fn consume(&self) -> Option<Consumer<T>> {
        None
    }
    /// No names of handlers.
    fn describe_consume(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<T: 'static> ConsumeAbsent<T> for &Probe<T> {}
