//! Which call the code runs in: its class, object and method, and the trace that follows calls from hop to hop. With the feature
//! `tracing`, events and spans of the crate `tracing` become structured logs that say so.

use super::deadline;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// What logs say of a call.
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "only logs look at all of it"))]
#[derive(Debug)]
pub(crate) struct Scope {
    /// The class, or the Worker's script.
    pub(crate) class: &'static str,
    /// The object's name, or its id where it has none.
    pub(crate) object: Option<Rc<str>>,
    /// The method, or the event.
    pub(crate) method: &'static str,
    /// The id of the trace. It is the same for everything that one event from outside caused.
    pub(crate) trace: Rc<str>,
}

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Option<Rc<Scope>>> = const { RefCell::new(None) };
}

/// Whether scopes are recorded. They cost a little, so they are recorded only if somebody asks for them.
pub(crate) fn enabled() -> bool {
    ENABLED.get()
}

/// The trace to send along with a call.
pub(crate) fn current_trace() -> Option<Rc<str>> {
    CURRENT.with_borrow(|current| current.as_ref().map(|scope| scope.trace.clone()))
}

/// The scope of the call that is being polled, if scopes are recorded.
pub(crate) fn current() -> Option<Rc<Scope>> {
    CURRENT.with_borrow(Clone::clone)
}

/// What a future was made inside of: the deadline, and the scope, which logs name. It is for a future that runs as a task of its
/// own.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    scope: Option<Rc<Scope>>,
    deadline: f64,
}

impl Surroundings {
    /// The surroundings of the call that is being polled.
    pub(crate) fn current() -> Self {
        Self { scope: current(), deadline: deadline::current() }
    }

    /// The surroundings of a stream that is opened here. It has no deadline: a call with a deadline is answered as soon as the
    /// stream is there, and from then on the consumer says when the stream ends.
    pub(crate) fn of_stream() -> Self {
        Self { scope: current(), deadline: f64::INFINITY }
    }

    /// Runs `body` inside of these surroundings.
    pub(crate) fn around<T>(&self, body: impl FnOnce() -> T) -> T {
        within(self.scope.as_ref(), || deadline::within(self.deadline, body))
    }
}

/// Runs `body` in `scope`, if there is one.
pub(crate) fn within<T>(scope: Option<&Rc<Scope>>, body: impl FnOnce() -> T) -> T {
    let Some(scope) = scope else { return body() };
    let outer = CURRENT.replace(Some(scope.clone()));
    let result = body();
    CURRENT.set(outer);
    result
}

/// The id of a new trace: 32 hexadecimal digits, as W3C's "Trace Context" has them.
pub(crate) fn fresh() -> Rc<str> {
    let digits = || format!("{:08x}", (js_sys::Math::random() * 4_294_967_296.0) as u32);
    (0..4).map(|_| digits()).collect::<String>().into()
}

#[cfg(feature = "tracing")]
pub use subscriber::init_tracing;

#[cfg(feature = "tracing")]
mod subscriber {
    use super::{CURRENT, ENABLED};
    use crate::runtime::js;
    use serde_json::{Map, Value};
    use std::fmt::Debug;
    use tracing::{
        Event, Subscriber,
        field::{Field, Visit},
        span::{Attributes, Id, Record},
    };
    use tracing_subscriber::{
        Layer,
        filter::LevelFilter,
        layer::{Context, SubscriberExt},
        registry::{LookupSpan, Registry},
    };

    /// Sends events of the crate `tracing`, at `level` and above, to the Worker's log: a line of JSON each, with its fields and
    /// those of the spans around it, and with the class, object, method and trace of the call.
    ///
    /// Call this in `Worker::init` and `DurableObject::init`. Later calls change nothing.
    pub fn init_tracing(level: LevelFilter) {
        ENABLED.set(true);
        // This fails if another subscriber is set already, which then stays.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(Lines.with_filter(level)));
    }

    struct Lines;

    /// The fields of a span or an event.
    #[derive(Default)]
    struct Fields(Map<String, Value>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.insert(field.name().into(), format!("{value:?}").into());
        }

        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.insert(field.name().into(), value.into());
        }

        fn record_i64(&mut self, field: &Field, value: i64) {
            self.0.insert(field.name().into(), value.into());
        }

        fn record_u64(&mut self, field: &Field, value: u64) {
            self.0.insert(field.name().into(), value.into());
        }

        fn record_f64(&mut self, field: &Field, value: f64) {
            self.0.insert(field.name().into(), value.into());
        }

        fn record_bool(&mut self, field: &Field, value: bool) {
            self.0.insert(field.name().into(), value.into());
        }
    }

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
        fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
            if let Some(span) = cx.span(id) {
                let mut fields = Fields::default();
                attributes.record(&mut fields);
                span.extensions_mut().insert(fields);
            }
        }

        fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
            if let Some(span) = cx.span(id)
                && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
            {
                values.record(fields);
            }
        }

        fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
            let metadata = event.metadata();
            let mut line = Map::new();
            line.insert("level".into(), metadata.level().as_str().to_lowercase().into());
            line.insert("target".into(), metadata.target().into());
            CURRENT.with_borrow(|scope| {
                if let Some(scope) = scope {
                    line.insert("class".into(), scope.class.into());
                    line.insert("object".into(), scope.object.as_deref().into());
                    line.insert("method".into(), scope.method.into());
                    line.insert("trace".into(), (&*scope.trace).into());
                }
            });
            let spans = cx.event_scope(event).into_iter().flatten().map(|span| {
                let mut fields = Map::from_iter([("name".to_string(), Value::from(span.name()))]);
                if let Some(own) = span.extensions().get::<Fields>() {
                    fields.extend(own.0.clone());
                }
                Value::from(fields)
            });
            let spans: Vec<Value> = spans.collect();
            if !spans.is_empty() {
                line.insert("spans".into(), spans.into());
            }
            let mut fields = Fields::default();
            event.record(&mut fields);
            line.extend(fields.0);
            js::log(&metadata.level().as_str().to_lowercase(), &Value::from(line).to_string());
        }
    }
}
