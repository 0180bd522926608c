//! The book: every block of the guide and the cookbook is built or run, and its links lead somewhere.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wsrun_tests::guide::{self, Walk};
use wsrun_tests::handlers::source;
use wsrun_tests::links;
use wsrun_tests::project::Language;
use wsrun_tests::server;

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

/// The page of a language, where its compiler is there.
#[track_caller]
fn walk_first(language: Option<Language>, page: &str) {
    if language.is_none_or(Language::is_there) {
        walk(page);
    }
}

#[test]
fn first_handler_in_rust_is_made_as_its_page_says() {
    walk_first(None, "guide/first-rust.md");
}

#[test]
fn first_handler_in_javascript_is_made_as_its_page_says() {
    walk_first(Some(Language::Js), "guide/first-javascript.md");
}

#[test]
fn first_handler_in_typescript_is_made_as_its_page_says() {
    walk_first(Some(Language::Ts), "guide/first-typescript.md");
}

#[test]
fn first_handler_in_python_is_made_as_its_page_says() {
    if guide::has_python() {
        walk("guide/first-python.md");
    }
}

#[test]
fn first_handler_in_c_is_made_as_its_page_says() {
    if Language::Cpp.is_there() {
        walk_first(Some(Language::C), "guide/first-c.md");
    }
}

#[test]
fn first_handler_in_go_is_made_as_its_page_says() {
    walk_first(Some(Language::Go), "guide/first-go.md");
}

#[test]
fn first_handler_in_zig_is_made_as_its_page_says() {
    walk_first(Some(Language::Zig), "guide/first-zig.md");
}

#[test]
fn trial_of_a_newcomer_goes_as_its_page_says() {
    walk_first(Some(Language::Js), "guide/trial.md");
}

/// Pages whose blocks other tests look at, or that show what they do not tell to do.
const ELSEWHERE: [(&str, &str); 10] = [
    (
        "languages/comparison.md",
        "not run: it builds a release and measures it, for longer than all of CI",
    ),
    (
        "languages/",
        "guides.rs builds the programs; what each build runs is shown in sh, which the templates' builds do",
    ),
    ("reference/", "generated; checked against wit/"),
    ("clients.md", "no blocks"),
    ("limits.md", "no blocks"),
    ("rfc6455.md", "no blocks"),
    ("seed-api.md", "scripts/seed"),
    (
        "testing.md",
        "tests/embedding/scenarios.rs parses its scenario, which belongs to no handler that is shown",
    ),
    ("adr/", "no blocks"),
    ("README.md", "no blocks"),
];

#[test]
fn each_page_of_the_book_is_walked_by_a_test() {
    let summary = fs::read_to_string(source("docs/SUMMARY.md")).expect("the summary is there");
    let chapters: Vec<&str> = summary
        .lines()
        .filter_map(|line| line.split_once("](")?.1.strip_suffix(')'))
        .collect();
    assert!(chapters.len() > 40, "{chapters:?}");
    let tests = include_str!("book.rs");
    for chapter in &chapters {
        let is_walked = tests.contains(&format!("\"{chapter}\""));
        let is_elsewhere = ELSEWHERE
            .iter()
            .any(|(start, _)| chapter.starts_with(start));
        let has_blocks = !guide::blocks(&source("docs").join(chapter))
            .expect("the page can be read")
            .is_empty();
        assert!(is_walked || is_elsewhere || !has_blocks, "{chapter}");
    }
    // Nothing lies beside the book.
    for page in links::pages(&source("docs")).expect("docs can be read") {
        let page = page.strip_prefix(source("docs")).expect("it lies there");
        let page = page.to_string_lossy();
        assert!(
            page == "SUMMARY.md" || chapters.contains(&&*page),
            "{page} is not in SUMMARY.md"
        );
    }
}

#[test]
fn block_that_nobody_knows_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.md");
    for info in ["", "perl", "sh,later", "rust,ignore", "js,part", "text"] {
        fs::write(&page, format!("```{info}\nx\n```\n")).expect("the folder can be written");
        let blocks = guide::blocks(&page).expect("the page can be read");
        assert_eq!((blocks.len(), blocks[0].text.as_str()), (1, "x\n"));
        let mut walk = Walk::begin().expect("a folder can be made");
        let error = walk.take(&blocks[0]).expect_err(info);
        assert!(error.to_string().contains("nobody knows"), "{error}");
    }
    fs::write(&page, "```sh\ntrue\n").expect("the folder can be written");
    assert!(guide::blocks(&page).is_err());
}

#[test]
fn blocks_that_are_wrong_are_errors() {
    let take = |walk: &mut Walk, info: &str, text: &str| {
        walk.take(&guide::Block {
            line: 1,
            info: info.to_owned(),
            text: text.to_owned(),
            included: None,
        })
    };
    let mut walk = Walk::begin().expect("a folder can be made");
    take(&mut walk, "sh", "mkdir here\ncd here\necho hello >file").expect("it works");
    take(&mut walk, "text,is=file", "hello\n").expect("the commands have led there");
    take(
        &mut walk,
        "console",
        "$ cat file\nhel…\n$ cat\n> typed\ntyped\n",
    )
    .expect("it is like that");
    for (info, text) in [
        ("sh", "false\ntrue"),
        ("sh,stays", "true"),
        ("sh,install", "apt install a-package-of-no-use"),
        ("console", "$ cat file\nhello?"),
        ("console", "$ false"),
        ("console", "hello"),
        ("text,is=file", "hullo"),
        ("toml", "about = \"nothing\""),
        ("json", "{\"a\":}"),
        ("rust,program=p.wasm", "fn main() { 1 + \"\" }"),
        ("rust", "fn main() { 1 + \"\" }"),
    ] {
        assert!(take(&mut walk, info, text).is_err(), "{info}: {text}");
    }
}

#[test]
fn lines_are_like_patterns() {
    for (line, pattern) in [
        ("a", "a"),
        ("abc", "a…c"),
        ("abc", "…"),
        ("abcd", "a…c…"),
        ("", ""),
    ] {
        assert!(guide::is_like(line, pattern), "{line} {pattern}");
    }
    for (line, pattern) in [("ab", "a"), ("abc", "a…d"), ("abcd", "…c"), ("ab", "b…")] {
        assert!(!guide::is_like(line, pattern), "{line} {pattern}");
    }
}

#[test]
fn life_of_a_connection_is_as_its_page_says() {
    walk("guide/life.md");
}

#[test]
fn state_is_as_its_page_says() {
    walk("guide/state.md");
}

#[test]
fn backpressure_is_as_its_page_says() {
    walk("guide/backpressure.md");
}

#[test]
fn topics_are_as_their_page_says() {
    walk("guide/topics.md");
}

#[test]
fn timers_are_as_their_page_says() {
    walk("guide/timers.md");
}

#[test]
fn http_is_as_its_page_says() {
    walk("guide/http.md");
}

#[test]
fn swapping_is_as_its_page_says() {
    walk("guide/swapping.md");
}

#[test]
fn deploying_is_as_its_page_says() {
    walk("guide/deploying.md");
}

#[test]
fn developing_goes_as_its_page_says() {
    walk("developing.md");
}

#[test]
fn programs_are_run_as_their_page_says() {
    walk("stdio.md");
}

#[test]
fn recording_and_replaying_go_as_their_page_says() {
    walk("replay.md");
}

#[test]
fn operating_goes_as_its_page_says() {
    walk("operating.md");
}

#[test]
fn recipes_of_the_cookbook_do_what_their_pages_say() {
    walk("cookbook/auth.md");
    walk("cookbook/rooms.md");
    walk("cookbook/presence.md");
    walk("cookbook/rate.md");
    walk("cookbook/reconnecting.md");
}

#[test]
fn links_of_all_pages_lead_somewhere() {
    let pages = links::pages(&source("")).expect("the sources can be read");
    let (dead, count) = links::dead(&pages).expect("the pages can be read");
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(pages.len() > 50 && count > 90, "{} {count}", pages.len());
}

/// What `scripts/book` runs on the pages that mdBook has written.
#[test]
fn dead_links_of_the_built_book_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str| {
        fs::write(folder.path().join("index.html"), text).expect("the folder can be written");
        let mut command = Command::new("python3");
        command
            .arg(source("scripts/book_links.py"))
            .arg(folder.path());
        server::run_command(&mut command, "", true)
    };
    // Page and anchor, a file and a folder of the sources, as they are seen from docs/.
    let live = check(
        "<h1 id=\"here\">x</h1><a href=\"#here\">x</a> <a href=\"index.html#here\">x</a> \
         <a href=\"../README.html\">x</a> <a href=\"../wit/\">x</a> <a href=\"https://example.com/x\">x</a>",
    );
    assert_eq!(live.code, Some(0), "{live:?}");
    assert_eq!(live.stdout, "1 pages, 4 links, 0 of them dead\n");
    assert!(folder.path().join("repository/README.md.txt").is_file());
    assert!(folder.path().join("repository/wit/world.wit.txt").is_file());
    let text = fs::read_to_string(folder.path().join("index.html")).expect("the page is there");
    assert!(text.contains("href=\"repository/README.md.txt\""), "{text}");

    // mdBook calls a README.md index.html.
    let chapter = folder.path().join("chapter");
    fs::create_dir(&chapter).expect("the folder can be written");
    fs::write(chapter.join("index.html"), "<h1 id=\"here\">x</h1>").expect("it can be written");
    let readme = check("<a href=\"chapter/README.html#here\">x</a>");
    assert_eq!(readme.code, Some(0), "{readme:?}");
    let text = fs::read_to_string(folder.path().join("index.html")).expect("the page is there");
    assert!(text.contains("href=\"chapter/index.html#here\""), "{text}");
    let dead = check("<a href=\"chapter/README.html#there\">x</a>");
    assert_eq!(dead.code, Some(1), "{dead:?}");
    fs::remove_dir_all(chapter).expect("it is there");

    fs::remove_dir_all(folder.path().join("repository")).expect("it is there");
    let dead = check(
        "<a href=\"#there\">x</a> <a href=\"nothing.html\">x</a> <img src=\"nothing.png\"> \
         <a href=\"../../outside.html\">x</a>",
    );
    assert_eq!(dead.code, Some(1), "{dead:?}");
    for link in [
        "no such anchor: #there",
        "nothing.html",
        "nothing.png",
        "../../outside.html",
    ] {
        assert!(dead.stderr.contains(link), "{dead:?}");
    }
    assert_eq!(dead.stdout, "1 pages, 4 links, 4 of them dead\n");
}

/// The flags of `wsrun`, or of one of its commands.
fn flags(command: &[&str]) -> HashSet<String> {
    let mut program = Command::new(server::binary());
    program.args(command.iter().filter(|word| !word.is_empty()));
    let help = server::run_command(program.arg("--help"), "", true);
    assert_eq!(help.code, Some(0), "{help:?}");
    help.stdout
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .map(|word| {
            let end = |character: char| !character.is_ascii_alphanumeric() && character != '-';
            word.split(end).next().unwrap_or_default().to_owned()
        })
        .collect()
}

/// In all pages of the repository: whether they are walked or only read, `wsrun` has the commands and flags that they say it has.
#[test]
fn commands_that_pages_tell_are_those_of_wsrun() {
    const COMMANDS: [&str; 11] = [
        "inspect",
        "ctl",
        "connect",
        "replay",
        "new",
        "build",
        "dev",
        "test",
        "component",
        "ping",
        "completions",
    ];
    let mut known = HashMap::new();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in links::pages(&source("")).expect("the sources can be read") {
        let blocks = guide::blocks(&page).expect("the page can be read");
        for block in blocks
            .iter()
            .filter(|block| block.info.starts_with("sh") || block.info == "console")
        {
            for line in block.text.replace("\\\n", " ").lines() {
                let line = line.split(" #").next().unwrap_or_default();
                for part in line.split(['|', ';', '&']) {
                    let words: Vec<&str> = part.split_whitespace().collect();
                    // `wsrun` is the program, and not what cargo is to build.
                    let words = words.strip_prefix(&["$"]).unwrap_or(&words);
                    let Some(words) = words.strip_prefix(&["wsrun"]) else {
                        continue;
                    };
                    let command = words.first().copied().unwrap_or_default();
                    let command = COMMANDS.into_iter().find(|&known| known == command);
                    let command = command.unwrap_or_default();
                    let known = known.entry(command).or_insert_with(|| {
                        let mut known = flags(&[command]);
                        if command == "ctl" {
                            known.extend(flags(&["ctl", "swap"]));
                            known.extend(flags(&["ctl", "drain"]));
                        }
                        known
                    });
                    let own = words.iter().filter(|word| word.starts_with("--"));
                    for word in own {
                        seen += 1;
                        let flag = word.split(['=', ']']).next().unwrap_or_default();
                        if !known.contains(flag) {
                            wrong.push(format!(
                                "{}:{}: wsrun {command} {flag}",
                                page.display(),
                                block.line
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 30, "{seen}");
}

#[test]
fn data_in_pages_is_what_it_is_said_to_be() {
    let mut seen = 0;
    for page in links::pages(&source("")).expect("the sources can be read") {
        let blocks = guide::blocks(&page).expect("the page can be read");
        for block in blocks.iter().filter(|block| block.info == "json") {
            // One value, or one for each message.
            for value in serde_json::Deserializer::from_str(&block.text).into_iter() {
                let value: Result<serde_json::Value, _> = value;
                assert!(
                    value.is_ok(),
                    "{}:{}: {value:?}",
                    page.display(),
                    block.line
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 0);
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
