//! What the macros accept, and what they say to what they do not. `TRYBUILD=overwrite` writes the messages; read the diff.

#[test]
fn macros() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
