//! How long it takes to number the versions of a long history, from nothing, at a start, and at the
//! next commit: `cargo bench --bench numbers -- [COMMITS] [PROMPTS]`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement is no service"
)]
#![expect(clippy::disallowed_types, reason = "real time is what is measured")]

use promptgate::domain::{BundleHash, Caller, PromptKey};
use promptgate::prompts::{
    BundleArchive, Config, DirectorySource, GitSource, Prompts, RenderInput, Source,
};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Keeps rounds of numbers in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<Vec<u8>>>>);

impl BundleArchive for Memory {
    fn put(&self, _: &BundleHash, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn find(&self, _: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
        Ok(Vec::new())
    }

    fn append_numbers(&self, line: &str, round: &[u8]) -> Result<(), String> {
        let mut rounds = self.0.lock().unwrap();
        rounds
            .entry(line.to_owned())
            .or_default()
            .push(round.to_vec());
        Ok(())
    }

    fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, String> {
        let rounds = self.0.lock().unwrap();
        Ok(rounds.get(line).cloned().unwrap_or_default())
    }
}

/// A prompt that uses a partial and a schema that many others use too.
fn prompt(index: usize, edit: usize) -> String {
    let (schema, partial) = (index % 10, index % 50);
    let filler = "Answer in the language of the customer, and keep to the facts of the order.\n";
    format!(
        "---\nmodel: openai/gpt-4o-mini\nconfig: {{temperature: 0.{}}}\ninput:\n  schema:\n    \
         order: S{schema}\n---\n{{{{role \"system\"}}}}\nEdit {edit} of prompt {index}.\n{}\
         {{{{> shared/p{partial}}}}}\n{{{{role \"user\"}}}}\n{{{{order}}}}\n",
        edit % 10,
        filler.repeat(20)
    )
}

fn path(index: usize) -> String {
    format!("team{}/prompt{index}.prompt", index % 20)
}

/// Generates the history with `git fast-import`.
fn generate(dir: &Path, commits: usize, prompts: usize) {
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .current_dir(dir)
            .args(arguments)
            .status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    let mut child = Command::new("git")
        .current_dir(dir)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufWriter::new(child.stdin.take().unwrap());
    let file = |out: &mut dyn Write, path: &str, text: &str| {
        write!(out, "M 644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
    };
    for commit in 0..commits {
        write!(
            out,
            "commit refs/heads/main\ncommitter B <b@example.com> {commit} +0000\ndata 4\nedit\n"
        )
        .unwrap();
        if commit == 0 {
            for index in 0..prompts {
                file(&mut out, &path(index), &prompt(index, 0));
            }
            for index in 0..50 {
                file(
                    &mut out,
                    &format!("shared/_p{index}.prompt"),
                    "Be polite.\n",
                );
            }
            for index in 0..10 {
                file(&mut out, &format!("schemas/S{index}.yaml"), "string\n");
            }
        } else if commit % 50 == 0 {
            let shared = format!("shared/_p{}.prompt", commit / 50 % 50);
            file(&mut out, &shared, &format!("Be polite, {commit}.\n"));
        } else if commit % 501 == 0 {
            file(
                &mut out,
                "schemas/S3.yaml",
                &format!("string, of {commit}\n"),
            );
        } else {
            let index = commit * 7919 % prompts;
            // Some go back to what they were.
            let edit = if commit % 10 == 0 { 0 } else { commit };
            file(&mut out, &path(index), &prompt(index, edit));
        }
    }
    out.flush().unwrap();
    drop(out);
    assert!(child.wait().unwrap().success());
}

fn measure(what: &str, action: impl FnOnce()) {
    let start = Instant::now();
    action();
    println!(
        "{what:<44} {:>10.1} ms",
        start.elapsed().as_secs_f64() * 1000.0
    );
}

/// Commits one prompt as `text`.
fn commit(dir: &Path, index: usize, text: &str) {
    let file = dir.join(path(index));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    let git = |arguments: &[&str]| {
        let git = Command::new("git")
            .current_dir(dir)
            .args(arguments)
            .status();
        assert!(git.unwrap().success());
    };
    git(&["reset", "-q"]);
    git(&["add", &path(index)]);
    let name = ["-c", "user.name=B", "-c", "user.email=b@example.com"];
    git(&[&name[..], &["commit", "-q", "-m", "next"]].concat());
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let commits = numbers.first().copied().unwrap_or(10_000);
    let prompts = numbers.get(1).copied().unwrap_or(1_000);
    let dir = tempfile::tempdir().unwrap();
    println!("{commits} commits, {prompts} prompts");
    measure("(generating the repository)", || {
        generate(dir.path(), commits, prompts);
    });
    let config = Config::new(Source::Git(GitSource {
        repository: dir.path().to_owned(),
        reference: "main".to_owned(),
        subpath: String::new(),
    }));
    let archive = Arc::new(Memory::default());
    let registry = || {
        let archive: Arc<Memory> = Arc::clone(&archive);
        Prompts::archived(config.clone(), archive)
    };
    let served = registry();
    measure("numbers from nothing", || served.number_all().unwrap());
    measure("nothing new", || served.number_all().unwrap());
    let started = registry();
    measure("numbers at a start, as they were kept", || {
        started.number_all().unwrap();
    });
    let commit = |index: usize, text: &str| commit(dir.path(), index, text);
    commit(3, &prompt(3, 77_777));
    measure("the next commit, one prompt", || {
        served.number_all().unwrap();
    });
    measure("the next commit, first after a start", || {
        started.number_all().unwrap();
    });
    commit(4, &prompt(4, 77_777));
    measure("the commit after that", || started.number_all().unwrap());
    let key = PromptKey::parse("team3/prompt3").unwrap();
    let mut versions = 0;
    measure("log of one prompt", || {
        versions = served.log(&key).unwrap().entries.len();
    });
    measure("blame of one prompt", || drop(served.blame(&key).unwrap()));
    println!("team3/prompt3 has {versions} versions");
    measure("all prompts read, checked and swapped", || {
        served.reload().unwrap();
    });
    commit(4, &prompt(4, 88_888));
    measure("the same after a commit of one prompt", || {
        served.reload().unwrap();
    });
    resolve_and_render();
}

/// What a call pays for its prompt: a label is followed to a version, and 2 KB with five variables are
/// filled.
fn resolve_and_render() {
    const ROUNDS: u32 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let names = ["product", "tone", "customer", "order_id", "country"];
    let schema: String = names
        .iter()
        .map(|name| format!("    {name}: string\n"))
        .collect();
    let uses: String = names
        .iter()
        .map(|name| format!("The {name} is {{{{{name}}}}}.\n"))
        .collect();
    let rest = "Answer in the language of the customer, and keep to the facts.\n".repeat(30);
    let text = format!(
        "---\nmodel: openai/gpt-4o-mini\ninput:\n  schema:\n{schema}---\n{{{{role \"system\"}}}}\n{uses}{rest}"
    );
    std::fs::write(dir.path().join("a.prompt"), text).unwrap();
    let releases =
        "labels: {production: {a: {stable: latest, canary: {to: latest, percent: 10}}}}\n";
    std::fs::write(dir.path().join("releases.yaml"), releases).unwrap();
    let path = dir.path().to_owned();
    let config = Config::new(Source::Directory(DirectorySource { path }));
    let prompts = Prompts::open(config, Arc::new(Memory::default())).unwrap();
    let reference = "a@production".parse().unwrap();
    let variables = names
        .iter()
        .map(|name| ((*name).to_owned(), "some value".into()));
    let variables = variables.collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let caller = Caller::local();
    let start = Instant::now();
    let bytes: usize = runtime.block_on(async {
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let resolved = prompts.resolve(&reference, &caller).await.unwrap();
            let rendered = resolved.bundle.render(&RenderInput::new(&variables));
            bytes += rendered.unwrap().messages.len();
        }
        bytes
    });
    assert!(0 < bytes);
    println!(
        "{:<45} {:>10.2} us",
        "resolve and render",
        start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    );
}
