//! `tests/README.md` against the sources: each module of tests is in its tables, with the rows of the 2011 interface that it proves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wsrun_tests::handlers::source;

/// Every source below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found
}

/// The numbers in the names of the tests of a source.
fn rows(text: &str) -> BTreeSet<u32> {
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("fn seed_"));
    names
        .map(|name| {
            let number = name.split('_').next().and_then(|text| text.parse().ok());
            number.expect("a row has a number")
        })
        .collect()
}

/// `7 to 9, 14`.
fn told(rows: &str) -> BTreeSet<u32> {
    let number = |text: &str| -> u32 { text.trim().parse().expect("a row is a number") };
    let ranges = rows.split(',').filter(|range| !range.trim().is_empty());
    ranges
        .flat_map(|range| match range.split_once(" to ") {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        })
        .collect()
}

#[test]
fn each_module_of_tests_has_a_line_with_its_rows() {
    let page = fs::read_to_string(source("tests/README.md")).expect("the page is there");
    let mut seen = 0;
    for folder in [
        "tests/tests/e2e",
        "tests/tests/languages",
        "tests/embedding",
    ] {
        let folder = source(folder);
        for file in sources(&folder) {
            let text = fs::read_to_string(&file).expect("a source can be read");
            if !text.contains("\n#[test]\n") || file.ends_with("readme.rs") {
                continue;
            }
            let file = file.strip_prefix(&folder).expect("it lies there");
            let module = file.with_extension("").to_string_lossy().replace('/', "::");
            let module = module.trim_end_matches("::mod");
            let cell = format!(" | `{module}` | ");
            let lines: Vec<&str> = page.lines().filter(|line| line.contains(&cell)).collect();
            assert_eq!(lines.len(), 1, "lines for {module}");
            let (_, last) = lines[0].split_once(&cell).expect("the line has the module");
            assert_eq!(told(last.trim_end_matches('|')), rows(&text), "{module}");
            seen += 1;
        }
    }
    let lines = page.lines();
    let listed = lines.filter(|line| line.contains(" | `") && line.ends_with('|'));
    assert_eq!(listed.count(), seen, "modules that are not there");
}
