//! What the attributes refuse, and with which words: a case per message in `ui/fail`. What they
//! accept, where it is more than the corpus has: `ui/pass`.

#[test]
fn mistakes_are_explained_where_they_are_made() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
