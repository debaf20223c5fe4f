//! The boundary to JavaScript: what the runtime offers under the name `__realgar`.
//!
//! Every import that can throw on what a user, a peer or the runtime may pass has `catch`: an exception that unwinds through wasm
//! frames would leave the instance broken and its caller waiting for ever. The other side
//! of this file is in `framework/js/host.js` and `deploy/bundle/src/runtime/{instance,realgar}.js`.

use std::{cell::RefCell, ptr};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Ends the call `record` with a result.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn settle(record: &JsValue, value: &JsValue);

    /// Ends the call `record` with an `Error` that has these properties.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn fail(record: &JsValue, code: &str, message: &str, path: Option<&str>, data: &JsValue);

    /// Reports the message that the panic hook saw; the abort that follows has no text.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn panicked(call: u32, message: &str);

    /// Reports that this instance has aborted and cannot go on.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn aborted(call: u32);

    #[wasm_bindgen(js_namespace = __realgar, js_name = binding)]
    fn raw_binding(name: &JsValue) -> JsValue;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = invoke)]
    fn raw_invoke(target: &JsValue, method: &JsValue, arguments: &js_sys::Array) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = invoke0)]
    fn raw_invoke0(target: &JsValue, method: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = invoke1)]
    fn raw_invoke1(target: &JsValue, method: &JsValue, argument: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = invoke2)]
    fn raw_invoke2(target: &JsValue, method: &JsValue, first: &JsValue, second: &JsValue) -> Result<JsValue, JsValue>;

    /// `target[name]`, which may be a getter of the runtime.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn get(target: &JsValue, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = __realgar, js_name = define)]
    fn raw_define(target: &js_sys::Object, name: &JsValue, value: &JsValue);

    #[wasm_bindgen(js_namespace = __realgar, js_name = fields)]
    fn raw_fields(target: &JsValue, names: &js_sys::Array) -> JsValue;

    /// `[key, value, key, value, …]` of the own enumerable properties, or of a `Map` or another iterable of pairs.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn entries(target: &JsValue) -> Result<js_sys::Array, JsValue>;

    /// Writes a line to the log.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn log(level: &str, line: &str);

    /// The kind of a value, for the decoder and its messages: see [`crate::codec`].
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn kind(value: &JsValue) -> u32;

    /// The bytes of an `ArrayBuffer` or of any view on one.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn bytes(value: &JsValue) -> js_sys::Uint8Array;

    /// Whether a string has no half of a surrogate pair in it, which UTF-8 cannot represent.
    #[wasm_bindgen(js_namespace = __realgar, js_name = wellFormed)]
    pub(crate) fn well_formed(value: &JsValue) -> bool;

    /// `String(value)`, or a placeholder where that throws.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn display(value: &JsValue) -> String;

    /// Has [`crate::runtime::promise::promise_settled`] called with `number` when `promise` is settled.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn wait(promise: &JsValue, number: u32);

    /// Has the event `context` wait for something, and returns the record to settle when it is done.
    #[wasm_bindgen(js_namespace = __realgar, js_name = waitUntil)]
    pub(crate) fn wait_until(context: &JsValue) -> JsValue;

    /// A `ReadableStream` of the chunks that `producer` produces. [`stream_ready`] identifies it by `number`. `call` is the call
    /// that opened it, and `format` the format of its frames.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn stream(producer: crate::calls::stream::StreamHandle, number: u32, call: u32, format: u32) -> JsValue;

    /// Says that the producer of this stream can go on.
    #[wasm_bindgen(js_namespace = __realgar, js_name = streamReady)]
    pub(crate) fn stream_ready(number: u32);

    /// A reader of a `ReadableStream`. Throws if the value is not one, or has a reader already.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn reader(stream: &JsValue) -> Result<JsValue, JsValue>;

    /// Has [`crate::runtime::promise::promise_settled`] called with `number` when the next chunk is there. The chunk is a `Uint8Array` that
    /// is valid until the next read, or `undefined` at the end.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn read(reader: &JsValue, number: u32);

    /// Cancels a stream, because nobody reads it any more.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn cancel(reader: &JsValue);

    /// The numbers of the rows that were packed last: see [`crate::codec::rows`].
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn numbers() -> Vec<f64>;

    /// Hands over the next parameter of the statement that is run next. A list of JavaScript values would cost two crossings for
    /// each.
    #[wasm_bindgen(js_namespace = __realgar, js_name = param)]
    pub(crate) fn param_number(value: f64);

    #[wasm_bindgen(js_namespace = __realgar, js_name = param)]
    pub(crate) fn param_text(value: &str);

    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn param(value: &JsValue);

    /// The statement for D1, with a `CAST` around each parameter that is an integer. See [`SqlParams`].
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn casted(statement: &str, low: f64, high: f64) -> JsValue;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = execute)]
    fn raw_execute(sql: &JsValue, statement: &JsValue, count: u32, low: f64, high: f64) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = query)]
    fn raw_query(sql: &JsValue, statement: &JsValue, count: u32, low: f64, high: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = eventInsert)]
    fn raw_event_insert(
        sql: &JsValue,
        statement: &JsValue,
        id: &str,
        seq: f64,
        due: f64,
        payload: &str,
    ) -> Result<(), JsValue>;

    /// Makes a ledger that uses these statements: one that reads the due events, one that notes that an event is being tried, and
    /// one that deletes the events that are done.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn ledger(sql: &JsValue, read: &str, try_one: &str, remove_all: &str) -> Ledger;

    /// What a wake has done with events and has not told the database yet: `Ledger` in `host.js`.
    #[derive(Debug)]
    pub(crate) type Ledger;

    /// The first events that are due at `time`, without their payloads: see [`crate::codec::rows`].
    #[wasm_bindgen(method, catch)]
    pub(crate) fn read(this: &Ledger, time: f64, limit: u32) -> Result<String, JsValue>;

    /// Notes that the event at `index` of those that were read last is being tried. Returns its payload; `undefined` if the payload
    /// was not read, or is not JSON.
    #[wasm_bindgen(method, js_name = "try")]
    pub(crate) fn try_event(this: &Ledger, index: u32, time: f64) -> JsValue;

    /// Notes that the event that was being tried has ended: it is `done`, or the database was told its outcome in another way.
    #[wasm_bindgen(method)]
    pub(crate) fn end(this: &Ledger, done: bool);

    /// Whether the ledger has something to write about the event with this id.
    #[wasm_bindgen(method)]
    pub(crate) fn knows(this: &Ledger, id: &str) -> bool;

    #[wasm_bindgen(method, catch, js_name = write)]
    pub(crate) fn write(this: &Ledger) -> Result<(), JsValue>;

    /// How many milliseconds the clocks of `zone` are ahead of UTC at `time`. Throws where there is no such zone.
    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = zoneOffset)]
    pub(crate) fn zone_offset(zone: &str, time: f64) -> Result<f64, JsValue>;

    /// Whether a test stands in for the clock.
    #[wasm_bindgen(js_namespace = __realgar, js_name = clockIsFrozen)]
    pub(crate) fn clock_is_frozen() -> bool;

    /// `storage.setAlarm(time)`.
    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = setAlarm)]
    pub(crate) fn set_alarm(storage: &JsValue, time: f64) -> Result<(), JsValue>;

    /// The open sockets of the object `state`; only those with the tag `tag`, unless it is `undefined`.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn sockets(state: &JsValue, tag: &JsValue) -> Result<js_sys::Array, JsValue>;

    /// Sends `message` to the open sockets of the object `state`, except to `except`; only to those with the tag `tag`, unless it
    /// is `undefined`. Returns to how many sockets.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn broadcast(
        state: &JsValue,
        tag: &JsValue,
        except: &JsValue,
        message: &JsValue,
    ) -> Result<u32, JsValue>;

    /// A request, and the response with which the platform answers it.
    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = autoResponse)]
    pub(crate) fn auto_response(request: &str, response: &str) -> Result<JsValue, JsValue>;

    /// The value of the parameter `name` in the query of a request's URL; `null` if there is none.
    #[wasm_bindgen(js_namespace = __realgar, js_name = queryParam)]
    pub(crate) fn query_param(request: &worker::web_sys::Request, name: &str) -> JsValue;

    /// Cancels a value that nobody is going to read, if it is a stream or a response with one.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn discard(value: &JsValue);

    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = invokeRealgar)]
    fn raw_invoke_realgar(
        target: &JsValue,
        method: &JsValue,
        hash: &JsValue,
        payload: &JsValue,
        remaining: f64,
        trace: Option<&str>,
    ) -> Result<JsValue, JsValue>;

    /// The same stream, known to have `length` bytes. It fails if it has another length.
    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = fixedLength)]
    pub(crate) fn fixed_length(stream: &JsValue, length: f64) -> Result<JsValue, JsValue>;

    /// The hash of the contract that this build has of the method `method` behind `binding`, if the two sides may exchange bytes;
    /// otherwise `undefined`.
    #[wasm_bindgen(js_namespace = __realgar, js_name = contract)]
    fn raw_contract(binding: &JsValue, method: &JsValue) -> JsValue;

    /// A promise that resolves after `milliseconds`.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn sleep(milliseconds: f64) -> JsValue;

    /// Stops the timer behind a promise that [`sleep`] returned. The promise then resolves.
    #[wasm_bindgen(js_namespace = __realgar, js_name = stopSleep)]
    pub(crate) fn stop_sleep(promise: &JsValue);

    /// `storage.transaction(run)`, tracked: if this instance dies inside, the transaction is rolled back at once.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn transaction(state: &JsValue, call: u32, run: &JsValue) -> Result<JsValue, JsValue>;

    /// `storage.transactionSync(run)`: commits where `run` returns true, and rolls back where it returns false.
    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = transactionSync)]
    pub(crate) fn transaction_sync(storage: &JsValue, run: &mut dyn FnMut() -> bool) -> Result<(), JsValue>;
}

thread_local! {
    /// The names and statements that were used, as JavaScript strings.
    static NAMES: RefCell<Known<JsValue>> = const { RefCell::new(Known(Vec::new())) };
    /// The lists of names that were used, as JavaScript lists.
    static LISTS: RefCell<Known<js_sys::Array>> = const { RefCell::new(Known(Vec::new())) };
}

/// The JavaScript values that were made of constants, for the life of the instance, in the order of the constants' addresses and
/// lengths. A program has few, and a sorted list is a tenth of a hash map's code.
struct Known<T: 'static>(Vec<((usize, usize), &'static T)>);

impl<T> Known<T> {
    fn of<U>(&mut self, constant: &'static [U], make: impl FnOnce() -> T) -> &'static T {
        let key = (constant.as_ptr().addr(), constant.len());
        match self.0.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => self.0[at].1,
            Err(at) => {
                let made = Box::leak(Box::new(make()));
                self.0.insert(at, (key, made));
                made
            }
        }
    }
}

/// `text` as a JavaScript string. The string is made once: the runtime takes longer to decode a name than to look a method up by
/// it.
fn name(text: &'static str) -> &'static JsValue {
    NAMES.with_borrow_mut(|names| names.of(text.as_bytes(), || JsValue::from_str(text)))
}

/// Makes an own property, also where the name is `__proto__`.
pub(crate) fn define(target: &js_sys::Object, property: &'static str, value: &JsValue) {
    raw_define(target, name(property), value);
}

/// Makes an own property whose name is not known at compile time.
pub(crate) fn define_any(target: &js_sys::Object, property: &str, value: &JsValue) {
    raw_define(target, &property.into(), value);
}

/// The values of the own properties `names` of a plain object. `None` unless it has exactly these.
pub(crate) fn fields(target: &JsValue, names: &'static [&'static str]) -> Option<js_sys::Array> {
    let list = LISTS.with_borrow_mut(|lists| lists.of(names, || names.iter().map(|text| name(text).clone()).collect()));
    raw_fields(target, list).dyn_into().ok()
}

thread_local! {
    /// The methods that were called, with their hashes.
    static CONTRACTS: RefCell<Vec<(&'static str, &'static str, Option<JsValue>)>> = const { RefCell::new(Vec::new()) };
}

/// The hash of the contract of `method` behind `binding`, where bytes may be sent.
pub(crate) fn contract(binding: &'static str, method: &'static str) -> Option<JsValue> {
    CONTRACTS.with_borrow_mut(|contracts| {
        let known = contracts.iter().find(|(own, name, _)| ptr::eq(*own, binding) && ptr::eq(*name, method));
        if let Some((_, _, hash)) = known {
            return hash.clone();
        }
        let hash = raw_contract(name(binding), name(method));
        let hash = (!hash.is_undefined()).then_some(hash);
        contracts.push((binding, method, hash.clone()));
        hash
    })
}

/// The method that every class with methods has besides its own. It takes the name of a method; the hash of its contract and the
/// bytes of its arguments, or `null` and a list of them; how many milliseconds are left; and the trace that it is part of.
pub(crate) const REALGAR_METHOD: &str = "__realgar";

/// `target.__realgar(method, hash, payload, remaining, trace)`.
pub(crate) fn invoke_realgar(
    target: &JsValue,
    method: &'static str,
    hash: &JsValue,
    payload: &JsValue,
    remaining: f64,
    trace: Option<&str>,
) -> Result<JsValue, JsValue> {
    raw_invoke_realgar(target, name(method), hash, payload, remaining, trace)
}

/// The parameters of a statement of SQL, which were given with [`param`].
#[derive(Default)]
pub(crate) struct SqlParams {
    pub(crate) count: u32,
    /// Which of the first 50 are integers, as bits: JavaScript cannot tell 5 from 5.0.
    pub(crate) low: f64,
    /// Which of the next 50.
    pub(crate) high: f64,
}

/// Runs a statement of SQL to its end, and returns how many rows it wrote.
pub(crate) fn execute(sql: &JsValue, statement: &'static str, params: &SqlParams) -> Result<f64, JsValue> {
    raw_execute(sql, name(statement), params.count, params.low, params.high)
}

/// The columns and rows of a query: as text, see [`crate::codec::rows`], or as a list of lists.
pub(crate) fn query(sql: &JsValue, statement: &'static str, params: &SqlParams) -> Result<JsValue, JsValue> {
    raw_query(sql, name(statement), params.count, params.low, params.high)
}

/// Inserts an event: its id and number, when it is due, and its payload.
pub(crate) fn event_insert(
    sql: &JsValue,
    statement: &'static str,
    (id, seq): (&str, u64),
    due: u64,
    payload: &str,
) -> Result<(), JsValue> {
    raw_event_insert(sql, name(statement), id, seq as f64, due as f64, payload)
}

/// `env[name]`.
pub(crate) fn binding(text: &'static str) -> JsValue {
    raw_binding(name(text))
}

/// `target[method](...arguments)`.
pub(crate) fn invoke(target: &JsValue, method: &'static str, arguments: &js_sys::Array) -> Result<JsValue, JsValue> {
    raw_invoke(target, name(method), arguments)
}

/// `target[method]()`.
pub(crate) fn invoke0(target: &JsValue, method: &'static str) -> Result<JsValue, JsValue> {
    raw_invoke0(target, name(method))
}

/// `target[method](argument)`.
pub(crate) fn invoke1(target: &JsValue, method: &'static str, argument: &JsValue) -> Result<JsValue, JsValue> {
    raw_invoke1(target, name(method), argument)
}

/// `target[method](first, second)`.
pub(crate) fn invoke2(
    target: &JsValue,
    method: &'static str,
    first: &JsValue,
    second: &JsValue,
) -> Result<JsValue, JsValue> {
    raw_invoke2(target, name(method), first, second)
}

/// Whether `text`, which is not empty, is in a message. The search of the standard library would be faster in long messages, but it
/// is 700 bytes of code.
#[inline(never)]
pub(crate) fn says(message: &str, text: &str) -> bool {
    message.as_bytes().windows(text.len()).any(|window| window == text.as_bytes())
}

/// The own or inherited string property `name` of `value`, if it has one.
pub(crate) fn string_field(value: &JsValue, name: &str) -> Option<String> {
    field(value, name).as_string()
}

/// The property `name` of `value`; `undefined` where there is none or reading it throws.
pub(crate) fn field(value: &JsValue, name: &str) -> JsValue {
    if value.is_object() { get(value, name).unwrap_or(JsValue::UNDEFINED) } else { JsValue::UNDEFINED }
}
