mod only_one_realgar_export_per_crate {}
const _: fn() = ::realgar::__private::register::<
    Api,
    <<Api as ::realgar::Live>::Class as ::realgar::WorkerClass>::Hosted,
    (),
>;
#[cfg(target_arch = "wasm32")]
const _: () = {
    #[unsafe(no_mangle)]
    extern "C" fn __realgar_register() {
        ::realgar::__private::register::<
            Api,
            <<Api as ::realgar::Live>::Class as ::realgar::WorkerClass>::Hosted,
            (),
        >();
    }
    #[unsafe(no_mangle)]
    extern "C" fn __realgar_describe() -> ::realgar::__private::core::primitive::u64 {
        ::realgar::__private::describe::<
            Api,
            <<Api as ::realgar::Live>::Class as ::realgar::WorkerClass>::Hosted,
            (),
        >()
    }
    #[unsafe(no_mangle)]
    extern "C" fn __realgar_describe_panic() -> ::realgar::__private::core::primitive::u64 {
        ::realgar::__private::describe_panic()
    }
};
