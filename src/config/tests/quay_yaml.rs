//! Quay's file as YAML: what is between the keys.

use proptest::prelude::*;

use super::quay::{flag, refused};
use crate::config::yaml;

#[test]
fn odd_values_matter_only_where_they_are_read() {
    let text = "DISTRIBUTED_STORAGE_CONFIG:\n  here: [LocalStorage, {storage_path: 2020-01-01}]\n";
    refused(
        text,
        "config.yaml:1: `DISTRIBUTED_STORAGE_CONFIG` has a value `here` that has a value `storage_path` that is a date",
    );
    assert!(flag(
        "OTHER: 2020-01-01\nPORT: 010\nX: !python/tuple [1]\nY: {a: 1, a: 2}\nFEATURE_IMMUTABLE_TAGS: on\n"
    ));
}

#[test]
fn anchors_and_merge_keys_count() {
    assert!(flag(
        "base: &base\n  FEATURE_IMMUTABLE_TAGS: yes\n<<: *base\n"
    ));
    assert!(flag("a: &a yes\nFEATURE_IMMUTABLE_TAGS: *a\n"));
    assert!(
        flag("a: &a {FEATURE_IMMUTABLE_TAGS: no}\n<<: *a\nFEATURE_IMMUTABLE_TAGS: yes\n"),
        "its own key counts"
    );
    assert!(flag(
        "a: &a {FEATURE_IMMUTABLE_TAGS: yes}\nb: &b {FEATURE_IMMUTABLE_TAGS: no}\n<<: [*a, *b]\n"
    ));
    for (text, expected) in [
        ("<<: 1\n", "this is not a mapping"),
        ("a: &a [*a]\n", "an alias stands inside its own anchor"),
        ("a: *nowhere\n", "unknown anchor"),
        ("? [1]\n: 2\n", "this is not a mapping"),
    ] {
        refused(text, expected);
    }
}

#[test]
fn broken_yaml_names_the_line() {
    for (text, expected) in [
        ("", "config.yaml:1: the file is empty"),
        ("# nothing\n", "config.yaml:1: the file is empty"),
        ("- a\n", "config.yaml:1: this is not a mapping"),
        ("text\n", "config.yaml:1: this is not a mapping"),
        (
            "A: 1\n---\nB: 2\n",
            "config.yaml:3: a second document begins",
        ),
        ("A: 1\nB: [\n", "config.yaml:"),
        ("A: 1\n\tB: 2\n", "config.yaml:1: "),
    ] {
        refused(text, expected);
    }
    refused(
        &format!("A: {}{}\n", "[".repeat(100), "]".repeat(100)),
        "nested too deeply",
    );
    refused(
        &format!("A:\n  {}x\n", "- ".repeat(100_000)),
        "nested too deeply",
    );
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
                c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
                e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n";
    refused(bomb, "aliases repeat too much");
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert!(flag("\u{feff}FEATURE_IMMUTABLE_TAGS: yes\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics(text in prop_oneof![
        any::<String>(),
        "[-a:&*<>{}\\[\\],#|!?%@'\" \n\t.]{0,60}",
        "((- |a: |\\? |&x |\\*x |<<: |!!map |\\{|\\}|\\[|\\]|,|b|\n|  ){0,30})",
    ]) {
        let _ = yaml::read(&text);
    }
}
