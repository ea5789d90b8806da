//! Which way the arrows between the crates point.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// What each crate may use of ours, and nothing else.
const ARROWS: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("openapi", &["engine"]),
    ("frontend", &["engine", "openapi"]),
    ("entity", &[]),
    ("migration", &[]),
    ("api", &["engine", "entity", "migration", "openapi"]),
    (
        "tests",
        &["api", "engine", "entity", "migration", "openapi"],
    ),
];

/// What `engine` must do without, on any path: it has no input, no output and no clock of its own.
const OUTSIDE: &[&str] = &[
    "tokio",
    "reqwest",
    "hyper",
    "actix-web",
    "actix-rt",
    "sea-orm",
    "sqlx",
    "rand",
    "getrandom",
    "mio",
    "socket2",
];

fn packages() -> Vec<Package> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(vec!["--offline".to_owned(), "--locked".to_owned()])
        .exec()
        .unwrap();
    metadata.packages
}

fn own(packages: &[Package]) -> BTreeMap<&str, &Package> {
    packages
        .iter()
        .filter(|package| package.source.is_none())
        .map(|package| (package.name.as_str(), package))
        .collect()
}

#[test]
fn every_crate_uses_only_what_the_design_says() {
    let packages = packages();
    let own = own(&packages);
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = own.keys().copied().collect();
    assert_eq!(
        there, known,
        "a new crate needs its arrows here and in docs/architecture.md"
    );
    for (name, allowed) in ARROWS {
        let used: BTreeSet<&str> = own[name]
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.as_str())
            .filter(|dependency| there.contains(dependency))
            .collect();
        let extra: Vec<_> = used.iter().filter(|used| !allowed.contains(used)).collect();
        assert!(extra.is_empty(), "{name} must not use {extra:?}");
    }
}

/// Arrows that the drawing has must be there, or the drawing lies.
#[test]
fn the_arrows_of_the_drawing_exist() {
    let packages = packages();
    let own = own(&packages);
    for (from, to) in [
        ("frontend", "openapi"),
        ("openapi", "engine"),
        ("api", "openapi"),
        ("api", "engine"),
    ] {
        assert!(
            own[from].dependencies.iter().any(|d| d.name == to),
            "{from} does not use {to}"
        );
    }
}

#[test]
fn the_engine_has_no_way_out() {
    let packages = packages();
    let by_name: BTreeMap<&str, Vec<&Package>> =
        packages.iter().fold(BTreeMap::new(), |mut all, package| {
            all.entry(package.name.as_str())
                .or_insert_with(Vec::new)
                .push(package);
            all
        });
    let mut reached = BTreeSet::from(["engine"]);
    let mut open = vec!["engine"];
    while let Some(name) = open.pop() {
        for package in by_name.get(name).into_iter().flatten() {
            let normal = package
                .dependencies
                .iter()
                .filter(|d| d.kind == DependencyKind::Normal && !d.optional && d.target.is_none());
            for dependency in normal {
                if reached.insert(dependency.name.as_str()) {
                    open.push(dependency.name.as_str());
                }
            }
        }
    }
    let found: Vec<_> = OUTSIDE
        .iter()
        .filter(|name| reached.contains(*name))
        .collect();
    assert!(found.is_empty(), "engine reaches {found:?}");
    assert!(reached.contains("regex"), "the walk reached {reached:?}");
}
