//! `docs/faults.md` names tests that exist and print its figures; `make test-faults` runs those.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where the tests of each test binary of the page are.
const BINARIES: [(&str, &str); 5] = [
    ("cli", "tests/cli"),
    ("daemon", "tests/daemon"),
    ("it", "crates/queue/tests/it"),
    ("model", "crates/model/tests/model"),
    ("network", "crates/storage/tests/network"),
];
/// What the page must have.
const FAULTS: [u32; 20] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
];

/// One test of the page: the fault's number, the binary, the test's path.
type Named = (u32, String, String);

fn named_tests(page: &str) -> Vec<Named> {
    let mut named = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| F")) {
        let (number, rest) = line[3..].split_once(' ').unwrap();
        let quoted = rest.split('`').skip(1).step_by(2);
        for text in quoted.filter(|text| text.contains("::")) {
            let (binary, test) = text.split_once(' ').unwrap();
            named.push((number.parse().unwrap(), binary.into(), test.into()));
        }
    }
    named
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Says what is wrong with a test's name; `None`: nothing.
fn fault_of((number, binary, test): &Named) -> Option<String> {
    let Some((_, folder)) = BINARIES.iter().find(|(name, _)| name == binary) else {
        return Some(format!("no binary `{binary}`"));
    };
    let function = format!("fn {}(", test.rsplit("::").next()?);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let texts = sources(&folder)
        .into_iter()
        .map(|file| fs::read_to_string(file).unwrap());
    let mut with_it = texts.filter(|text| text.contains(&function)).peekable();
    if with_it.peek().is_none() {
        return Some(format!("`{binary}` has no test `{test}`"));
    }
    let figure = format!("F{number} ");
    let prints = with_it.any(|text| text.contains(&figure));
    (!prints).then(|| format!("`{test}` prints no `{figure}`"))
}

#[test]
fn the_page_of_faults_names_tests_that_print_their_figures() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let named = named_tests(&fs::read_to_string(page).unwrap());
    let wrong: Vec<_> = named.iter().filter_map(fault_of).collect();
    assert!(wrong.is_empty(), "docs/faults.md: {wrong:#?}");
    let played: BTreeSet<_> = named.iter().map(|(number, ..)| *number).collect();
    let missing: Vec<_> = FAULTS.iter().filter(|n| !played.contains(n)).collect();
    assert!(
        missing.is_empty(),
        "docs/faults.md has no test for {missing:?}"
    );
}
