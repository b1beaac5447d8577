//! Hostile documents: each is refused, quickly.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::*;
use crate::graphql::world::{LIMITS, World, settings};

fn rules() -> Rules {
    Rules::new(&settings(""), &LIMITS)
}

fn read(query: &str) -> Result<(), Malformed> {
    read_with(query, &json!({}))
}

/// Texts for the numbers below `count`, one after the other.
fn repeated(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect::<Vec<_>>().concat()
}

fn read_with(query: &str, variables: &Json) -> Result<(), Malformed> {
    let started = Instant::now();
    let body = json!({"query": query, "variables": variables}).to_string();
    let read = rules().read(body.as_bytes()).map(drop);
    // Far more than is needed, also without optimisation and beside other tests.
    assert!(started.elapsed() < Duration::from_secs(5));
    read
}

fn is_refused(query: &str) -> bool {
    read(query).is_err()
}

/// A query of these selections.
fn in_row(selections: &str) -> String {
    format!("{{ unzrInfoRegister(unzr: \"1\") {{ {selections} }} }}")
}

#[test]
fn circles_are_refused() {
    let circle = "fragment a on UnzrInfo { ...b } fragment b on UnzrInfo { ...a }";
    assert!(is_refused(&format!("{} {circle}", in_row("...a"))));
    // Also if they are spread nowhere, and if each goes round twice.
    assert!(is_refused(&format!("{{ __typename }} {circle}")));
    assert!(is_refused(&format!("{} fragment a on UnzrInfo {{ ...a ...a }}", in_row("...a"))));
    assert!(is_refused(&format!(
        "{} fragment a on UnzrInfo {{ info {{ ...b }} }} fragment b on UnzrInfoDetails {{ ...a }}",
        in_row("...a")
    )));
}

#[test]
fn doubling_fragments_are_refused() {
    let doubling = |last: &str| {
        let middle = (0..40).map(|n| format!("fragment f{n} on UnzrInfo {{ ...f{0} ...f{0} }} ", n + 1));
        format!("{} {} fragment f40 on UnzrInfo {{ {last} }}", in_row("...f0"), middle.collect::<String>())
    };
    assert!(is_refused(&doubling("unzr")));
    assert!(is_refused(&doubling("...nowhere")));
    assert!(is_refused(&doubling("...f0")));
}

#[test]
fn a_long_chain_of_fragments_is_refused() {
    let chain = repeated(150, |n| format!("fragment f{n} on Query {{ ...f{} }} ", n + 1));
    assert!(is_refused(&format!("{{ ...f0 }} {chain} fragment f150 on Query {{ __typename }}")));
    let many = repeated(300, |n| format!("fragment f{n} on Query {{ __typename }} "));
    assert!(is_refused(&format!("{{ __typename }} {many}")));
}

#[test]
fn five_thousand_brackets_are_refused() {
    for (open, close) in [("{a", "}"), ("{a(b:[", "])}"), ("[", "]"), ("{", ""), ("(", "")] {
        for text in [open.repeat(5_000), open.repeat(5_000) + &close.repeat(5_000)] {
            assert!(is_refused(&text), "{open}");
        }
    }
    let value = |open: &str, close: &str| {
        let (open, close) = (open.repeat(5_000), close.repeat(5_000));
        format!("{{ unzrInfoRegister(unzr: {open}{close}) {{ unzr }} }}")
    };
    assert!(is_refused(&value("[", "]")) && is_refused(&value("{a:", "}")));
    let ty = format!("query($n: {}String{}) {{ __typename }}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(is_refused(&ty));
}

#[test]
fn brackets_in_strings_and_comments_do_not_count() {
    let many = "{[(".repeat(100);
    assert_eq!(read(&format!("{{ unzrInfoRegister(unzr: \"\\\"{many}\") {{ unzr }} }} # {many}\n")), Ok(()));
    assert_eq!(read(&format!("{{ unzrInfoRegister(unzr: \"\"\"\\\"\"\" {many}\" \"\"\") {{ unzr }} }}")), Ok(()));
    // What only looks like a string or a comment hides nothing.
    for hidden in [
        format!("{{ a(b: \"\") {} }}", "{a".repeat(100)),
        format!("# \" \n {}", "{a".repeat(100)),
        format!("# \" \r {}", "{a".repeat(100)),
        format!("{{ a(b: \"#\") {} }}", "{a".repeat(100)),
        format!("{{ a(b: \"\"\" \" \"\"\") {} }}", "{a".repeat(100)),
        "{ a(b: \"\n".to_owned() + &many,
    ] {
        assert!(check_brackets(&hidden).is_err(), "{hidden}");
    }
}

#[test]
fn a_thousand_aliases_are_refused() {
    let aliases = repeated(1_000, |n| format!("a{n}: __typename "));
    assert!(is_refused(&format!("{{ {aliases} }}")));
    let aliases = repeated(200, |n| format!("a{n}: __typename "));
    assert_eq!(read(&format!("{{ {aliases} }}")), Ok(()));
    assert!(is_refused(&format!("{{ {aliases} b: __typename }}")));
    // Two operations, of which one is executed.
    assert!(is_refused(&format!("query a {{ {aliases} }} query b {{ __typename }}")));
}

#[test]
fn depth_counts_fields_and_not_fragments() {
    let rules = Rules { max_depth: 3, ..rules() };
    let read = |query: &str| rules.read(json!({"query": query}).to_string().as_bytes()).map(drop);
    let three = in_row("... { ... on UnzrInfo { info { ...a } } }");
    assert_eq!(read(&format!("{three} fragment a on UnzrInfoDetails {{ firstName }}")), Ok(()));
    let four = format!("{three} fragment a on UnzrInfoDetails {{ documents {{ type }} }}");
    assert!(read(&four).is_err());
}

#[test]
fn floods_of_all_sorts_are_refused() {
    let much = |part: &str| part.repeat(60_000 / part.len());
    let directives = format!("{{ __typename {} }}", much("@skip(if: false) "));
    let arguments = format!("{{ unzrInfoRegister({}) {{ unzr }} }}", much("unzr: \"1\" "));
    let variables = repeated(4_000, |n| format!("$a{n}: Int "));
    let fragments = repeated(2_000, |n| format!("fragment f{n} on A{{b}}"));
    for flood in
        [directives, arguments, format!("query({variables}) {{ __typename }}"), fragments, much("a "), much("\"")]
    {
        assert!(is_refused(&flood));
    }
    let objects = format!("{{ unzrInfoRegister(unzr: {{ {} }}) {{ unzr }} }}", much("a: 1 "));
    assert!(is_refused(&objects));
}

#[tokio::test]
async fn hostile_documents_are_answered_as_any_other_malformed_one() {
    let world = World::new();
    let doubling = repeated(30, |n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1));
    for query in [
        "{".repeat(5_000),
        format!("{{ ...f0 }} {doubling} fragment f30 on Query {{ __typename }}"),
        repeated(1_000, |n| format!("a{n}: __typename ")),
    ] {
        world.ask(&query).await.assert_malformed("hostile");
    }
    assert!(world.lookups.calls().is_empty());
}

#[test]
fn values_of_variables_are_of_their_types() {
    let query = "query($a: Int!, $b: Float!, $c: ID!, $d: Boolean = true) { __typename }";
    let good = json!({"a": 7, "b": 0.5, "c": 7, "other": []});
    assert_eq!(read_with(query, &good), Ok(()));
    for wrong in
        [json!({"a": 0.5}), json!({"a": 5_000_000_000_i64}), json!({"b": "1"}), json!({"c": true}), json!({"d": 1})]
    {
        let mut values = good.clone();
        values.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert!(read_with(query, &values).is_err(), "{wrong}");
    }
}
