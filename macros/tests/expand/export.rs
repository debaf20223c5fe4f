mod only_one_realgar_export_per_crate {}
const _: fn() = {
    #[allow(unused_imports)]
    use ::realgar::__private::Unmarked as _;
    ::realgar::__private::Checked::<Api, ::realgar::__private::AsHosted, ()>::check
};
#[cfg(target_arch = "wasm32")]
const _: () = {
    #[allow(unused_imports)]
    use ::realgar::__private::Incomplete as _;
    #[unsafe(no_mangle)]
    extern "C" fn __realgar_register() {
        ::realgar::__private::Exported::<
            Api,
            ::realgar::__private::AsHosted,
            (),
        >::register();
    }
    #[unsafe(no_mangle)]
    extern "C" fn __realgar_describe() -> ::realgar::__private::core::primitive::u64 {
        ::realgar::__private::Exported::<
            Api,
            ::realgar::__private::AsHosted,
            (),
        >::describe()
    }
    #[unsafe(no_mangle)]
    extern "C" fn __realgar_describe_panic() -> ::realgar::__private::core::primitive::u64 {
        ::realgar::__private::describe_panic()
    }
};
