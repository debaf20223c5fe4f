pub struct Counter {
    count: u64,
}
///A reference to one `Counter` object: its methods as calls.
#[derive(
    ::realgar::__private::core::clone::Clone,
    ::realgar::__private::core::fmt::Debug
)]
pub struct CounterStub {
    stub: ::realgar::Stub,
}
impl ::realgar::__private::core::convert::From<::realgar::Stub> for CounterStub {
    fn from(stub: ::realgar::Stub) -> Self {
        Self { stub }
    }
}
impl ::realgar::__private::core::ops::Deref for CounterStub {
    type Target = ::realgar::Stub;
    fn deref(&self) -> &::realgar::Stub {
        &self.stub
    }
}
impl Counter {
    /// The binding to the objects of this class that live in the Worker `W`.
    #[must_use]
    pub fn from<W: ::realgar::Hosts<Self>>() -> ::realgar::NamespaceBinding<Self> {
        ::realgar::NamespaceBinding::hosted_by::<W>()
    }
    /// The binding to the objects of this class that live in the script of that name. Nothing checks that it
    /// hosts them; `from` does.
    #[must_use]
    pub fn from_script(
        script: &'static ::realgar::__private::core::primitive::str,
    ) -> ::realgar::NamespaceBinding<Self> {
        ::realgar::NamespaceBinding::in_script(script)
    }
}
impl ::realgar::ObjectClass for Counter {
    const NAME: &'static ::realgar::__private::core::primitive::str = "Counter";
    type Stub = CounterStub;
}
const _: () = {
    #[allow(unused_imports)]
    use ::realgar::__private::ImplementsNot as _;
    ::realgar::__private::assert_no_worker(
        ::realgar::__private::Implements::<Counter>::WORKER,
    )
};
impl ::realgar::Live for Counter {
    type Class = Counter;
}
impl ::realgar::LiveObject for Counter {
    fn table() -> ::realgar::__private::ObjectTable<Self> {
        use ::realgar::__private::{
            AlarmAbsent as _, AlarmPresent as _, CloseAbsent as _, ClosePresent as _,
            ErrorAbsent as _, ErrorPresent as _, EventAbsent as _, EventPresent as _,
            FetchAbsent as _, FetchPresent as _, MessageAbsent as _, MessagePresent as _,
            RpcAbsent as _, RpcPresent as _,
        };
        ::realgar::__private::ObjectTable {
            methods: (&::realgar::__private::Probe::<Self>::NEW).methods(),
            fetch: (&::realgar::__private::Probe::<Self>::NEW).fetch(),
            alarm: (&::realgar::__private::Probe::<Self>::NEW).alarm(),
            event: (&::realgar::__private::Probe::<Self>::NEW).event(),
            waking: (&::realgar::__private::Probe::<Self>::NEW)
                .alarm_waking()
                .or((&::realgar::__private::Probe::<Self>::NEW).event_waking()),
            message: (&::realgar::__private::Probe::<Self>::NEW).message(),
            close: (&::realgar::__private::Probe::<Self>::NEW).close(),
            error: (&::realgar::__private::Probe::<Self>::NEW).error(),
        }
    }
    fn describe() -> ::realgar::__private::wire::Object {
        use ::realgar::__private::{
            AlarmAbsent as _, AlarmPresent as _, CloseAbsent as _, ClosePresent as _,
            ContractAbsent as _, ContractPresent as _, ErrorAbsent as _,
            ErrorPresent as _, EventAbsent as _, EventPresent as _, FetchAbsent as _,
            FetchPresent as _, MessageAbsent as _, MessagePresent as _,
        };
        ::realgar::__private::wire::Object {
            class: ::realgar::__private::core::convert::From::from(
                <Counter as ::realgar::ObjectClass>::NAME,
            ),
            handlers: ::realgar::__private::joined([
                (&::realgar::__private::Probe::<Self>::NEW).describe_fetch(),
                (&::realgar::__private::Probe::<Self>::NEW).describe_alarm(),
                (&::realgar::__private::Probe::<Self>::NEW).describe_event(),
                (&::realgar::__private::Probe::<Self>::NEW).describe_message(),
                (&::realgar::__private::Probe::<Self>::NEW).describe_close(),
                (&::realgar::__private::Probe::<Self>::NEW).describe_error(),
            ]),
            methods: (&::realgar::__private::Probe::<Counter>::NEW).describe_methods(),
            isolated: false,
            storage: ::realgar::__private::core::default::Default::default(),
        }
    }
    fn describe_awaited() -> ::realgar::__private::wire::Awaited {
        use ::realgar::__private::{
            EventAbsent as _, EventPresent as _, MessageFormAbsent as _,
            MessageFormPresent as _,
        };
        ::realgar::__private::wire::Awaited {
            payload: (&::realgar::__private::Probe::<Self>::NEW).describe_payload(),
            message: (&::realgar::__private::Probe::<Self>::NEW).describe_message_form(),
        }
    }
}
