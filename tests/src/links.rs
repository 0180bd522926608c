//! Links of Markdown files: each leads to a file of the repository, and to a heading that is there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What is wrong with a link, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The file it is in.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The link as it is written.
    pub link: String,
}

/// The Markdown files below a folder that are sources: nothing that was built or fetched.
pub fn pages(folder: &Path) -> io::Result<Vec<PathBuf>> {
    const BUILT: [&str; 6] = [
        "target",
        "node_modules",
        "dist",
        ".git",
        "__pycache__",
        ".venv",
    ];
    let mut pages = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !BUILT.contains(&&*name) {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// The links of pages that lead nowhere, and how many links there are. Those to other machines are not looked at.
pub fn dead(pages: &[PathBuf]) -> io::Result<(Vec<Dead>, usize)> {
    let mut anchors = HashMap::new();
    let (mut dead, mut count) = (Vec::new(), 0);
    for page in pages {
        for (line, link) in links(&fs::read_to_string(page)?) {
            if is_elsewhere(&link) {
                continue;
            }
            count += 1;
            if !leads_somewhere(page, &link, &mut anchors)? {
                dead.push(Dead {
                    file: page.clone(),
                    line,
                    link,
                });
            }
        }
    }
    Ok((dead, count))
}

fn is_elsewhere(link: &str) -> bool {
    ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| link.starts_with(scheme))
}

fn leads_somewhere(
    page: &Path,
    link: &str,
    anchors: &mut HashMap<PathBuf, HashSet<String>>,
) -> io::Result<bool> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        plain(&page.with_file_name(path))
    };
    if !target.exists() {
        return Ok(false);
    }
    if anchor.is_empty() {
        return Ok(true);
    }
    if target.extension().is_none_or(|kind| kind != "md") {
        return Ok(false);
    }
    if !anchors.contains_key(&target) {
        let found = headings(&fs::read_to_string(&target)?);
        anchors.insert(target.clone(), found);
    }
    Ok(anchors[&target].contains(anchor))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

/// The text outside of blocks, line by line, without what stands in backquotes.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut is_block = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
            return None;
        }
        (!is_block).then(|| (number + 1, line.to_owned()))
    })
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // A link's words may be in backquotes, what looks like a link within them is none.
        let line = without_code(&line);
        let mut rest = line.as_str();
        while let Some((_, behind)) = rest.split_once("](") {
            let Some((link, behind)) = behind.split_once(')') else {
                break;
            };
            let link = link.split_whitespace().next().unwrap_or_default();
            links.push((number, link.trim_matches(['<', '>']).to_owned()));
            rest = behind;
        }
        // `[words]: target` on a line of its own.
        if let Some((_, link)) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "))
        {
            links.push((number, link.trim().to_owned()));
        }
    }
    links
}

fn without_code(line: &str) -> String {
    let pieces = line.split('`').step_by(2);
    pieces.collect::<Vec<_>>().join("")
}

/// The anchors of headings, as GitHub and mdBook make them.
fn headings(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|character| match character {
                ' ' => Some('-'),
                '-' | '_' => Some(character),
                _ => character.is_alphanumeric().then_some(character),
            })
            .collect();
        let mut unique = anchor.clone();
        let mut number = 0;
        while !anchors.insert(unique.clone()) {
            number += 1;
            unique = format!("{anchor}-{number}");
        }
    }
    anchors
}
