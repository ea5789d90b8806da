//! One function compares secrets. The types of secrets use it for `==`; nothing else may bring another
//! comparison, or take a secret's bytes out to compare them by itself.

use std::path::{Path, PathBuf};

/// Words of another way to compare, and the one file that may use them.
const COMPARISONS: &[(&str, &str)] = &[
    ("subtle", "engine/src/secret.rs"),
    (".ct_eq(", "engine/src/secret.rs"),
    (".verify_slice(", ""),
    (".verify_truncated", ""),
];

/// What gives a secret's bytes away.
const GIVEN_AWAY: &[&str] = &[".reveal()", ".expose()"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn one_function_compares_secrets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["engine/src", "api/src", "openapi/src"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 200, "{} files", files.len());
    let mut faults = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests compare what they made themselves.
        let text = text.split("#[cfg(test)]").next().unwrap();
        if name.ends_with("tests.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let compares = COMPARISONS
                .iter()
                .any(|(word, at)| code.contains(word) && *at != name);
            let given = GIVEN_AWAY.iter().any(|word| {
                code.contains(&format!("{word} ==")) || code.contains(&format!("{word} !="))
            });
            if compares || given {
                faults.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
