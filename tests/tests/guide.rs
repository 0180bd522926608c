//! The book: every block of the guide and the cookbook is built or run, and its links lead somewhere.

use std::fs;
use std::path::PathBuf;

use wsrun_tests::guide::{self, Walk};
use wsrun_tests::handlers::source;
use wsrun_tests::links;

/// Reads a page as its reader does.
#[track_caller]
fn walk(page: &str) {
    let file = source("docs").join(page);
    let blocks = guide::blocks(&file).expect("the page can be read");
    assert!(!blocks.is_empty(), "{page} has no blocks");
    let mut walk = Walk::begin().expect("a folder can be made");
    for block in blocks {
        if let Err(error) = walk.take(&block) {
            panic!("docs/{page}:{}: {error}\n{}", block.line, block.text);
        }
    }
}

#[test]
fn first_handler_in_rust_is_made_as_its_page_says() {
    walk("guide/first-rust.md");
}

#[test]
fn links_of_all_pages_lead_somewhere() {
    let pages = links::pages(&source("")).expect("the sources can be read");
    let (dead, count) = links::dead(&pages).expect("the pages can be read");
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(pages.len() > 50 && count > 90, "{} {count}", pages.len());
}

#[test]
fn dead_links_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("the folder can be written");
        file
    };
    let other = write("other.md", "# A `b`, and c\n\n## Twice\n\n## Twice\n");
    let page = write(
        "page.md",
        "[a](other.md) [b](other.md#a-b-and-c) [`c`](other.md#twice-1) [d](#here) `[e](not-a-link)`\n\
         [f](https://example.com/nothing)\n\
         ```text\n[g](not-a-link)\n```\n\
         # Here\n\
         [h](nothing.md) and [i](other.md#nothing)\n\
         [j](other.md#twice-2), [k](#nothing)\n\
         [l]: nothing.txt\n",
    );
    let (dead, count) = links::dead(&[page.clone(), other]).expect("the pages can be read");
    let dead: Vec<(PathBuf, usize, &str)> = dead
        .iter()
        .map(|dead| (dead.file.clone(), dead.line, dead.link.as_str()))
        .collect();
    let expected = [
        (7, "nothing.md"),
        (7, "other.md#nothing"),
        (8, "other.md#twice-2"),
        (8, "#nothing"),
        (9, "nothing.txt"),
    ];
    assert_eq!(
        dead,
        expected.map(|(line, link)| (page.clone(), line, link))
    );
    assert_eq!(count, 9);
}
