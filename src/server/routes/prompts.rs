//! `GET /v1/prompts`, `GET /v1/prompts/{name}`, `POST /v1/prompts/{name}/render` and
//! `/completions`.

use crate::domain::{Caller, PromptKey, PromptReference, Selector};
use crate::prompts::{Bundle, Prompts, ResolvedPrompt};
use crate::proxy::{self, Proxy};
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::layers::{Authenticated, RequestId};
use crate::server::routes::chat;
use crate::wire::openai::ChatRequest;
use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which version is meant, beside a name in the path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// A selector, `latest` or `sha-…`; `version` is understood too.
    #[serde(alias = "version")]
    sel: Option<String>,
}

/// Lists the prompts the caller may use.
pub(crate) async fn list(
    State(prompts): State<Arc<Prompts>>,
    Authenticated(caller): Authenticated,
) -> Json<Value> {
    let snapshot = prompts.snapshot();
    let visible = snapshot
        .iter()
        .filter(|(key, _)| caller.may_use_prompt(key));
    let data: Vec<Value> = visible
        .map(|(key, prompt)| {
            json!({
                "name": key,
                "object": "prompt",
                "hash": prompt.bundle.hash(),
                "version": snapshot.number(key).map(|number| format!("v{number}")),
                "dirty": snapshot.is_dirty(key),
                "model": prompt.bundle.model(),
                "description": prompt.bundle.description(),
                "variables": variables(&prompt.bundle),
            })
        })
        .collect();
    Json(json!({"object": "list", "commit": snapshot.commit(), "data": data}))
}

/// Shows one prompt: its template, schema, config and version.
pub(crate) async fn show(
    State(prompts): State<Arc<Prompts>>,
    Authenticated(caller): Authenticated,
    Path(path): Path<String>,
    Query(selection): Query<Selection>,
) -> Result<Json<Value>, ApiError> {
    let reference = reference(&path, selection)?;
    let resolved = prompts.resolve(&reference, &caller).await?;
    let labels = prompts.labels(&resolved.stamp.key);
    Ok(Json(describe(&resolved, &labels)))
}

/// `POST /v1/prompts/NAME[@SELECTOR]/render` and `/completions`, which take the variables at the top of
/// the body: `{"variables": {…}, "messages": […]}`.
pub(crate) async fn act(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    Authenticated(caller): Authenticated,
    id: RequestId,
    (Path(path), Query(selection)): (Path<String>, Query<Selection>),
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    if let Some(name) = path.strip_suffix("/completions") {
        let reference = reference(name, selection)?;
        let body = body::read(body, limits).await?;
        let arrival = chat::arrival(id, &head.headers, &body);
        drop(head);
        let request = ChatRequest::decode_for_rendering(&body)?;
        let answer = proxy.complete_at(&caller, &arrival, request, Some(&reference));
        return Ok(chat::respond(answer.await?));
    }
    let name = path.strip_suffix("/render").ok_or_else(|| {
        let hint = "POST /v1/prompts/NAME/render renders a prompt, /completions asks a model too";
        ApiError::not_found("not_found", "there is no such route", Some(hint))
    })?;
    let reference = reference(name, selection)?;
    let body = body::read(body, limits).await?;
    render(&proxy, &caller, &reference, &body).await
}

/// Renders a prompt without asking a model.
async fn render(
    proxy: &Proxy,
    caller: &Caller,
    reference: &PromptReference,
    body: &Bytes,
) -> Result<Response, ApiError> {
    let rendered = proxy.render(caller, reference, body).await?;
    let proxy::Rendering {
        prompt,
        body,
        warnings,
    } = rendered;
    let request: Value =
        serde_json::from_slice(&body).map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({
        "object": "prompt.rendering",
        "prompt": prompt.key,
        "hash": prompt.hash,
        "version": prompt.version(),
        "dirty": prompt.dirty,
        "request": request,
        "warnings": warnings,
        // Where Portkey's clients look for it.
        "success": true,
        "data": request,
    }))
    .into_response())
}

fn reference(path: &str, selection: Selection) -> Result<PromptReference, ApiError> {
    let parsed = match selection.sel {
        None => path.parse(),
        Some(selector) => PromptKey::parse(path).and_then(|key| {
            let selector: Selector = selector.parse()?;
            Ok(PromptReference { key, selector })
        }),
    };
    parsed.map_err(|error| crate::prompts::Error::from(error).into())
}

fn describe(resolved: &ResolvedPrompt, labels: &BTreeMap<String, String>) -> Value {
    let bundle: &Bundle = &resolved.bundle;
    json!({
        "object": "prompt",
        "name": resolved.stamp.key,
        "hash": resolved.stamp.hash,
        "version": resolved.stamp.version(),
        "labels": labels,
        "commit": resolved.stamp.commit,
        "dirty": resolved.stamp.dirty,
        "description": bundle.description(),
        "model": bundle.model(),
        "config": bundle.config(),
        "input_schema": bundle.input_schema(),
        "variables": variables(bundle),
        "template": bundle.template(),
    })
}

/// The variables, with whether a call must give them.
fn variables(bundle: &Bundle) -> Value {
    let all = bundle.variables();
    all.iter()
        .map(|(name, is_required)| json!({"name": name, "required": is_required}))
        .collect()
}
