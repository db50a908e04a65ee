//! Every path there is, in one place.

use crate::server::error::ApiError;
use crate::server::layers::Door;
use crate::server::routes::{
    adapters, audit, calls, canaries, chat, comparisons, drift, embeddings, evals, health, history,
    indexes, keys, messages, migrations, models, porting, prompts, raw, releases, responses,
    schedules, snapshots, sync, usage,
};
use crate::server::{AdminState, CallState, DataState, layers};
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, delete, get, post, put};
use http::StatusCode;
use std::sync::Arc;

/// The data plane: what applications call.
pub fn data(state: DataState) -> Router {
    // Nothing behind it is reached without a caller and a place. Outside of it are the probes, which
    // answer under load.
    let door = Arc::new(Door {
        keys: Arc::clone(&state.keys),
        places: Arc::clone(&state.places),
    });
    let calls = Router::new()
        .merge(paid_calls(&state))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        .route("/v1/prompts", get(prompts::list))
        .route("/v1/prompts/{*name}", get(prompts::show).post(prompts::act))
        .layer(from_fn_with_state(Arc::clone(&door), layers::admit));
    let raw = Router::new()
        .route("/{provider}/{*rest}", any(raw::of_provider))
        .layer(from_fn_with_state(door, layers::admit))
        .layer(from_fn_with_state(
            Arc::clone(&state.proxy),
            layers::to_provider,
        ));
    let router = Router::new()
        .merge(probes().layer(from_fn(layers::identify)))
        .merge(calls)
        .merge(raw);
    with_fallbacks(router).with_state(state)
}

/// The calls that cost money, with no more state than they use: it is cloned for each.
fn paid_calls(state: &DataState) -> Router<DataState> {
    let raw = raw::OPENAI_PATHS.into_iter();
    let raw = raw.fold(Router::new(), |router, path| {
        router.route(path, any(raw::of_openai))
    });
    Router::new()
        .merge(raw)
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/responses", post(responses::create))
        .route(
            "/v1/responses/{id}",
            get(responses::show).delete(responses::delete),
        )
        .route(
            "/v1/responses/{id}/input_items",
            get(responses::input_items),
        )
        .route("/v1/messages", post(messages::create))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
        .route("/v1/embeddings", post(embeddings::create))
        .with_state(CallState {
            proxy: Arc::clone(&state.proxy),
            embeddings: Arc::clone(&state.embeddings),
            body_limits: state.body_limits,
        })
}

/// Answers what no route of `router` does.
fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(not_found.layer(from_fn(layers::identify)))
        .method_not_allowed_fallback(wrong_method.layer(from_fn(layers::identify)))
}

/// The admin plane: records and keys, behind a token of its own.
pub fn admin(state: AdminState) -> Router {
    let api = Router::new()
        .route("/calls", get(calls::list))
        .route("/calls/stats", get(calls::stats))
        .route("/calls/tail", get(calls::tail))
        .route("/calls/{id}", get(calls::show))
        .route("/calls/{id}/explanation", get(usage::explain))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/prompts/log", get(history::log))
        .route("/prompts/blame", get(history::blame))
        .route("/prompts/releases", get(releases::list))
        .route("/prompts/drift", get(releases::drift))
        .route(
            "/prompts/overrides",
            get(releases::overrides)
                .post(releases::set)
                .delete(releases::remove),
        )
        .route("/audit", get(audit::list))
        .route("/prompts/sync", get(sync::status).post(sync::now))
        .route("/prompts/usage", get(usage::usage))
        .route("/evals/runs", get(evals::list).post(evals::begin))
        .route("/evals/runs/{id}", get(evals::show).delete(evals::cancel))
        .route("/evals/runs/{id}/report", get(evals::report))
        .route("/evals/runs/{id}/rows", get(evals::rows))
        .route("/evals/schedules", get(schedules::list))
        .nest("/embeddings", embeddings_api())
        .route("/store/gaps", get(calls::gaps))
        .route("/store/rebuild", post(calls::rebuild))
        .layer(from_fn_with_state(
            state.token.clone(),
            layers::require_admin,
        ))
        // Outside of the token: these prove themselves by their signatures.
        .route("/prompts/webhook", post(sync::webhook))
        .route("/prompts/bundle", put(sync::bundle));
    let router = Router::new()
        .nest("/api", api)
        .route("/metrics", get(health::metrics))
        .merge(probes())
        .layer(from_fn(layers::identify));
    with_fallbacks(router).with_state(state)
}

/// What is done with snapshots of embeddings.
fn embeddings_api() -> Router<AdminState> {
    Router::new()
        .route("/snapshots", get(snapshots::list))
        .route("/snapshots/{*name}", get(snapshots::show))
        .route("/drafts", post(snapshots::begin))
        .route("/drafts/{id}", delete(snapshots::discard))
        .route("/drafts/{id}/items", post(snapshots::append))
        .route("/drafts/{id}/run", post(snapshots::run))
        .route("/imports", post(porting::begin))
        .route("/imports/{id}/rows", post(porting::append))
        .route("/imports/{id}/seal", post(porting::seal))
        .route("/exports", post(porting::export))
        .route("/resumable", get(snapshots::resumable))
        .route("/noise", post(snapshots::noise))
        .route("/diff", get(snapshots::diff))
        .route("/verify", post(snapshots::verify))
        .route("/items", delete(snapshots::delete_item))
        .route("/gc", post(snapshots::collect_garbage))
        .route("/search", post(snapshots::search))
        .route("/indexes", post(indexes::build).delete(indexes::remove))
        .route("/rebuild", post(indexes::rebuild))
        .route("/alike", post(snapshots::alike))
        .route("/compare", post(comparisons::create))
        .route("/declared", get(snapshots::declared))
        .route("/drift", get(drift::list).post(drift::start))
        .route("/drift/{name}", get(drift::status).delete(drift::stop))
        .route("/drift/{name}/run", post(drift::run))
        .route("/drift/{name}/accept", post(drift::accept))
        .route("/migrations", get(migrations::list).post(migrations::start))
        .route("/migrations/status", get(migrations::status))
        .route("/migrations/steps", post(migrations::step))
        .route("/migrations/follow", post(migrations::follow))
        .route("/plan", post(adapters::plan))
        .route("/adapters", get(adapters::list).post(adapters::fit))
        .route(
            "/adapters/{id}",
            get(adapters::show).delete(adapters::remove),
        )
        .route("/adapters/{id}/eval", post(adapters::eval))
        .route("/adapters/{id}/apply", post(adapters::apply))
        .route("/documents-drift", post(drift::documents))
        .route("/canaries", get(canaries::list).post(canaries::start))
        .route(
            "/canaries/{name}",
            get(canaries::status).delete(canaries::stop),
        )
        .route("/canaries/{name}/check", post(canaries::check))
        .route("/canaries/{name}/accept", post(canaries::accept))
}

fn probes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    crate::server::Readiness: axum::extract::FromRef<S>,
{
    Router::new()
        .route("/health/live", get(health::live))
        .route("/healthz", get(health::live))
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/readyz", get(health::ready))
        .route("/ready", get(health::ready))
}

async fn not_found(request: Request) -> ApiError {
    no_route(&request)
}

/// 404 for a path that leads nowhere.
pub(crate) fn no_route(request: &Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::not_found(
        "not_found",
        format!("there is no route `{} {path}`", request.method()),
        Some(
            "applications call /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models or /v1/prompts",
        ),
    )
}

async fn wrong_method(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::of_request(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("`{path}` does not take {}", request.method()),
        None,
    )
}
