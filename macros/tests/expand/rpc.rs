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
        ::realgar::__private::call_fallible(
                self,
                ::realgar::__private::MethodName {
                    name: "addAll",
                    idempotent: false,
                },
                &[
                    ("first", &first as &dyn ::realgar::__private::Argument),
                    ("rest", &rest as &dyn ::realgar::__private::Argument),
                ],
            )
            .await
    }
    #[cfg(feature = "extra")]
    pub async fn length(
        &self,
    ) -> ::realgar::__private::core::result::Result<u64, ::realgar::RpcError> {
        ::realgar::__private::call(
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
        ::realgar::__private::call(
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
    const METHODS: &'static [::realgar::__private::Method<Self>] = &[
        ::realgar::__private::Method {
            name: "addAll",
            parameters: 2u32,
            exclusive: ::realgar::__private::core::option::Option::None,
            call: |_object, _arguments| ::realgar::__private::reply_fallible(
                _arguments,
                |_arguments| async move {
                    ::realgar::__private::core::result::Result::Ok(
                        (*_object)
                            .add_all(
                                ::realgar::__private::argument::<
                                    u64,
                                >(&_arguments, 0u32, "first")?,
                                ::realgar::__private::argument::<
                                    Vec<u64>,
                                >(&_arguments, 1u32, "rest")?,
                            )
                            .await,
                    )
                },
            ),
        },
        #[cfg(feature = "extra")]
        ::realgar::__private::Method {
            name: "size",
            parameters: 0u32,
            exclusive: ::realgar::__private::core::option::Option::None,
            call: |_object, _arguments| ::realgar::__private::reply(
                _arguments,
                |_arguments| async move {
                    ::realgar::__private::core::result::Result::Ok((*_object).length())
                },
            ),
        },
        ::realgar::__private::Method {
            name: "clear",
            parameters: 0u32,
            exclusive: ::realgar::__private::core::option::Option::None,
            call: |_object, _arguments| ::realgar::__private::reply(
                _arguments,
                |_arguments| async move {
                    ::realgar::__private::core::result::Result::Ok((*_object).clear())
                },
            ),
        },
    ];
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
                            ::realgar::__private::probe::value::<u64>(),
                        ),
                        ::realgar::__private::probe::parameter(
                            "rest",
                            ::realgar::__private::probe::value::<Vec<u64>>(),
                        ),
                    ]),
                    ::realgar::__private::probe::value::<
                        <Result<u64> as ::realgar::__private::Fallible>::Ok,
                    >(),
                    ::realgar::__private::probe::error::<
                        <Result<u64> as ::realgar::__private::Fallible>::Error,
                    >(),
                ),
                #[cfg(feature = "extra")]
                ::realgar::__private::probe::method(
                    "size",
                    &[],
                    false,
                    ::realgar::__private::core::convert::From::from([]),
                    ::realgar::__private::probe::value::<u64>(),
                    ::realgar::__private::core::option::Option::None,
                ),
                ::realgar::__private::probe::method(
                    "clear",
                    &[],
                    false,
                    ::realgar::__private::core::convert::From::from([]),
                    ::realgar::__private::probe::value::<()>(),
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
