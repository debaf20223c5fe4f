pub struct Api;
///A reference to the Worker `api`: its methods as calls.
#[derive(
    ::realgar::__private::core::clone::Clone,
    ::realgar::__private::core::fmt::Debug
)]
pub struct ApiStub {
    stub: ::realgar::Stub,
}
impl ::realgar::__private::core::convert::From<::realgar::Stub> for ApiStub {
    fn from(stub: ::realgar::Stub) -> Self {
        Self { stub }
    }
}
impl ::realgar::__private::core::ops::Deref for ApiStub {
    type Target = ::realgar::Stub;
    fn deref(&self) -> &::realgar::Stub {
        &self.stub
    }
}
impl Api {
    /// The binding to this Worker, to call its methods and forward requests to it.
    #[must_use]
    pub fn service() -> ::realgar::ServiceBinding<Self> {
        ::realgar::ServiceBinding::new()
    }
}
impl ::realgar::WorkerClass for Api {
    const CLASS: &'static ::realgar::__private::core::primitive::str = "Api";
    const NAME: &'static ::realgar::__private::core::primitive::str = "api";
    const ENTRYPOINT: ::realgar::__private::core::option::Option<
        &'static ::realgar::__private::core::primitive::str,
    > = ::realgar::__private::core::option::Option::None;
    type Hosted = (Counter, (Room, ()));
    type Stub = ApiStub;
}
impl ::realgar::Hosts<Counter> for Api {}
impl ::realgar::Hosts<Room> for Api {}
const _: () = {
    #[allow(unused_imports)]
    use ::realgar::__private::ImplementsNot as _;
    ::realgar::__private::assert_no_object(
        ::realgar::__private::Implements::<Api>::OBJECT,
    )
};
impl ::realgar::Live for Api {
    type Class = Api;
}
impl ::realgar::LiveWorker for Api {
    fn table() -> ::realgar::__private::WorkerTable<Self> {
        use ::realgar::__private::{
            ConsumeAbsent as _, ConsumePresent as _, RpcAbsent as _, RpcPresent as _,
            ScheduledAbsent as _, ScheduledPresent as _,
        };
        ::realgar::__private::WorkerTable {
            methods: (&::realgar::__private::Probe::<Self>::NEW).methods(),
            scheduled: (&::realgar::__private::Probe::<Self>::NEW).scheduled(),
            consume: (&::realgar::__private::Probe::<Self>::NEW).consume(),
        }
    }
    fn describe() -> ::realgar::__private::wire::WorkerClass {
        use ::realgar::__private::{
            ConsumeAbsent as _, ConsumePresent as _, ContractAbsent as _,
            ContractPresent as _, ScheduledAbsent as _, ScheduledPresent as _,
        };
        ::realgar::__private::wire::WorkerClass {
            class: ::realgar::__private::core::convert::From::from(
                <Api as ::realgar::WorkerClass>::CLASS,
            ),
            script: ::realgar::__private::core::convert::From::from(
                <Api as ::realgar::WorkerClass>::NAME,
            ),
            handlers: ::realgar::__private::joined([
                (&::realgar::__private::Probe::<Self>::NEW).describe_scheduled(),
                (&::realgar::__private::Probe::<Self>::NEW).describe_consume(),
            ]),
            methods: (&::realgar::__private::Probe::<Api>::NEW).describe_methods(),
        }
    }
}
