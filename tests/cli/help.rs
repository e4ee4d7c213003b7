//! What every verb's `--help` says, as files under `snapshots`, so that wording is reviewed.
//!
//! `UPDATE=1 cargo test -p quayhand --test cli help` writes them anew.

use std::{collections::BTreeMap, path::PathBuf};

use crate::program::Quayhand;

/// Where the texts lie, one file a verb.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots")
}

/// Asks the program and each of its verbs for help; returns the texts by file name.
async fn all_texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(verb) = open.pop() {
        let mut arguments: Vec<_> = verb.iter().map(String::as_str).collect();
        arguments.push("--help");
        let text = Quayhand::default().run(&arguments).await.expect(0).stdout;
        for name in verbs_in(&text) {
            open.push([verb.clone(), vec![name]].concat());
        }
        let name = [vec!["quayhand".to_owned()], verb].concat().join("-");
        texts.insert(format!("{name}.txt"), text);
    }
    texts
}

/// Reads the names below `Commands:`, each with two spaces before it.
fn verbs_in(text: &str) -> Vec<String> {
    let below = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = below.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

/// Reads the texts that were reviewed.
fn reviewed() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder()).expect("the snapshots");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).expect("a text"))
    };
    files.map(read).collect()
}

fn rewrite(texts: &BTreeMap<String, String>) {
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("the old snapshots go");
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in texts {
        std::fs::write(folder.join(name), text).expect("a snapshot");
    }
}

#[tokio::test]
async fn says_what_was_reviewed() {
    let texts = all_texts().await;
    if std::env::var_os("UPDATE").is_some() {
        rewrite(&texts);
    }
    let reviewed = reviewed();
    for (name, text) in &texts {
        let seen = reviewed.get(name).map(String::as_str);
        let hint = "review it, then write it with UPDATE=1";
        assert_eq!(
            seen,
            Some(text.as_str()),
            "{name} differs from its snapshot: {hint}"
        );
    }
    let names: Vec<_> = texts.keys().collect();
    assert_eq!(
        names,
        reviewed.keys().collect::<Vec<_>>(),
        "a snapshot of no verb"
    );
}

#[tokio::test]
async fn teaches() {
    let texts = all_texts().await;
    assert!(texts.len() > 15, "{:?}", texts.keys());
    for (name, text) in &texts {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.split(' ').count() > 2,
            "{name} begins with what it does: {first}"
        );
        assert!(text.contains("Usage: quayhand"), "{name}");
        let silent =
            |line: &&str| line.trim_start().starts_with("--") && !line.trim().contains("  ");
        // An option is explained in its line or in the next one.
        for (option, next) in text
            .lines()
            .zip(text.lines().skip(1))
            .filter(|(l, _)| silent(l))
        {
            assert!(
                next.starts_with("        "),
                "{name}: `{option}` is not explained"
            );
        }
    }
    for verb in ["quayhand-job-run.txt", "quayhand-enqueue.txt"] {
        assert!(texts[verb].contains("Examples:"), "{verb} has examples");
    }
    let codes = &texts["quayhand.txt"];
    for words in ["Exit codes:", "4 database", "8 refused", "QUAYHAND_STORAGE"] {
        assert!(codes.contains(words), "`{words}`");
    }
}

#[tokio::test]
async fn lists_read_well_by_programs() {
    let program = Quayhand::default();
    let list = program
        .run(&["job", "list", "--format", "json"])
        .await
        .expect(0);
    let entries: Vec<serde_json::Value> = list.json();
    let kinds: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry["kind"].as_str())
        .collect();
    for kind in [
        "blob_gc",
        "permission_recompute",
        "tag_expiry",
        "tag_expiry_sweep",
    ] {
        assert!(kinds.contains(&kind), "{kinds:?}");
        let shown = program
            .run(&["job", "show", kind, "--format", "json"])
            .await
            .expect(0);
        let shown: Vec<serde_json::Value> = shown.json();
        assert_eq!(shown.len(), 1);
        assert!(
            entries.contains(&shown[0]),
            "the list says what `show` says"
        );
        let text = program.run(&["job", "show", kind]).await.expect(0).stdout;
        assert!(text.contains("payload"), "{text}");
    }
    let human = program.run(&["job", "list"]).await.expect(0).stdout;
    assert!(kinds.iter().all(|kind| human.contains(kind)));
    for entry in entries {
        assert!(
            entry["about"]
                .as_str()
                .is_some_and(|about| !about.is_empty()),
            "{entry}"
        );
        assert!(
            entry["queue"].is_string() && entry["timeout_s"].is_u64(),
            "{entry}"
        );
    }
}

#[tokio::test]
async fn errors_read_well_by_programs() {
    let program = Quayhand::default();
    let ended = program
        .run(&["job", "run", "tag_expire", "--format=json"])
        .await
        .expect(2);
    let error: serde_json::Value = serde_json::from_str(&ended.stderr).expect("JSON");
    assert_eq!(error["exit_code"], 2);
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.contains("`tag_expire`"))
    );
}
