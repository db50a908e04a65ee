//! The house test: the source is built as ARCHITECTURE.md draws it.
//!
//! It reads text, so a path in a comment counts too, and that is wanted: a comment that needs
//! another room's path hints at a leak. A change of the two tables is a change of the design.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from ground to roof. A room uses only rooms on floors below its own.
const FLOORS: [&[&str]; 11] = [
    &["domain"],
    &["metering", "stats", "telemetry"],
    &["wire", "safety"],
    &["store", "providers", "git"],
    &["prompts", "access"],
    &["proxy"],
    &["embeddings"],
    &["evals"],
    &["server"],
    &["app"],
    &["cli"],
];

/// Each outside thing has one room. hyper is two things: a server and a client. ring is named by its modules,
/// because a ring of keys has its name too.
const OWNERS: [(&str, &str); 41] = [
    ("axum", "server"),
    ("tower", "server"),
    ("tower_http", "server"),
    ("hyper::server", "server"),
    ("hyper_util::server", "server"),
    ("hyper_util::service", "server"),
    ("hyper_util::client", "providers"),
    ("hyper_rustls", "providers"),
    ("tower_service", "providers"),
    ("reqwest", "providers"),
    ("rustls", "providers"),
    ("ring::hmac", "providers"),
    ("ring::rsa", "providers"),
    ("ring::signature", "providers"),
    ("sled", "store"),
    ("rustix", "store"),
    ("hnsw_rs", "embeddings"),
    ("faer", "embeddings"),
    ("half", "embeddings"),
    ("csv", "embeddings"),
    ("parquet", "embeddings"),
    ("arrow_ipc", "embeddings"),
    ("flatbuffers", "embeddings"),
    ("zip", "embeddings"),
    ("flate2", "embeddings"),
    ("lz4_flex", "embeddings"),
    ("icu_normalizer", "embeddings"),
    ("tiktoken_rs", "metering"),
    ("opentelemetry", "telemetry"),
    ("opentelemetry_sdk", "telemetry"),
    ("opentelemetry_otlp", "telemetry"),
    ("handlebars", "prompts"),
    ("notify", "prompts"),
    ("similar", "prompts"),
    ("regex", "safety"),
    ("gix", "git"),
    ("rquickjs", "evals"),
    ("cronexpr", "evals"),
    ("toml", "app"),
    ("clap", "cli"),
    ("terminal_size", "cli"),
];

/// The longest a file may be, without its tests.
const MAX_LINES: usize = 500;

/// A file of a room.
struct Source {
    room: String,
    /// The path below `src/`.
    path: String,
    text: String,
}

#[test]
fn rooms_only_look_down() {
    check(|source, faults| {
        for used in source.rooms_used() {
            if used != source.room && floor(&source.room) <= floor(&used) {
                faults.push(format!("`{}` must not use `{used}`", source.room));
            }
        }
    });
}

#[test]
fn each_outside_thing_has_one_room() {
    check(|source, faults| {
        for (thing, owner) in OWNERS {
            if source.room != owner && source.mentions(thing) {
                faults.push(format!("`{thing}` belongs to `{owner}`"));
            }
        }
    });
}

#[test]
fn files_are_small_and_introduced() {
    check(|source, faults| {
        let lines = source.code().lines().count();
        if MAX_LINES < lines {
            faults.push(format!("{lines} lines, more than {MAX_LINES}"));
        }
        if !source.text.starts_with("//! ") {
            faults.push("does not open with `//! ` and its idea".to_owned());
        }
        if source.text.contains("TODO") || source.text.contains("FIXME") {
            faults.push("leaves work to be done".to_owned());
        }
    });
}

#[test]
fn only_the_config_reads_the_environment() {
    check(|source, faults| {
        if source.path != "app/origin.rs" && source.code().contains("std::env") {
            faults.push("uses `std::env`, which belongs to `app/origin.rs`".to_owned());
        }
    });
}

#[test]
fn only_the_server_writes_extensions() {
    check(|source, faults| {
        if source.room != "server" && source.code().contains("extensions_mut") {
            faults.push("hands things on in request extensions".to_owned());
        }
    });
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut numbers: Vec<usize> = names
        .filter_map(|name| name.trim_start_matches('m').split('_').next()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    // Layout 1 is the first: nothing leads to it.
    assert_eq!(numbers, (2..2 + numbers.len()).collect::<Vec<_>>());
}

/// The test tests itself: each rule finds what it is there for.
#[test]
fn the_rules_see_what_they_look_for() {
    let source = |text: &str| Source {
        room: "store".to_owned(),
        path: "store/mod.rs".to_owned(),
        text: text.to_owned(),
    };
    let used = source("use crate::domain::CallId; use crate::{wire::X, proxy::{A, B}, app};\n");
    assert_eq!(used.rooms_used(), ["domain", "wire", "proxy", "app"]);
    for (text, is_mentioned) in [
        ("use axum::Router;", true),
        ("use axum;", true),
        ("let x = ::axum::body::Body::empty();", true),
        ("use my_axum::Router;", false),
        ("use other::axum::Router;", false),
        ("an axum of choice", false),
    ] {
        assert_eq!(source(text).mentions("axum"), is_mentioned, "{text}");
    }
    let client = source("use hyper_util::client::legacy::Client;\n");
    assert!(client.mentions("hyper_util::client") && !client.mentions("hyper_util::server"));
    let grouped = source("use hyper_util::{client::legacy::Client, rt::TokioIo};\n");
    assert!(grouped.mentions("hyper_util::client") && !grouped.mentions("hyper_util::rt::x"));
    let tested = source("//! Idea.\nfn a() {}\n\n#[cfg(test)]\nmod tests {}\n");
    assert_eq!(tested.code().lines().count(), 3);
}

impl Source {
    /// The text without the tests at its end.
    fn code(&self) -> &str {
        let marks = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(super) mod "];
        let starts = marks.iter().filter_map(|mark| self.text.find(mark));
        starts
            .min()
            .map_or(&*self.text, |start| &self.text[..start])
    }

    /// Rooms named after `crate::`, also inside `crate::{a, b::{c, d}}`.
    fn rooms_used(&self) -> Vec<String> {
        let mut rooms = Vec::new();
        for rest in self.text.split("crate::").skip(1) {
            let names = match rest.strip_prefix('{') {
                Some(list) => top_level_names(list),
                None => vec![first_word(rest)],
            };
            rooms.extend(names.into_iter().filter(|name| floor(name).is_some()));
        }
        rooms
    }

    /// Whether `thing`, a crate or a module of one, is used: at the start of a path, in a `use` of its
    /// own, or in a list behind its crate.
    fn mentions(&self, thing: &str) -> bool {
        if let Some((parent, module)) = thing.split_once("::")
            && self
                .text
                .split(&format!("{parent}::{{"))
                .skip(1)
                .any(|list| top_level_names(list).iter().any(|name| name == module))
        {
            return true;
        }
        let starts_path = self.text.match_indices(thing).any(|(start, _)| {
            let before = &self.text[..start];
            let before = before
                .strip_suffix("::")
                .filter(|rest| !ends_in_word(rest))
                .unwrap_or(before);
            let is_start = !ends_in_word(before) && !before.ends_with("::");
            is_start && self.text[start + thing.len()..].starts_with("::")
        });
        starts_path || self.text.contains(&format!("use {thing};"))
    }
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The first word of each item of a list of imports, up to the brace that closes it.
fn top_level_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (place, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(first_word(&list[start..place]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(first_word(&list[start..place]));
                start = place + 1;
            }
            _ => {}
        }
    }
    names
}

/// Runs `rule` over every file of every room and fails with all faults at once.
fn check(rule: impl Fn(&Source, &mut Vec<String>)) {
    let mut report = Vec::new();
    for source in sources() {
        let mut faults = Vec::new();
        rule(&source, &mut faults);
        report.extend(
            faults
                .iter()
                .map(|fault| format!("src/{}: {fault}", source.path)),
        );
    }
    assert!(report.is_empty(), "\n{}\n", report.join("\n"));
}

/// Every `.rs` file below `src/` that is in a room. The two files beside the rooms only name them.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in files_below(&src) {
        let relative = path
            .strip_prefix(&src)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let Some((room, _)) = relative.split_once('/') else {
            continue;
        };
        assert!(floor(room).is_some(), "`{room}` stands on no floor");
        if relative.ends_with(".rs") {
            found.push(Source {
                room: room.to_owned(),
                text: fs::read_to_string(&path).unwrap(),
                path: relative,
            });
        }
    }
    assert!(!found.is_empty(), "no rooms were found");
    found
}

/// Every file below `dir`.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut dirs, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn first_word(text: &str) -> String {
    let text = text.trim_start();
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
