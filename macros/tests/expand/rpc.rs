impl Counter {
    /// Adds.
    pub async fn add_all(&self, first: u64, rest: Vec<u64>) -> Result<u64> {
        Ok(0)
    }
    #[cfg(feature = "extra")]
    pub fn length(&self) -> u64 {
        0
    }
    pub fn clear(&self) {}
}
impl CounterStub {
    /// Adds.
    pub async fn add_all(
        &self,
        first: u64,
        rest: Vec<u64>,
    ) -> ::realgar::__private::core::result::Result<
        <Result<u64> as ::realgar::__private::Fallible>::Ok,
        ::realgar::CallError<<Result<u64> as ::realgar::__private::Fallible>::Error>,
    > {
        #[allow(unused_imports)]
        use ::realgar::__private::{Unfit as _, UnfitResult as _};
        ::realgar::__private::Outcome::<
            Result<u64>,
        >::call(
                self,
                ::realgar::__private::MethodName {
                    name: "addAll",
                    idempotent: false,
                },
                &[
                    ("first", ::realgar::__private::Value::<u64>::argument(&first)),
                    ("rest", ::realgar::__private::Value::<Vec<u64>>::argument(&rest)),
                ],
            )
            .await
    }
    #[cfg(feature = "extra")]
    pub async fn length(
        &self,
    ) -> ::realgar::__private::core::result::Result<u64, ::realgar::RpcError> {
        #[allow(unused_imports)]
        use ::realgar::__private::{Unfit as _, UnfitResult as _};
        ::realgar::__private::Value::<
            u64,
        >::call(
                self,
                ::realgar::__private::MethodName {
                    name: "size",
                    idempotent: false,
                },
                &[],
            )
            .await
    }
    pub async fn clear(
        &self,
    ) -> ::realgar::__private::core::result::Result<(), ::realgar::RpcError> {
        #[allow(unused_imports)]
        use ::realgar::__private::{Unfit as _, UnfitResult as _};
        ::realgar::__private::Value::<
            (),
        >::call(
                self,
                ::realgar::__private::MethodName {
                    name: "clear",
                    idempotent: false,
                },
                &[],
            )
            .await
    }
}
impl ::realgar::__private::Rpc for Counter {
    const METHODS: &'static [::realgar::__private::Method<Self>] = {
        #[allow(unused_imports)]
        use ::realgar::__private::{Unfit as _, UnfitResult as _};
        &[
            ::realgar::__private::Method {
                name: "addAll",
                parameters: &["first", "rest"],
                exclusive: ::realgar::__private::core::option::Option::None,
                call: |_object, _arguments| ::realgar::__private::Outcome::<
                    Result<u64>,
                >::reply(
                    _arguments,
                    |_arguments| async move {
                        ::realgar::__private::core::result::Result::Ok(
                            (*_object)
                                .add_all(
                                    ::realgar::__private::Value::<
                                        u64,
                                    >::decode(&_arguments, 0u32, "first")?,
                                    ::realgar::__private::Value::<
                                        Vec<u64>,
                                    >::decode(&_arguments, 1u32, "rest")?,
                                )
                                .await,
                        )
                    },
                ),
            },
            #[cfg(feature = "extra")]
            ::realgar::__private::Method {
                name: "size",
                parameters: &[],
                exclusive: ::realgar::__private::core::option::Option::None,
                call: |_object, _arguments| ::realgar::__private::Value::<
                    u64,
                >::reply(
                    _arguments,
                    |_arguments| async move {
                        ::realgar::__private::core::result::Result::Ok(
                            (*_object).length(),
                        )
                    },
                ),
            },
            ::realgar::__private::Method {
                name: "clear",
                parameters: &[],
                exclusive: ::realgar::__private::core::option::Option::None,
                call: |_object, _arguments| ::realgar::__private::Value::<
                    (),
                >::reply(
                    _arguments,
                    |_arguments| async move {
                        ::realgar::__private::core::result::Result::Ok(
                            (*_object).clear(),
                        )
                    },
                ),
            },
        ]
    };
}
impl ::realgar::__private::Contract for Counter {
    fn describe() -> ::realgar::__private::Vec<::realgar::__private::wire::Method> {
        ::realgar::__private::core::convert::From::from([
            ::realgar::__private::wire::Method {
                name: ::realgar::__private::core::convert::From::from("addAll"),
                params: ::realgar::__private::core::convert::From::from([
                    ::realgar::__private::wire::Parameter {
                        name: ::realgar::__private::core::convert::From::from("first"),
                        ty: ::realgar::__private::core::convert::From::from("u64"),
                    },
                    ::realgar::__private::wire::Parameter {
                        name: ::realgar::__private::core::convert::From::from("rest"),
                        ty: ::realgar::__private::core::convert::From::from("Vec<u64>"),
                    },
                ]),
                result: ::realgar::__private::core::convert::From::from("Result<u64>"),
            },
            #[cfg(feature = "extra")]
            ::realgar::__private::wire::Method {
                name: ::realgar::__private::core::convert::From::from("size"),
                params: ::realgar::__private::core::convert::From::from([]),
                result: ::realgar::__private::core::convert::From::from("u64"),
            },
            ::realgar::__private::wire::Method {
                name: ::realgar::__private::core::convert::From::from("clear"),
                params: ::realgar::__private::core::convert::From::from([]),
                result: ::realgar::__private::core::convert::From::from("()"),
            },
        ])
    }
    fn interface() -> ::realgar::__private::wire::Interface {
        #[allow(unused_imports)]
        use ::realgar::__private::{Unfit as _, UnfitResult as _};
        ::realgar::__private::assert_value::<u64>();
        ::realgar::__private::assert_value::<Vec<u64>>();
        ::realgar::__private::assert_value::<
            <Result<u64> as ::realgar::__private::Fallible>::Ok,
        >();
        ::realgar::__private::assert_error::<
            <Result<u64> as ::realgar::__private::Fallible>::Error,
        >();
        #[cfg(feature = "extra")] ::realgar::__private::assert_value::<u64>();
        ::realgar::__private::probe::interface::<
            Self,
        >(
            ::realgar::__private::core::convert::From::from([
                ::realgar::__private::probe::method(
                    "addAll",
                    &["Adds."],
                    false,
                    ::realgar::__private::core::convert::From::from([
                        ::realgar::__private::probe::parameter(
                            "first",
                            ::realgar::__private::Value::<u64>::flow(),
                        ),
                        ::realgar::__private::probe::parameter(
                            "rest",
                            ::realgar::__private::Value::<Vec<u64>>::flow(),
                        ),
                    ]),
                    ::realgar::__private::Outcome::<Result<u64>>::flow(),
                    ::realgar::__private::Outcome::<Result<u64>>::error(),
                ),
                #[cfg(feature = "extra")]
                ::realgar::__private::probe::method(
                    "size",
                    &[],
                    false,
                    ::realgar::__private::core::convert::From::from([]),
                    ::realgar::__private::Value::<u64>::flow(),
                    ::realgar::__private::core::option::Option::None,
                ),
                ::realgar::__private::probe::method(
                    "clear",
                    &[],
                    false,
                    ::realgar::__private::core::convert::From::from([]),
                    ::realgar::__private::Value::<()>::flow(),
                    ::realgar::__private::core::option::Option::None,
                ),
            ]),
        )
    }
}
#[cfg(target_arch = "wasm32")]
const _: () = {
    #[unsafe(export_name = "__realgar_describe_interface_c2a665ad12aa02a3")]
    extern "C" fn interface() -> ::realgar::__private::core::primitive::u64 {
        ::realgar::__private::describe_interface::<Counter>()
    }
};
#[cfg(feature = "extra")]
const _: () = {
    #[allow(unused_imports)]
    use ::realgar::__private::NoResult as _;
    ::realgar::__private::assert_no_result(
        ::realgar::__private::IsResult::<u64>::IS_RESULT,
    );
};
