//! What there is to be called, and what is known of it, before it has a form.

use crate::domain::{Caller, PromptKey, PromptReference, Selector};
use crate::metering::{PriceRow, Retirement};
use crate::prompts::ResolvedPrompt;
use crate::proxy::Upstreams;
use crate::server::Catalogue;
use crate::server::error::ApiError;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who owns what is our own.
const OWN: &str = "promptgate";

const SIMULATED: &str = "simulated/echo";

/// Something that can stand in `model`.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) owner: String,
    /// The version that is served, where it is a prompt.
    pub(super) prompt: Option<Pinned>,
    /// What the price table says of the model, which for a prompt is the one it is pinned to.
    pub(super) row: Option<Arc<PriceRow>>,
    /// When that model is turned off.
    pub(super) retirement: Option<Retirement>,
}

/// A version of a prompt.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) description: Option<String>,
    /// The model as the prompt names it.
    pub(super) model: Option<String>,
    /// `v7`, else the hash.
    pub(super) version: String,
    pub(super) hash: String,
    pub(super) label: Option<String>,
}

/// Returns all that `caller` may use.
pub(super) async fn all(catalogue: &Catalogue, caller: &Caller) -> Vec<Listed> {
    let mut found = Vec::new();
    let snapshot = catalogue.prompts.snapshot();
    let keys = snapshot.iter().map(|(key, _)| key);
    for key in keys.filter(|key| caller.may_use_prompt(key)) {
        found.push(prompt_by_key(catalogue, caller, key).await);
    }
    let embeddings = embeddings(catalogue).await.into_iter().map(own);
    found.extend(embeddings.filter(|listed| may_use(caller, &listed.id)));
    let upstreams = catalogue.upstreams.get();
    for provider in upstreams.providers.names() {
        let models = models(&upstreams, provider).into_iter();
        let models = models.map(|name| model(catalogue, &upstreams, (provider, &name)));
        found.extend(models.filter(|listed| may_use(caller, &listed.id)));
    }
    if may_use(caller, SIMULATED) {
        found.push(simulated(catalogue, &upstreams));
    }
    found
}

/// Returns what `id` names: as it is listed, or a version of a prompt (`prompt:NAME@SELECTOR`), or a model under any
/// name under which a call would find it and the price table knows it.
///
/// # Errors
///
/// 404 when there is no such thing for `caller`, and why a version cannot be served.
pub(super) async fn one(
    catalogue: &Catalogue,
    caller: &Caller,
    id: &str,
) -> Result<Listed, ApiError> {
    if let Some(name) = id.strip_prefix("prompt:") {
        let reference: PromptReference = name.parse().map_err(crate::prompts::Error::from)?;
        let resolved = catalogue.prompts.resolve(&reference, caller).await?;
        return Ok(prompt(catalogue, id.to_owned(), &resolved));
    }
    let upstreams = catalogue.upstreams.get();
    if may_use(caller, id) {
        if id == SIMULATED {
            return Ok(simulated(catalogue, &upstreams));
        }
        if embeddings(catalogue).await.iter().any(|name| name == id) {
            return Ok(own(id.to_owned()));
        }
        let owner = upstreams.routes.owner(id);
        if let Some((provider, name)) = owner
            && upstreams.providers.get(provider).is_some()
        {
            let listed = model(catalogue, &upstreams, (provider, name));
            if listed.row.is_some() {
                return Ok(listed);
            }
        }
    }
    Err(ApiError::not_found(
        "model_not_found",
        format!("model `{id}` is not listed here"),
        Some("GET /v1/models lists what there is"),
    ))
}

fn may_use(caller: &Caller, id: &str) -> bool {
    let bare = id.split_once('/').map(|(_, bare)| bare);
    caller.may_use_model(id) || bare.is_some_and(|bare| caller.may_use_model(bare))
}

async fn prompt_by_key(catalogue: &Catalogue, caller: &Caller, key: &PromptKey) -> Listed {
    let id = format!("prompt:{key}");
    let reference = PromptReference {
        key: key.clone(),
        selector: Selector::Default,
    };
    match catalogue.prompts.resolve(&reference, caller).await {
        Ok(resolved) => prompt(catalogue, id, &resolved),
        // Without a version for its default label it is there, and can be asked for by another one.
        Err(_) => own(id),
    }
}

fn prompt(catalogue: &Catalogue, id: String, resolved: &ResolvedPrompt) -> Listed {
    let (bundle, stamp) = (&resolved.bundle, &resolved.stamp);
    let upstreams = catalogue.upstreams.get();
    let pinned = bundle.model().and_then(|name| {
        let owner = upstreams.routes.owner(name)?;
        Some(model(catalogue, &upstreams, owner))
    });
    let (row, retirement) = pinned.map_or((None, None), |it| (it.row, it.retirement));
    Listed {
        prompt: Some(Pinned {
            description: bundle.description().map(str::to_owned),
            model: bundle.model().map(str::to_owned),
            version: stamp.version(),
            hash: stamp.hash.to_string(),
            label: stamp.label.clone(),
        }),
        row,
        retirement,
        ..own(id)
    }
}

/// Something of ours of which the price table knows nothing.
fn own(id: String) -> Listed {
    Listed {
        id,
        owner: OWN.to_owned(),
        prompt: None,
        row: None,
        retirement: None,
    }
}

/// A provider's model.
fn model(catalogue: &Catalogue, upstreams: &Upstreams, (provider, name): (&str, &str)) -> Listed {
    let now = catalogue.clock.now();
    Listed {
        id: format!("{provider}/{name}"),
        owner: provider.to_owned(),
        prompt: None,
        row: upstreams.row(provider, name, now),
        retirement: upstreams.retires(provider, name, now),
    }
}

/// The model that is always there.
fn simulated(catalogue: &Catalogue, upstreams: &Upstreams) -> Listed {
    Listed {
        owner: OWN.to_owned(),
        ..model(catalogue, upstreams, ("simulated", "echo"))
    }
}

/// The names of a provider's models that have a price: in the list of its kind, and in its own.
fn models(upstreams: &Upstreams, provider: &str) -> BTreeSet<String> {
    let lists = upstreams.price_lists.get(provider);
    let kind = lists.map_or(provider, |lists| lists.kind());
    let rows = [kind, provider].map(|list| upstreams.prices.models(list));
    let names = rows.into_iter().flatten().map(|row| row.model.clone());
    names.collect()
}

/// The names under which snapshots can embed; none when they cannot be listed.
async fn embeddings(catalogue: &Catalogue) -> Vec<String> {
    let room = Arc::clone(&catalogue.embeddings);
    let names = tokio::task::spawn_blocking(move || room.embedding_names()).await;
    match names {
        Ok(Ok(names)) => names,
        Ok(Err(error)) => {
            tracing::error!(%error, "versions of embeddings cannot be listed");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
