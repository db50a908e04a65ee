//! The same suites through promptfoo and through promptgate: every verdict is the same, or a
//! difference that is listed with its reason.
//!
//! promptfoo's verdicts are files (`scripts/promptfoo-verdicts` makes them); promptgate's are the rows
//! of `promptgate evals run`. Both asked a provider with the same rules.

use crate::support::{FakeProvider, Setup, TestGateway, scripted};
use promptgate::evals::suite::AssertionKind;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

/// Scores that differ by less are the same: promptfoo's are kept to ten digits.
const TOLERANCE: f64 = 1e-9;

/// Suites that promptgate does not begin: what promptfoo finds out case by case, or lets pass, is said of
/// them before anything is asked. docs/promptfoo.md says what to do instead.
const REFUSED: [&str; 4] = ["filters", "invalid", "invalid-csv", "lenient"];

/// Kinds that promptfoo cannot judge here, so that no suite has them.
const UNJUDGED: [AssertionKind; 3] = [
    AssertionKind::Python,
    AssertionKind::Ruby,
    AssertionKind::Webhook,
];

/// What promptfoo says of a suite.
#[derive(Debug, Clone, Deserialize)]
struct Golden {
    columns: Vec<Column>,
    rows: Vec<GoldenRow>,
}

/// A prompt with a model.
#[derive(Debug, Clone, Deserialize)]
struct Column {
    prompt: String,
    model: String,
}

#[derive(Debug, Clone, Deserialize)]
struct GoldenRow {
    test: usize,
    /// `metadata.id` of the case.
    id: Option<String>,
    column: usize,
    repeat: u64,
    outcome: Outcome,
    score: Option<f64>,
    named_scores: BTreeMap<String, Option<f64>>,
    assertions: Vec<GoldenAssertion>,
}

#[derive(Debug, Clone, Deserialize)]
struct GoldenAssertion {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    pass: bool,
    score: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Fail,
    Error,
}

impl Outcome {
    fn of(mark: &Value) -> Self {
        serde_json::from_value(mark.clone()).unwrap()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
        })
    }
}

/// What promptgate says of a suite.
#[derive(Debug, Clone)]
struct Ours {
    /// The labels of the subjects, in the order of the plan.
    subjects: Vec<String>,
    /// The rows (`evals::row::Row` as JSON), in the order of the plan.
    rows: Vec<Value>,
}

/// Something that the two do not say alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    suite: String,
    /// `metadata.id` of the case, or `#3` for the third test.
    case: String,
    /// The path and the type of the assertion; none for the case as a whole.
    assertion: Option<(String, String)>,
    /// `outcome`, `score`, `metric NAME`, `rows` or `assertions`.
    what: String,
    promptfoo: String,
    promptgate: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.suite, self.case)?;
        if let Some((path, kind)) = &self.assertion {
            write!(formatter, " [{path}] {kind}")?;
        }
        let (theirs, ours) = (&self.promptfoo, &self.promptgate);
        write!(
            formatter,
            ", {}: promptfoo {theirs}, promptgate {ours}",
            self.what
        )
    }
}

/// An entry of `differences.yaml`: differences that are meant, and why. What is absent is any.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default)]
    suites: Vec<String>,
    #[serde(default)]
    cases: Vec<String>,
    /// Types of assertions, with `not-` where it is meant.
    #[serde(default)]
    types: Vec<String>,
    /// Paths of assertions.
    #[serde(default)]
    paths: Vec<String>,
    what: Option<String>,
    /// What each of the two says.
    promptfoo: Option<String>,
    promptgate: Option<String>,
    /// A row of the table in docs/promptfoo.md: what is met there, and why it is so.
    title: String,
    reason: String,
}

impl Allowed {
    fn covers(&self, difference: &Difference) -> bool {
        let among =
            |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|one| one == found);
        let (path, kind) = match &difference.assertion {
            Some((path, kind)) => (path.as_str(), kind.as_str()),
            None => ("", ""),
        };
        among(&self.suites, &difference.suite)
            && among(&self.cases, &difference.case)
            && among(&self.types, kind)
            && among(&self.paths, path)
            && is(&self.what, &difference.what)
            && is(&self.promptfoo, &difference.promptfoo)
            && is(&self.promptgate, &difference.promptgate)
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/promptfoo")
}

/// The names of all suites.
fn suites() -> Vec<String> {
    let files = fs::read_dir(fixtures().join("suites")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn golden(suite: &str) -> Golden {
    let path = fixtures().join(format!("verdicts/{suite}.json"));
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn allowed() -> Vec<Allowed> {
    let text = fs::read_to_string(fixtures().join("differences.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// A gateway in front of the scripted provider.
async fn gateway() -> (FakeProvider, TestGateway) {
    let provider = FakeProvider::start().await;
    provider.always(scripted);
    let url = format!("http://{}/v1", provider.address);
    let setup = Setup::of(&provider)
        .env("SCRIPTED_URL", &url)
        .env("OPENAI_BASE_URL", &url);
    let gateway = setup.start().await;
    (provider, gateway)
}

/// Runs suites through promptgate, one after the other in one process: what it says of each, or why it
/// refuses them. The only part that knows the command line and the report.
async fn run(gateway: &TestGateway, suites: &[String]) -> Result<Vec<Ours>, String> {
    let directory = fixtures().join("suites");
    let path = |suite: &String| directory.join(format!("{suite}.yaml"));
    let paths: Vec<PathBuf> = suites.iter().map(path).collect();
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let evals = directory.to_str().unwrap();
    let mut arguments = vec!["evals", "run", "--json", "--no-cache", "--evals", evals];
    arguments.extend(paths);
    // A suite with a failing case ends with a status of its own.
    let output = gateway.run(&arguments).await;
    let reports = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let reports: Vec<Value> = reports.map_while(Result::ok).collect();
    let found: Vec<Ours> = reports.iter().filter_map(ours).collect();
    if found.len() == suites.len() {
        return Ok(found);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{}: {stderr}", output.status))
}

fn ours(report: &Value) -> Option<Ours> {
    let lines = report["subjects"].as_array()?.iter();
    let labels = lines.map(|line| line["label"].as_str().unwrap().to_owned());
    Some(Ours {
        subjects: labels.collect(),
        rows: report["rows"].as_array()?.clone(),
    })
}

fn is_same(theirs: Option<f64>, ours: Option<f64>) -> bool {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) => (theirs - ours).abs() <= TOLERANCE * theirs.abs().max(1.0),
        (None, None) => true,
        _ => false,
    }
}

fn shown(score: Option<f64>) -> String {
    score.map_or_else(|| "no number".to_owned(), |score| score.to_string())
}

/// Pairs the rows of both: column by column, and in each the rows in order, repeats after each other.
fn pairs<'a>(
    golden: &'a Golden,
    ours: &'a Ours,
) -> Vec<(Option<&'a GoldenRow>, Option<&'a Value>)> {
    let mut pairs = Vec::new();
    let columns = golden.columns.len().max(ours.subjects.len());
    for column in 0..columns {
        let mut theirs: Vec<&GoldenRow> = golden.rows.iter().collect();
        theirs.retain(|row| row.column == column);
        theirs.sort_by_key(|row| row.repeat);
        let subject = ours.subjects.get(column);
        let mut rows: Vec<&Value> = ours.rows.iter().collect();
        rows.retain(|row| row["cell"]["subject"].as_str() == subject.map(String::as_str));
        rows.sort_by_key(|row| row["cell"]["repeat"].as_u64());
        // Cases that say who they are may come in any order.
        for wanted in &theirs {
            let is_it = |row: &&Value| match &wanted.id {
                Some(id) => row["cell"]["case"].as_str() == Some(id),
                None => true,
            };
            let found = rows.iter().position(is_it);
            pairs.push((Some(*wanted), found.map(|at| rows.remove(at))));
        }
        pairs.extend(rows.into_iter().map(|row| (None, Some(row))));
    }
    pairs
}

/// Everything that the two do not say alike.
fn compare(suite: &str, golden: &Golden, ours: &Ours) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (theirs, row) in pairs(golden, ours) {
        let case = match (theirs, row) {
            (Some(theirs), _) => {
                let number = format!("#{}", theirs.test + 1);
                theirs.id.clone().unwrap_or(number)
            }
            (None, row) => row.unwrap()["cell"]["case"].to_string(),
        };
        let mut differ = Differ {
            suite,
            case: &case,
            found: &mut differences,
        };
        match (theirs, row) {
            (Some(theirs), Some(row)) => differ.rows(theirs, &row["grade"]),
            (Some(_), None) => differ.add(None, "rows", &"has it", &"has it not"),
            (None, _) => differ.add(None, "rows", &"has it not", &"has it"),
        }
    }
    differences
}

struct Differ<'a> {
    suite: &'a str,
    case: &'a str,
    found: &'a mut Vec<Difference>,
}

impl Differ<'_> {
    fn add(
        &mut self,
        assertion: Option<(&str, &str)>,
        what: &str,
        promptfoo: &dyn fmt::Display,
        promptgate: &dyn fmt::Display,
    ) {
        self.found.push(Difference {
            suite: self.suite.to_owned(),
            case: self.case.to_owned(),
            assertion: assertion.map(|(path, kind)| (path.to_owned(), kind.to_owned())),
            what: what.to_owned(),
            promptfoo: promptfoo.to_string(),
            promptgate: promptgate.to_string(),
        });
    }

    fn rows(&mut self, theirs: &GoldenRow, grade: &Value) {
        let before = self.found.len();
        let outcome = Outcome::of(&grade["mark"]);
        // promptfoo gives up a case at the first error, so that nothing else of it can be told.
        if theirs.outcome == Outcome::Error {
            if outcome != Outcome::Error {
                self.add(None, "outcome", &theirs.outcome, &outcome);
            }
            return;
        }
        self.assertions(theirs, grade);
        // What is made of the assertions differs when they do.
        if self.found.len() > before {
            return;
        }
        if theirs.outcome != outcome {
            self.add(None, "outcome", &theirs.outcome, &outcome);
        }
        let score = grade["score"].as_f64();
        if !is_same(theirs.score, score) {
            self.add(None, "score", &shown(theirs.score), &shown(score));
        }
        let metrics = grade["metrics"].as_object().cloned().unwrap_or_default();
        let names: BTreeSet<&String> = theirs.named_scores.keys().chain(metrics.keys()).collect();
        for name in names {
            let wanted = theirs.named_scores.get(name).copied().flatten();
            let found = metrics
                .get(name)
                .and_then(|metric| metric["score"].as_f64());
            if !is_same(wanted, found) {
                self.add(
                    None,
                    &format!("metric {name}"),
                    &shown(wanted),
                    &shown(found),
                );
            }
        }
    }

    fn assertions(&mut self, theirs: &GoldenRow, grade: &Value) {
        let ours = grade["assertions"].as_array().cloned().unwrap_or_default();
        let by_path = |path: &str| ours.iter().find(|one| one["path"] == path);
        // A set is seen in what it makes of its assertions.
        let judged = theirs
            .assertions
            .iter()
            .filter(|one| one.kind != "assert-set");
        for wanted in judged.clone() {
            let place = Some((wanted.path.as_str(), wanted.kind.as_str()));
            let outcome = if wanted.pass {
                Outcome::Pass
            } else {
                Outcome::Fail
            };
            let Some(found) = by_path(&wanted.path) else {
                self.add(place, "assertions", &"has it", &"has it not");
                continue;
            };
            let negation = if found["is_negated"] == true {
                "not-"
            } else {
                ""
            };
            let kind = format!("{negation}{}", found["kind"].as_str().unwrap());
            if kind != wanted.kind {
                self.add(place, "assertions", &wanted.kind, &kind);
                continue;
            }
            let mark = Outcome::of(&found["mark"]);
            if mark != outcome {
                self.add(place, "outcome", &outcome, &mark);
                continue;
            }
            let score = found["score"].as_f64();
            if !is_same(wanted.score, score) {
                self.add(place, "score", &shown(wanted.score), &shown(score));
            }
        }
        let (wanted, found) = (judged.count(), ours.len());
        if wanted != found {
            self.add(None, "assertions", &wanted, &found);
        }
    }
}

/// The rows that promptgate would have if it said the same as promptfoo.
fn alike(golden: &Golden) -> Ours {
    let subject = |column: &Column| format!("[{}] {}", column.model, column.prompt);
    let labels = golden.columns.iter().enumerate();
    let subjects: Vec<String> = labels
        .map(|(at, column)| format!("{at} {}", subject(column)))
        .collect();
    let rows = golden.rows.iter().map(|row| {
        let assertions = row.assertions.iter().filter(|one| one.kind != "assert-set");
        let assertions: Vec<Value> = assertions
            .map(|one| {
                let kind = one.kind.strip_prefix("not-");
                let mark = if one.pass { "pass" } else { "fail" };
                serde_json::json!({
                    "path": one.path, "kind": kind.unwrap_or(&one.kind),
                    "is_negated": kind.is_some(), "mark": mark, "score": one.score,
                })
            })
            .collect();
        let named = row.named_scores.iter();
        let metrics: BTreeMap<&String, Value> = named
            .map(|(name, score)| (name, serde_json::json!({"score": score})))
            .collect();
        serde_json::json!({
            "cell": {
                "subject": subjects[row.column], "repeat": row.repeat,
                "case": row.id.clone().unwrap_or_else(|| format!("case-{}", row.test)),
            },
            "grade": {
                "mark": row.outcome.to_string(), "score": row.score, "metrics": metrics,
                "assertions": assertions,
            },
        })
    });
    let rows = rows.collect();
    Ours { subjects, rows }
}

/// The table of docs/promptfoo.md.
fn table(allowed: &[Allowed]) -> String {
    let mut table = "| where | what differs and why |\n| --- | --- |\n".to_owned();
    for entry in allowed {
        let reason = entry.reason.trim().replace('\n', " ");
        writeln!(table, "| {} | {reason} |", entry.title).unwrap();
    }
    table
}

#[tokio::test]
async fn every_verdict_is_promptfoos_or_a_listed_difference() {
    let (_provider, gateway) = gateway().await;
    let allowed = allowed();
    let is_refused = |suite: &String| REFUSED.contains(&suite.as_str());
    let (refused, taken): (Vec<String>, Vec<String>) = suites().into_iter().partition(is_refused);
    for suite in refused {
        let refusal = run(&gateway, std::slice::from_ref(&suite)).await;
        let refusal = refusal.map(|_| ()).unwrap_err();
        assert!(refusal.contains("problems in the suites"), "{refusal}");
    }
    let (mut unlisted, mut used) = (Vec::new(), BTreeSet::new());
    // Few enough for the deadline of a command, many enough not to start one for each.
    for suites in taken.chunks(8) {
        let found = run(&gateway, suites).await.unwrap();
        for (suite, ours) in suites.iter().zip(found) {
            for difference in compare(suite, &golden(suite), &ours) {
                match allowed.iter().position(|entry| entry.covers(&difference)) {
                    Some(at) => drop(used.insert(at)),
                    None => unlisted.push(difference.to_string()),
                }
            }
        }
    }
    assert!(
        unlisted.is_empty(),
        "{} differences are not in differences.yaml:\n{}",
        unlisted.len(),
        unlisted.join("\n")
    );
    let entries = allowed.iter().enumerate();
    let stale: Vec<&str> = entries
        .filter(|(at, _)| !used.contains(at))
        .map(|(_, entry)| entry.title.as_str())
        .collect();
    assert!(stale.is_empty(), "no difference is like these: {stale:#?}");
}

#[test]
fn the_docs_list_every_difference() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/promptfoo.md");
    let docs = fs::read_to_string(docs).unwrap();
    let table = table(&allowed());
    assert!(
        docs.contains(&table),
        "docs/promptfoo.md must have:\n{table}"
    );
}

#[test]
fn the_suites_have_every_kind_and_enough_assertions() {
    let (mut kinds, mut count) = (BTreeSet::new(), 0);
    for suite in suites() {
        for row in golden(&suite).rows {
            count += row.assertions.len();
            kinds.extend(row.assertions.into_iter().map(|one| one.kind));
        }
    }
    assert!(count > 2000, "{count} assertions");
    for kind in AssertionKind::ALL {
        let name = kind.as_str();
        // promptfoo knows what was done on the way from traces alone, which no suite can bring.
        let is_known = !name.starts_with("promptgate:")
            && !name.starts_with("trajectory:")
            && !UNJUDGED.contains(kind);
        assert!(!is_known || kinds.contains(name), "no suite has `{name}`");
    }
}

#[test]
fn what_is_alike_has_no_difference_and_what_is_not_has_one() {
    for suite in suites() {
        let golden = golden(&suite);
        let ours = alike(&golden);
        assert_eq!(compare(&suite, &golden, &ours), [], "{suite}");
        let mut fewer = ours.clone();
        fewer.rows.pop();
        assert!(!compare(&suite, &golden, &fewer).is_empty(), "{suite}");
    }
    let golden = golden("aggregate");
    let ours = alike(&golden);
    let changed = |change: fn(&mut Value)| {
        let mut ours = ours.clone();
        change(&mut ours.rows[4]["grade"]);
        let found = compare("aggregate", &golden, &ours);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    for (found, expected) in [
        (
            changed(|grade| grade["mark"] = "pass".into()),
            "aggregate aggregate-005, outcome: promptfoo fail, promptgate pass",
        ),
        (
            changed(|grade| grade["score"] = 0.76.into()),
            "aggregate aggregate-005, score: promptfoo 0.75, promptgate 0.76",
        ),
        (
            changed(|grade| grade["assertions"][1]["mark"] = "error".into()),
            "aggregate aggregate-005 [1] contains, outcome: promptfoo fail, promptgate error",
        ),
        (
            changed(|grade| grade["assertions"][0]["score"] = Value::Null),
            "aggregate aggregate-005 [0] contains, score: promptfoo 1, promptgate no number",
        ),
        (
            changed(|grade| grade["metrics"]["tone"] = serde_json::json!({"score": 1})),
            "aggregate aggregate-005, metric tone: promptfoo no number, promptgate 1",
        ),
        (
            changed(|grade| grade["assertions"] = serde_json::json!([])),
            "aggregate aggregate-005 [0] contains, assertions: promptfoo has it, promptgate has it not\n\
             aggregate aggregate-005 [1] contains, assertions: promptfoo has it, promptgate has it not\n\
             aggregate aggregate-005, assertions: promptfoo 2, promptgate 0",
        ),
    ] {
        assert_eq!(found, expected);
    }
}
