//! One cell, from its variables to its row.

use crate::domain::Timestamp;
use crate::domain::{Cost, Purpose, RunId};
use crate::evals::digest::digest;
use crate::evals::gateway::{Ask, AskContent, AskError, Gateway, Reply};
use crate::evals::judges::{JudgeContext, Steps};
use crate::evals::ledger::Ledger;
use crate::evals::plan::{RunPlan, SubjectPrompt};
use crate::evals::row::{Answer, CellKey, Row};
use crate::evals::run::Config;
use crate::evals::run::cells::Cell;
use crate::evals::run::filling::{Filled, Memory, as_text, fill_cell};
use crate::evals::run::grading::{self, Work, unjudged};
use crate::evals::run::{reply, trajectory};
use crate::evals::suite::{AssertNode, AssertionKind, Case, ModelSource};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take when the suite does not say it.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What all cells of a run share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) run: RunId,
    pub(super) plan: &'a RunPlan,
    /// Where sessions are recorded.
    pub(super) ledger: &'a Ledger,
    pub(super) canary: &'a str,
    /// Steps that judges planned.
    pub(super) steps: &'a Steps,
    pub(super) config: &'a Config,
}

/// A cell that is filled, and its hash.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) cell: Cell<'a>,
    pub(super) hash: String,
    filled: Result<Filled, String>,
}

/// Returns how long one call may take.
pub(super) fn timeout_of(plan: &RunPlan) -> Duration {
    plan.settings
        .timeout_ms
        .map_or(TIMEOUT, Duration::from_millis)
}

/// Fills a cell.
pub(super) async fn prepare<'a>(common: Common<'_>, cell: Cell<'a>, memory: &Memory) -> Ready<'a> {
    let filled = match grading::transform_vars(cell.case).await {
        Ok(vars) => fill_cell(&cell, &vars, memory, common.canary),
        Err(reason) => Err(reason),
    };
    let hash = hash_of(common, &cell, &filled);
    Ready { cell, hash, filled }
}

/// SHA-256 over what is asked and how it is graded. A reason that it cannot be filled is a part of it, so
/// that a row that tells it is taken over too.
fn hash_of(common: Common<'_>, cell: &Cell<'_>, filled: &Result<Filled, String>) -> String {
    let (case, subject) = (cell.case, cell.subject);
    let asked = match filled {
        Ok(filled) => match &filled.content {
            AskContent::Messages(messages) => json!(messages),
            AskContent::Version {
                hash,
                variables,
                messages,
                ..
            } if messages.is_empty() => json!([hash, variables]),
            AskContent::Version {
                hash,
                variables,
                messages,
                ..
            } => json!([hash, variables, messages]),
        },
        Err(reason) => json!({ "reason": reason }),
    };
    let judge = common.plan.judge.as_ref().map(|judge| &judge.hash);
    let settings = &common.plan.settings.judge;
    let mut parts = vec![
        json!([
            json!(cell.key()),
            asked,
            json!(subject.model),
            json!(subject.parameters)
        ]),
        json!([
            json!(subject.transform),
            json!(case.given_output),
            json!(case.options)
        ]),
        json!([
            json!(case.asserts),
            json!(case.threshold),
            json!(case.scoring)
        ]),
        json!([json!(judge), json!(settings)]),
    ];
    // What few cells have is left out elsewhere: a row that is kept is known by its name.
    let models = [&common.config.judge_model, &common.config.embedding_model];
    if models.iter().any(|model| model.is_some()) {
        parts.push(json!(models));
    }
    parts.extend(case.metadata.get(trajectory::SESSION).cloned());
    digest(&parts)
}

impl Ready<'_> {
    /// Asks and grades, and returns what was graded too, when something was. The row is not kept yet.
    pub(super) async fn carry_out<G: Gateway>(
        self,
        common: Common<'_>,
        gateway: &G,
        at: Timestamp,
    ) -> (Row, Option<Arc<Work>>) {
        let mut row = Row {
            version: 1,
            run: common.run,
            cell: self.cell.key(),
            cell_hash: self.hash,
            at,
            vars: self.cell.case.vars.clone(),
            sent: Vec::new(),
            answer: None,
            error: None,
            grade: unjudged(String::new()),
        };
        let filled = match self.filled {
            Ok(filled) => filled,
            Err(reason) => {
                row.grade = unjudged(reason.clone());
                row.error = Some(AskError {
                    code: "case_not_fillable".to_owned(),
                    message: reason,
                    call: None,
                    is_retryable: false,
                    retry_after_ms: None,
                });
                return (row, None);
            }
        };
        row.vars.clone_from(&filled.vars);
        let reply = match answered(common, &self.cell, &filled, gateway).await {
            Ok(reply) => reply,
            Err(error) => {
                row.grade = unjudged(error.to_string());
                row.error = Some(error);
                return (row, None);
            }
        };
        let mut work = work(common, &self.cell, filled, reply);
        if let Some(steps) = trajectory::of_session(common.ledger, &work).await {
            work.steps = steps;
        }
        row.sent.clone_from(&work.sent);
        match grading::transform(work).await {
            Ok(work) => {
                row.answer = Some(work.answer.clone());
                let work = Arc::new(work);
                let context = common.judging(gateway, &row.cell);
                row.grade = grading::grade(&work, &context).await;
                (row, Some(work))
            }
            Err((work, reason)) => {
                row.answer = Some(work.answer);
                row.grade = unjudged(format!("`transform`: {reason}"));
                (row, None)
            }
        }
    }
}

impl<'a> Common<'a> {
    /// Returns what judges need for a cell.
    pub(super) fn judging(self, gateway: &'a dyn Gateway, cell: &'a CellKey) -> JudgeContext<'a> {
        JudgeContext {
            gateway,
            run: self.run,
            cell: Some(cell),
            judge: self.plan.judge.as_ref(),
            default_model: self.config.judge_model.as_deref(),
            embedding_model: self.config.embedding_model.as_deref(),
            timeout: timeout_of(self.plan),
            salt: &self.plan.suite,
            steps: self.steps,
            allowed_webhooks: &self.config.webhooks,
        }
    }
}

/// Returns the answer: a given one, the prompt itself, or the model's.
async fn answered<G: Gateway>(
    common: Common<'_>,
    cell: &Cell<'_>,
    filled: &Filled,
    gateway: &G,
) -> Result<Reply, AskError> {
    if let Some(output) = &cell.case.given_output {
        let text = output
            .as_str()
            .map_or_else(|| output.to_string(), str::to_owned);
        return Ok(unasked(text, filled));
    }
    if cell.subject.model == ModelSource::Echo {
        let text = filled.prompt.clone().ok_or_else(|| AskError {
            code: "echo_of_version".to_owned(),
            message: "`echo` answers with texts of the suite; a prompt of the registry is rendered by the gateway".to_owned(),
            call: None,
            is_retryable: false,
            retry_after_ms: None,
        })?;
        return Ok(unasked(text, filled));
    }
    let ask = Ask {
        run: common.run,
        purpose: Purpose::Case,
        case: cell.case.id.0.clone(),
        cell: Some(cell.key()),
        judge_hash: None,
        content: filled.content.clone(),
        model: filled.model.clone(),
        parameters: parameters(cell),
        timeout: timeout_of(common.plan),
        is_timed: asserts_latency(cell.case),
    };
    gateway.ask(&ask).await
}

fn asserts_latency(case: &Case) -> bool {
    let mut assertions = case.asserts.iter().flat_map(AssertNode::assertions);
    assertions.any(|assertion| assertion.kind == AssertionKind::Latency)
}

/// The request parameters of a cell: what its case says wins over prompt and model.
fn parameters(cell: &Cell<'_>) -> Map<String, Value> {
    let mut parameters = cell.subject.parameters.clone();
    parameters.extend(cell.case.options.other.clone());
    parameters
}

fn unasked(text: String, filled: &Filled) -> Reply {
    let sent = match &filled.content {
        AskContent::Messages(messages) => messages.clone(),
        AskContent::Version { .. } => Vec::new(),
    };
    Reply {
        call: None,
        message: json!({"role": "assistant", "content": text}),
        text,
        finish_reason: None,
        log_probs: None,
        tokens: Value::Null,
        model_returned: None,
        usage: None,
        cost: Cost::default(),
        latency_us: 0,
        sent,
        cached_from: None,
    }
}

fn work(common: Common<'_>, cell: &Cell<'_>, filled: Filled, reply: Reply) -> Work {
    let output = match &cell.case.given_output {
        Some(output) => output.clone(),
        None => reply::output(&reply, &parameters(cell)),
    };
    let sent = match &filled.content {
        AskContent::Messages(messages) if reply.sent.is_empty() => messages.clone(),
        _ => reply.sent,
    };
    let planted = |canary: &&str| {
        sent.iter()
            .any(|message| message.to_string().contains(*canary))
    };
    let canary = Some(common.canary).filter(planted).map(str::to_owned);
    Work {
        steps: Ok(trajectory::of_message(&reply.message)),
        answer: Answer {
            call: reply.call,
            output,
            message: reply.message,
            finish_reason: reply.finish_reason,
            model_returned: reply.model_returned,
            usage: reply.usage,
            cost: reply.cost,
            latency_us: reply.latency_us,
            cached_from: reply.cached_from,
        },
        log_probs: reply.log_probs,
        case: cell.case.clone(),
        subject: graded_subject(cell),
        vars: filled.vars,
        prompt: filled.prompt.unwrap_or_else(|| as_text(&sent)),
        sent,
        canary,
        repeat: cell.repeat,
    }
}

/// The subject without the bundle, which no grader reads and which may be large.
fn graded_subject(cell: &Cell<'_>) -> crate::evals::plan::Subject {
    let mut subject = cell.subject.clone();
    if let SubjectPrompt::Version { bundle, .. } = &mut subject.prompt {
        *bundle = Value::Null;
    }
    subject
}

/// What was graded in a row that is known already; `None` when nothing could be.
pub(super) fn known_work(cell: &Cell<'_>, row: &Row) -> Option<Work> {
    let answer = row.answer.clone()?;
    if row.grade.assertions.is_empty() {
        return None;
    }
    Some(Work {
        steps: Ok(trajectory::of_message(&answer.message)),
        answer,
        log_probs: None,
        case: cell.case.clone(),
        subject: graded_subject(cell),
        vars: row.vars.clone(),
        prompt: as_text(&row.sent),
        sent: row.sent.clone(),
        canary: None,
        repeat: cell.repeat,
    })
}

/// Remembers what a row leaves to the cells behind it.
pub(super) fn remember(memory: &mut Memory, cell: &Cell<'_>, row: &Row) {
    let Some(answer) = &row.answer else { return };
    if let Some(name) = &cell.case.options.store_output_as {
        memory.stored.insert(name.clone(), answer.output.clone());
    }
    let is_of_user = |message: &&Value| message.get("role") == Some(&"user".into());
    let input = row.sent.iter().rev().find(is_of_user);
    let mut said = Map::new();
    said.insert("prompt".to_owned(), row.sent.clone().into());
    said.insert(
        "input".to_owned(),
        input
            .and_then(|message| message.get("content"))
            .cloned()
            .unwrap_or_default(),
    );
    said.insert("output".to_owned(), answer.output.clone());
    memory.said.push(said.into());
}
