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
    #[doc(hidden)]
    pub fn realgar_provided_by<
        P: ::realgar::__private::Provides<Counter> + ::realgar::__private::Provides<Room>,
    >() {}
}
impl ::realgar::WorkerClass for Api {
    const CLASS: &'static ::realgar::__private::core::primitive::str = "Api";
    const NAME: &'static ::realgar::__private::core::primitive::str = "api";
    type Hosted = (Counter, (Room, ()));
    type Stub = ApiStub;
}
impl ::realgar::Hosts<Counter> for Api {}
impl ::realgar::Hosts<Room> for Api {}
impl ::realgar::Live for Api {
    type Class = Api;
}
impl ::realgar::LiveWorker for Api {
    fn methods() -> &'static [::realgar::__private::Method<Self>] {
        use ::realgar::__private::{RpcAbsent as _, RpcPresent as _};
        (&::realgar::__private::Probe::<Self>::NEW).methods()
    }
    fn describe_methods() -> ::realgar::__private::Vec<
        ::realgar::__private::wire::Method,
    > {
        use ::realgar::__private::{ContractAbsent as _, ContractPresent as _};
        (&::realgar::__private::Probe::<Api>::NEW).describe_methods()
    }
}
