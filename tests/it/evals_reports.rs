//! Reports of evals as their users meet them: on stdout, in files, and as one comment that stays.

use crate::support::{Setup, TestGateway};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn fixture(name: &str) -> String {
    let path = file("tests/fixtures/evals").join(name);
    path.to_str().unwrap().to_owned()
}

async fn report(gateway: &TestGateway, arguments: &[&str]) -> Output {
    gateway
        .run(&[&["evals", "report"], arguments].concat())
        .await
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one story from the report to its proof"
)]
async fn every_form_is_written_under_the_suites_name() {
    let gateway = Setup::simulated().prepare();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("reports");
    let forms = "terminal,json,jsonl,junit,markdown,html,sarif,github,evidence";
    let output = report(
        &gateway,
        &[
            &fixture("regression.json"),
            "--format",
            forms,
            "--out",
            out.to_str().unwrap(),
        ],
    )
    .await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut names: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "support-answer.evidence.jsonl",
            "support-answer.html",
            "support-answer.junit.xml",
            "support-answer.md",
            "support-answer.report.json",
            "support-answer.rows.jsonl",
            "support-answer.sarif",
            "support-answer.summary.md",
        ]
    );
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("support/answer: failed\n"), "{stdout}");
    assert!(
        stdout.contains("\n::error file=evals/support/answer.yaml,line=14"),
        "{stdout}"
    );
    // What was written is a report again, and its evidence holds.
    let written = out.join("support-answer.report.json");
    let again = report(&gateway, &[written.to_str().unwrap(), "--json"]).await;
    assert_eq!(
        text(&again.stdout),
        fs::read_to_string(fixture("regression.json")).unwrap()
    );
    let pack = out.join("support-answer.evidence.jsonl");
    let verify = ["evals", "evidence", "verify", pack.to_str().unwrap()];
    let checked = gateway.run_json(&verify).await;
    assert_eq!(
        (&checked["ok"], &checked["verdict"]),
        (&json!(true), &json!("failed"))
    );
    let touched = fs::read_to_string(&pack)
        .unwrap()
        .replacen("0.93", "0.99", 1);
    fs::write(&pack, touched).unwrap();
    let output = gateway.run(&verify).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("its text was changed"),
        "{output:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_shown_says_why() {
    let gateway = Setup::simulated().prepare();
    let broken = tempfile::NamedTempFile::new().unwrap();
    fs::write(broken.path(), "{\"version\": 1}").unwrap();
    for (arguments, wanted) in [
        (
            vec!["nothing.json"],
            "error: `nothing.json` is neither a file nor the id of a run\n",
        ),
        (
            vec![broken.path().to_str().unwrap()],
            "is no report of an eval: missing field `promptgate`",
        ),
        (
            vec![&fixture("findings.json"), "--format", "json,html"],
            "error: several forms cannot go to stdout\nhint: `--out DIR`",
        ),
    ] {
        let output = report(&gateway, &arguments).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(wanted), "{output:?}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn suites_share_the_summary_of_a_job() {
    let summary = tempfile::NamedTempFile::new().unwrap();
    let path = summary.path().to_str().unwrap();
    let gateway = Setup::simulated()
        .env("GITHUB_STEP_SUMMARY", path)
        .prepare();
    for name in ["regression.json", "findings.json"] {
        let output = report(&gateway, &[&fixture(name), "--format", "github"]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let written = fs::read_to_string(summary.path()).unwrap();
    assert!(written.contains("### `support/answer`") && written.contains("### `safety/injection`"));
}

/// A server that keeps comments as GitHub and GitLab do, as far as the scripts ask.
struct Comments {
    address: String,
    kept: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Comments {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (kept, asked) = (Arc::default(), Arc::default());
        let server = Self {
            address,
            kept,
            asked,
        };
        let (kept, asked) = (Arc::clone(&server.kept), Arc::clone(&server.asked));
        // It ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &kept, &asked);
            }
        });
        server
    }

    fn bodies(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        kept.iter()
            .map(|comment| comment["body"].as_str().unwrap().to_owned())
            .collect()
    }

    fn writes(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|asked| !asked.starts_with("GET"))
            .cloned()
            .collect()
    }
}

fn answer(stream: &TcpStream, kept: &Mutex<Vec<Value>>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let (mut length, mut is_known) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        is_known |= line == "authorization: bearer let-me-in" || line == "private-token: let-me-in";
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (method, path) = first
        .trim_end()
        .rsplit_once(' ')
        .unwrap()
        .0
        .split_once(' ')
        .unwrap();
    asked.lock().unwrap().push(format!("{method} {path}"));
    let mut kept = kept.lock().unwrap();
    let (status, reply) = if !is_known {
        ("401 Unauthorized", json!({"message": "who are you?"}))
    } else if method == "GET" {
        let page: usize = path.rsplit_once("&page=").unwrap().1.parse().unwrap();
        let rows: Vec<Value> = kept
            .iter()
            .skip((page - 1) * 100)
            .take(100)
            .cloned()
            .collect();
        ("200 OK", Value::from(rows))
    } else {
        let sent: Value = serde_json::from_slice(&body).unwrap();
        if method == "POST" {
            let id = kept.len() + 1;
            kept.push(json!({"id": id, "body": sent["body"], "html_url": format!("comment/{id}")}));
            ("201 Created", kept.last().unwrap().clone())
        } else {
            let id: usize = path.rsplit_once('/').unwrap().1.parse().unwrap();
            kept[id - 1]["body"] = sent["body"].clone();
            ("200 OK", kept[id - 1].clone())
        }
    };
    let reply = reply.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        reply.len()
    );
    let mut stream = stream;
    stream
        .write_all(format!("{head}{reply}").as_bytes())
        .unwrap();
}

/// Comments of two suites, the reports' first lines being their markers.
fn comments_in(dir: &Path, words: &str) {
    let reports = dir.join("promptgate-reports");
    fs::create_dir_all(&reports).unwrap();
    for suite in ["answer", "tone"] {
        let body = format!(
            "<!-- promptgate-evals:{suite} -->\n> **{suite}**: {words} `$HOME` \"quoted\" \\n\n"
        );
        fs::write(reports.join(format!("{suite}.md")), body).unwrap();
    }
    fs::write(reports.join("answer.summary.md"), "no comment").unwrap();
}

fn check_that_it_stays(server: &Comments, update: &str, comment: impl Fn(&str)) {
    // Others have said so much that ours are on the second page.
    for index in 0..99 {
        let body = format!("word {index} of <!-- promptgate-evals:answer -->");
        server
            .kept
            .lock()
            .unwrap()
            .push(json!({"id": index + 1, "body": body}));
    }
    comment("first");
    comment("second");
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 101, "{bodies:?}");
    assert_eq!(
        bodies[99],
        "<!-- promptgate-evals:answer -->\n> **answer**: second `$HOME` \"quoted\" \\n\n"
    );
    assert!(bodies[100].contains("> **tone**: second"));
    let writes = server.writes();
    let methods: Vec<&str> = writes
        .iter()
        .map(|asked| asked.split_once(' ').unwrap().0)
        .collect();
    assert_eq!(methods, ["POST", "POST", update, update]);
}

#[test]
fn a_pull_request_gets_one_comment_for_each_suite() {
    let server = Comments::start();
    let dir = tempfile::tempdir().unwrap();
    let comment = |token: &str| {
        Command::new(file("scripts/evals-comment"))
            .args(["promptgate-reports/answer.md", "promptgate-reports/tone.md"])
            .current_dir(dir.path())
            .env("GITHUB_API_URL", &server.address)
            .env("GITHUB_REPOSITORY", "owner/name")
            .env("PULL_REQUEST", "42")
            .env("GITHUB_TOKEN", token)
            .output()
            .unwrap()
    };
    check_that_it_stays(&server, "PATCH", |words| {
        comments_in(dir.path(), words);
        let output = comment("let-me-in");
        assert!(output.status.success(), "{output:?}");
    });
    assert!(server.writes()[0].ends_with("/repos/owner/name/issues/42/comments"));
    let output = comment("wrong");
    assert!(!output.status.success(), "{output:?}");
    assert!(!text(&output.stderr).contains("wrong"), "{output:?}");
    fs::write(
        dir.path().join("promptgate-reports/answer.md"),
        "no marker\n",
    )
    .unwrap();
    let output = comment("let-me-in");
    assert_eq!(
        text(&output.stderr),
        "error: promptgate-reports/answer.md does not begin with the marker of a suite\n"
    );
    assert_eq!(server.bodies().len(), 101);
}

/// The template's own lines are run, as a GitLab runner would.
#[test]
fn a_merge_request_gets_one_note_for_each_suite() {
    let template = fs::read_to_string(file("ci/gitlab-evals.yml")).unwrap();
    let template: Value = serde_saphyr::from_str(&template).unwrap();
    let script = template[".promptgate-note"][0].as_str().unwrap();
    let server = Comments::start();
    let dir = tempfile::tempdir().unwrap();
    check_that_it_stays(&server, "PUT", |words| {
        comments_in(dir.path(), words);
        let output = Command::new("sh")
            .args(["-e", "-c", script])
            .current_dir(dir.path())
            .env("CI_API_V4_URL", &server.address)
            .env("CI_PROJECT_ID", "7")
            .env("CI_MERGE_REQUEST_IID", "42")
            .env("PROMPTGATE_TOKEN", "let-me-in")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    });
    assert!(server.writes()[0].ends_with("/projects/7/merge_requests/42/notes"));
}
