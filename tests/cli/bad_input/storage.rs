//! Storage that is not what it should be, one location at a time: the other one is worked on.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use crate::{
    scene::{Object, Scene},
    tombs::{BLOB_GC, Tomb, Tombs},
};

use super::{COLLECT, registry};

/// Collects a registry; its objects wait.
async fn tombs() -> Tombs {
    let scene = registry().await;
    scene.program().await.run(&COLLECT).await.expect(0);
    Tombs { scene }
}

/// Splits tombstones by whether their object lies in `local`.
async fn local_and_others(tombs: &Tombs) -> (Vec<Tomb>, Vec<Tomb>) {
    let all = tombs.free().await.into_iter();
    let (local, others): (Vec<_>, Vec<_>) = all.partition(|tomb| tomb.object.0 == "local");
    assert!(
        local.len() > 5 && others.len() > 5,
        "{} {}",
        local.len(),
        others.len()
    );
    (local, others)
}

/// Lists the objects of a location.
fn objects_of(scene: &Scene, location: &str) -> Vec<Object> {
    let files = scene.files().into_iter();
    files.filter(|(of, _)| of == location).collect()
}

/// Runs `blob_gc` on a location that `spoil` made useless: its objects and tombstones stay,
/// the other location's go, and once `mend` has been done the rest goes.
async fn keeps_all(said: &[&str], spoil: impl FnOnce(&Path), mend: impl FnOnce(&Path)) {
    let tombs = tombs().await;
    let (local, others) = local_and_others(&tombs).await;
    let before = objects_of(&tombs.scene, "local");
    let root = tombs.scene.file("local");
    spoil(&root);
    let program = tombs.scene.program().await;
    let ended = program
        .run(&BLOB_GC)
        .await
        .expect(9)
        .says(&["local"])
        .says(said);
    let left = tombs.list().await;
    assert!(
        local.iter().all(|tomb| left.contains(tomb)),
        "{}",
        ended.stderr
    );
    assert!(
        others.iter().all(|tomb| !left.contains(tomb)),
        "{}",
        ended.stderr
    );
    mend(&root);
    assert!(
        objects_of(&tombs.scene, "local") == before,
        "no object of it went"
    );
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

/// The name under which a folder waits to be put back.
fn aside(path: &Path) -> std::path::PathBuf {
    path.with_extension("aside")
}

fn replace(path: &Path, with: impl FnOnce(&Path)) {
    fs::rename(path, aside(path)).expect("moved aside");
    with(path);
}

fn put_back(path: &Path) {
    fs::remove_file(path).expect("a file or link");
    fs::rename(aside(path), path).expect("moved back");
}

#[tokio::test]
async fn a_file_in_place_of_the_root_is_no_empty_storage() {
    let spoil = |root: &Path| replace(root, |root| fs::write(root, "").expect("a file"));
    keeps_all(&["mounted"], spoil, put_back).await;
}

#[tokio::test]
async fn a_root_that_leads_nowhere_is_no_empty_storage() {
    let nowhere = |root: &Path| symlink("/nowhere/at/all", root).expect("a link");
    keeps_all(&["mounted"], |root| replace(root, nowhere), put_back).await;
}

#[tokio::test]
async fn a_file_in_place_of_a_folder_is_no_missing_object() {
    let folders = |root: &Path| ["sha256", "sharedimages"].map(|name| root.join(name));
    let spoil = move |root: &Path| {
        for folder in folders(root).iter().filter(|folder| folder.exists()) {
            replace(folder, |folder| fs::write(folder, "").expect("a file"));
        }
    };
    let mend = move |root: &Path| {
        for folder in folders(root).iter().filter(|folder| folder.exists()) {
            put_back(folder);
        }
    };
    keeps_all(&["kept"], spoil, mend).await;
}

#[tokio::test]
async fn a_folder_or_a_link_in_place_of_an_object_is_kept_and_the_others_go() {
    let tombs = tombs().await;
    let victim = tombs.scene.write("victim", "not ours to remove");
    let (folder, link) = (tombs.single(0).await, tombs.single(1).await);
    let file = |tomb: &Tomb| tombs.scene.file(&tomb.object.0).join(&tomb.object.1);
    fs::remove_file(file(&folder)).expect("the object is there");
    fs::create_dir_all(file(&folder).join("in")).expect("a folder");
    fs::write(file(&folder).join("in").join("side"), "?").expect("a file");
    fs::remove_file(file(&link)).expect("the object is there");
    symlink(&victim, file(&link)).expect("a link");
    let ended = tombs.scene.program().await.run(&BLOB_GC).await.expect(9);
    ended.says(&[&folder.object.1, "folder", &link.object.1, "symbolic link"]);
    assert!(victim.exists() && file(&link).is_symlink());
    assert!(file(&folder).join("in").join("side").exists());
    let left = tombs.list().await;
    assert!(
        left.len() == 2 && left.contains(&folder) && left.contains(&link),
        "{left:?}"
    );
}

/// Whom a run that must not be root is.
const NOBODY: u32 = 65_534;

/// Sets the rights of everything below a folder, the folder included.
fn set_rights(path: &Path, folders: u32) {
    if path.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("rights");
        for entry in fs::read_dir(path).expect("a folder") {
            set_rights(&entry.expect("an entry").path(), folders);
        }
        fs::set_permissions(path, fs::Permissions::from_mode(folders)).expect("rights");
    }
}

/// Runs `blob_gc` as somebody whom the folders' rights bind; `None` where nobody can be that.
async fn bound_by_rights(folders: u32, said: &str) -> Option<()> {
    let tombs = tombs().await;
    let (local, _) = local_and_others(&tombs).await;
    let program = tombs.scene.program().await.not_root(NOBODY)?;
    let before = objects_of(&tombs.scene, "local");
    fs::set_permissions(tombs.scene.root(), fs::Permissions::from_mode(0o755)).expect("rights");
    hand_over(tombs.scene.root());
    let root = tombs.scene.file("local");
    set_rights(&root, folders);
    program.run(&BLOB_GC).await.expect(9).says(&["local", said]);
    set_rights(&root, 0o755);
    assert!(
        objects_of(&tombs.scene, "local") == before,
        "no object of it went"
    );
    let left = tombs.list().await;
    assert!(
        left.len() == local.len(),
        "{} of {}",
        left.len(),
        local.len()
    );
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
    Some(())
}

/// Gives everything below a folder to nobody, where we may.
fn hand_over(path: &Path) {
    // Who is not root keeps it, and is bound by its rights.
    let _refused = std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY));
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            hand_over(&entry.expect("an entry").path());
        }
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "who runs the tests should know")]
async fn a_folder_that_cannot_be_read_or_written_keeps_its_objects() {
    for folders in [0o000, 0o555] {
        if bound_by_rights(folders, "ermission denied").await.is_none() {
            println!("SKIPPED: nobody but root can run the program from where it was built");
        }
    }
}
