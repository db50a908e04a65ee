//! `/api/keys`: makes, lists and revokes keys. The secret is shown once, at creation.

use crate::access::{KeyEntry, KeyRing};
use crate::domain::{KeyId, Timestamp};
use crate::server::AdminState;
use crate::server::error::ApiError;
use crate::store::StoredKey;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a new key is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    name: String,
    #[serde(default)]
    prompts: Vec<String>,
    #[serde(default)]
    models: Vec<String>,
    default_label: Option<String>,
    /// Days until it expires.
    expires_in_days: Option<u32>,
}

/// Makes a key.
pub(crate) async fn create(
    State(state): State<AdminState>,
    body: Result<Json<NewKey>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(new) = body.map_err(|rejection| bad_request(&rejection.body_text()))?;
    if new.name.trim().is_empty() || 100 < new.name.len() {
        return Err(bad_request("a key needs a name of 1 to 100 characters"));
    }
    let now = state.clock.now();
    let (secret, minted) = crate::access::mint();
    let key = StoredKey {
        id: minted.id,
        name: new.name,
        secret_hash: minted.secret_hash,
        prompts: new.prompts,
        models: new.models,
        default_label: new.default_label,
        created: now,
        expires: new.expires_in_days.map(|days| in_days(now, days)),
        revoked: None,
    };
    put(&state, key.clone()).await?;
    let mut shown = describe(&key);
    if let Value::Object(fields) = &mut shown {
        fields.insert("secret".to_owned(), secret.reveal().into());
    }
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Lists the keys, without their secrets.
pub(crate) async fn list(State(state): State<AdminState>) -> Result<Json<Value>, ApiError> {
    let keys = state.store.keys()?;
    let data: Vec<Value> = keys.iter().map(describe).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// Revokes a key, from the next request on.
pub(crate) async fn revoke(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let keys = state.store.keys()?;
    let found = keys
        .into_iter()
        .find(|key| key.id.0 == id || key.name == id);
    let mut key = found.ok_or_else(|| {
        let hint = Some("`promptgate keys list` shows them");
        ApiError::not_found("key_not_found", format!("there is no key `{id}`"), hint)
    })?;
    if key.revoked.is_none() {
        key.revoked = Some(state.clock.now());
        put(&state, key.clone()).await?;
    }
    Ok(Json(describe(&key)))
}

/// Stores the key durably, then lets it count.
async fn put(state: &AdminState, key: StoredKey) -> Result<(), ApiError> {
    let store = std::sync::Arc::clone(&state.store);
    let stored =
        tokio::task::spawn_blocking(move || store.put_key(&key).and_then(|()| store.keys())).await;
    let keys = stored.map_err(|error| ApiError::internal(&error))??;
    load(&state.keys, keys);
    Ok(())
}

/// Puts the stored keys on the ring.
pub fn load(ring: &KeyRing, keys: Vec<StoredKey>) {
    let entries = keys.into_iter().map(|key| KeyEntry {
        id: key.id,
        name: key.name,
        secret_hash: key.secret_hash,
        prompts: key.prompts,
        models: key.models,
        default_label: key.default_label,
        expires: key.expires,
        revoked: key.revoked,
    });
    ring.replace(entries.collect());
}

fn describe(key: &StoredKey) -> Value {
    let KeyId(id) = &key.id;
    json!({
        "id": id,
        "name": key.name,
        "prompts": key.prompts,
        "models": key.models,
        "default_label": key.default_label,
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
    })
}

fn in_days(now: Timestamp, days: u32) -> Timestamp {
    Timestamp(now.0.saturating_add(i64::from(days) * 86_400_000_000))
}

fn bad_request(problem: &str) -> ApiError {
    ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_request", problem, None)
}
