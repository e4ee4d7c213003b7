//! The rules of collection, read slowly: nothing here is clever, and nothing of it is the
//! collector's.
use std::collections::BTreeSet;

use super::{
    Row,
    graph::{Graph, LABELS, Life},
    rows::IDS,
};

/// Returns the rows of a repository that collecting all of its garbage at once leaves.
pub(super) fn survivors(graph: &Graph, immutable_stays: bool) -> BTreeSet<Row> {
    let tags = tags(graph, immutable_stays);
    let mut context: BTreeSet<usize> = (0..graph.tags.len())
        .filter(|tag| !tags.contains(tag))
        .filter_map(|tag| graph.tags[tag].manifest)
        .collect();
    while let Some(child) = graph.children.iter().find_map(|(parent, child)| {
        (context.contains(parent) && !context.contains(child)).then_some(*child)
    }) {
        context.insert(child);
    }
    let mut manifests: BTreeSet<_> = (0..graph.subjects.len()).collect();
    while let Some(gone) = context
        .iter()
        .copied()
        .find(|one| manifests.contains(one) && !is_used(graph, *one, &tags, &manifests))
    {
        manifests.remove(&gone);
    }
    let mut left = BTreeSet::new();
    keep(&mut left, "tag", tags.iter().copied());
    keep(&mut left, "manifest", manifests.iter().copied());
    let last = usize::try_from(IDS - 1).unwrap();
    keep(&mut left, "manifest", [last]);
    below_manifests(graph, &manifests, &mut left);
    below_context(graph, &context, &mut left);
    left
}

/// Returns the tags that stay: a tag that one which stays is linked to stays as well.
fn tags(graph: &Graph, immutable_stays: bool) -> BTreeSet<usize> {
    let stays = |tag: &usize| {
        let tag = &graph.tags[*tag];
        tag.life != Life::Garbage || (tag.immutable && immutable_stays)
    };
    let mut tags: BTreeSet<_> = (0..graph.tags.len()).filter(stays).collect();
    while let Some(linked) = tags
        .iter()
        .filter_map(|tag| graph.tags[*tag].linked)
        .find(|linked| !tags.contains(linked))
    {
        tags.insert(linked);
    }
    tags
}

/// Tells whether a tag, a list or a referrer that is there needs a manifest.
fn is_used(graph: &Graph, one: usize, tags: &BTreeSet<usize>, manifests: &BTreeSet<usize>) -> bool {
    tags.iter()
        .any(|tag| graph.tags[*tag].manifest == Some(one))
        || graph
            .children
            .iter()
            .any(|(parent, child)| *child == one && manifests.contains(parent))
        || manifests
            .iter()
            .any(|referrer| graph.subjects[*referrer] == Some(one))
}

/// Keeps the rows that hang below the manifests that stay.
fn below_manifests(graph: &Graph, manifests: &BTreeSet<usize>, left: &mut BTreeSet<Row>) {
    let below = |edges: &BTreeSet<(usize, usize)>| -> Vec<usize> {
        let stays = edges
            .iter()
            .map(|(manifest, _)| manifests.contains(manifest));
        (0..)
            .zip(stays)
            .filter_map(|(at, stays)| stays.then_some(at))
            .collect()
    };
    keep(left, "manifestchild", below(&graph.children));
    keep(left, "manifestblob", below(&graph.blobs));
    keep(left, "manifestlabel", below(&graph.labels));
    let last = usize::try_from(IDS - 1).unwrap();
    let foreign = (0..graph.foreign.len()).map(|at| last - at);
    keep(left, "manifestblob", foreign);
}

/// Keeps uploads, blobs and labels: those that nobody came by, and those that are used.
fn below_context(graph: &Graph, context: &BTreeSet<usize>, left: &mut BTreeSet<Row>) {
    let of_context = |edges: &BTreeSet<(usize, usize)>| -> BTreeSet<usize> {
        let reached = edges
            .iter()
            .filter(|(manifest, _)| context.contains(manifest));
        reached.map(|(_, thing)| *thing).collect()
    };
    let used = |edges: &BTreeSet<(usize, usize)>, table: &str, thing: usize| {
        (0..)
            .zip(edges)
            .any(|(at, edge)| edge.1 == thing && left.contains(&(table.to_owned(), at)))
    };
    let labels = of_context(&graph.labels);
    let labels: Vec<_> = (0..LABELS)
        .filter(|one| !labels.contains(one) || used(&graph.labels, "manifestlabel", *one))
        .collect();
    let mut candidates = of_context(&graph.blobs);
    candidates.extend(graph.uploads.iter().filter(|one| one.1).map(|one| one.0));
    let fresh: Vec<_> = (0..graph.uploads.len())
        .filter(|at| !graph.uploads[*at].1)
        .collect();
    let blobs: Vec<_> = (0..graph.placed.len())
        .filter(|one| {
            !candidates.contains(one)
                || !graph.placed[*one]
                || graph.foreign.contains(one)
                || fresh.iter().any(|at| graph.uploads[*at].0 == *one)
                || used(&graph.blobs, "manifestblob", *one)
        })
        .collect();
    let placements = blobs.iter().copied().filter(|one| graph.placed[*one]);
    keep(left, "imagestorageplacement", placements);
    keep(left, "imagestorage", blobs);
    keep(left, "uploadedblob", fresh);
    keep(left, "label", labels);
}

fn keep(left: &mut BTreeSet<Row>, table: &str, places: impl IntoIterator<Item = usize>) {
    let row = |at| (table.to_owned(), i64::try_from(at).unwrap());
    left.extend(places.into_iter().map(row));
}
