//! Embedding texts under the name of a snapshot: `embed:docs@production` decides model, dimensions, task,
//! prefix, length and cut of the vectors, and the record says which version it was.

use crate::domain::{Caller, EmbeddingStamp};
use crate::embeddings::ask::shaping;
use crate::embeddings::name::{Selector, SnapshotName};
use crate::embeddings::snapshots::{Error, Snapshots, blocking, check_native};
use crate::embeddings::space::{Side, Space};
use crate::proxy::{Answer, Arrival, Failure, Under};
use crate::wire::json::{as_str, to_json};
use crate::wire::openai::{EmbeddingsRequest, VectorEncoding};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long what a name leads to is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// The most names that are remembered.
const REMEMBERED: usize = 1_000;

/// What a name leads to.
#[derive(Debug)]
pub(super) struct Named {
    space: Space,
    space_id: String,
    snapshot: String,
    dimensions: u32,
    label: Option<String>,
    since: Instant,
}

/// Why a call under a name has no answer.
#[derive(Debug)]
pub enum NamedFailure {
    /// It could not be begun.
    Early(Box<Error>),
    /// The call itself failed.
    Call(Box<Failure>),
}

/// Returns what stands behind `embed:` or `embed/`; `None` for every other model.
#[must_use]
pub fn embedding_name(model: &str) -> Option<&str> {
    model
        .strip_prefix("embed:")
        .or_else(|| model.strip_prefix("embed/"))
}

impl Snapshots {
    /// Embeds the texts of a request whose model is `embed:NAME`.
    ///
    /// # Errors
    ///
    /// When the name leads nowhere, the key does not allow it, or the request contradicts the space; then
    /// those of the call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the provider's work.
    pub async fn embed(
        self: &Arc<Self>,
        caller: &Caller,
        arrival: &Arrival,
        request: EmbeddingsRequest,
    ) -> Result<Answer, NamedFailure> {
        let early = |error: Error| NamedFailure::Early(Box::new(error));
        let name = embedding_name(&request.model).unwrap_or(&request.model);
        let name: SnapshotName = name.parse().map_err(|error| early(Error::Room(error)))?;
        let caller = allowed(caller, &request.model, &name).map_err(early)?;
        let named = self.named(&name).await.map_err(early)?;
        let (request, under) = named.lay_over(request).map_err(early)?;
        let answer = self.proxy.embed_under(&caller, arrival, request, under);
        answer.await.map_err(NamedFailure::Call)
    }

    async fn named(self: &Arc<Self>, name: &SnapshotName) -> Result<Arc<Named>, Error> {
        let key = name.to_string();
        if let Some(known) = self.names().get(&key).cloned()
            && known.since.elapsed() < BELIEVED
        {
            return Ok(known);
        }
        let (room, asked) = (Arc::clone(self), name.clone());
        let named = blocking(move || {
            let manifest = room.manifest_of(&asked)?;
            check_native(&manifest)?;
            let label = match &asked.selector {
                Some(Selector::Label(label)) => Some(label.clone()),
                Some(_) => None,
                None => {
                    let declared = room.declared.get();
                    let production = declared.label(&asked.collection, "production");
                    production.map(|_| "production".to_owned())
                }
            };
            Ok(Arc::new(Named {
                snapshot: manifest.name(),
                space_id: manifest.space_id.0,
                space: manifest.space,
                dimensions: manifest.dimensions,
                label,
                since: Instant::now(),
            }))
        });
        let named = named.await?;
        let mut names = self.names();
        if REMEMBERED <= names.len() {
            names.clear();
        }
        names.insert(key, Arc::clone(&named));
        Ok(named)
    }

    /// Returns the names that `embed:` knows: collections, and their labels.
    ///
    /// # Errors
    ///
    /// Those of the vault.
    pub fn embedding_names(&self) -> Result<Vec<String>, Error> {
        let declared = self.declared.get();
        let mut collections: Vec<String> = self
            .vault
            .list(None)?
            .into_iter()
            .map(|manifest| manifest.collection)
            .collect();
        collections.dedup();
        let names = collections.into_iter().flat_map(|collection| {
            let labels = declared.labels_of(&collection).into_iter();
            let labels: Vec<String> = labels
                .map(|label| format!("embed:{collection}@{label}"))
                .collect();
            std::iter::once(format!("embed:{collection}")).chain(labels)
        });
        Ok(names.collect())
    }
}

/// A key that is bound to models is bound to these names too, in whichever way they are written; who may
/// use the name need not be allowed the model behind it.
fn allowed(caller: &Caller, asked: &str, name: &SnapshotName) -> Result<Caller, Error> {
    let canonical = format!("embed:{name}");
    let bare = format!("embed:{}", name.collection);
    let names = [asked, &canonical, &bare];
    if !names.into_iter().any(|name| caller.may_use_model(name)) {
        let name = canonical;
        return Err(Error::Forbidden { name });
    }
    Ok(Caller {
        models: Vec::new(),
        ..caller.clone()
    })
}

impl Named {
    /// Makes the provider's request of the client's.
    fn lay_over(
        &self,
        mut request: EmbeddingsRequest,
    ) -> Result<(EmbeddingsRequest, Under), Error> {
        let asked = request.model.clone();
        let side = self.side(&request, &asked)?;
        let length = u64::from(self.dimensions);
        if let Some(wanted) = request.dimensions.filter(|wanted| *wanted != length) {
            return Err(Error::DimensionsConflict {
                name: asked,
                asked: wanted,
                has: length.to_string(),
            });
        }
        let encoding = match request.encoding_format.as_deref() {
            Some("base64") => VectorEncoding::Base64,
            _ => VectorEncoding::Float,
        };
        request.input = self.input(&request.input, side, &asked)?;
        request.object.set("input", request.input.clone());
        request.object.remove("input_type");
        if let Some(task) = &self.space.side(side).task {
            request.object.set("input_type", to_json(task));
        }
        request.object.remove("dimensions");
        request.dimensions = self.space.dimensions.map(u64::from);
        if let Some(dimensions) = self.space.dimensions {
            let number = Bytes::from(dimensions.to_string());
            request.object.set("dimensions", number);
        }
        request.model.clone_from(&self.space.model);
        let stamp = EmbeddingStamp {
            name: self.snapshot.clone(),
            label: self.label.clone(),
            space: self.space_id.clone(),
            side: side.as_str().to_owned(),
        };
        let under = Under {
            stamp,
            shaping: shaping(&self.space),
            encoding,
            model_asked: Some(asked),
        };
        Ok((request, under))
    }

    /// Which side the texts are on; where both are alike nobody need say.
    fn side(&self, request: &EmbeddingsRequest, asked: &str) -> Result<Side, Error> {
        let given = request.object.get_some("input_type");
        let said = given.map(|value| as_str(value).map(std::borrow::Cow::into_owned));
        match said.as_ref().map(|said| said.as_deref()) {
            Some(Some("query" | "search_query")) => Ok(Side::Query),
            Some(Some("document" | "search_document" | "passage")) => Ok(Side::Document),
            Some(_) => {
                let hint = "write `query` or `document` (or `search_query`, `search_document`)";
                Err(Error::invalid("input_type", "names no side", Some(hint)))
            }
            None if self.space.is_symmetric() => Ok(Side::Document),
            None => Err(Error::SideMissing {
                name: asked.to_owned(),
            }),
        }
    }

    /// The input with the side's prefix before every text; as it came where there is none.
    fn input(&self, input: &Bytes, side: Side, asked: &str) -> Result<Bytes, Error> {
        if self.space.side(side).prefix.is_empty() {
            return Ok(input.clone());
        }
        let tokens = || Error::TokensWithPrefix {
            name: asked.to_owned(),
        };
        let sent = |text: &str| Value::from(self.space.sent_text(side, text));
        let with_prefix = match serde_json::from_slice(input).unwrap_or_default() {
            Value::String(text) => sent(&text),
            Value::Array(texts) => {
                let texts = texts.iter().map(|text| text.as_str().map(sent));
                texts.collect::<Option<Vec<_>>>().ok_or_else(tokens)?.into()
            }
            _ => return Err(tokens()),
        };
        Ok(with_prefix.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Named, allowed};
    use crate::domain::Caller;
    use crate::embeddings::declared::read;
    use crate::wire::openai::EmbeddingsRequest;
    use bytes::Bytes;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    fn named(space: &Value) -> Named {
        let declared = read(&json!({"spaces": {"s": space}})).unwrap();
        let space = declared.spaces["s"].clone();
        Named {
            space_id: space.id().0,
            space,
            snapshot: "docs@2".to_owned(),
            dimensions: 256,
            label: Some("production".to_owned()),
            since: Instant::now(),
        }
    }

    fn request(more: &Value) -> EmbeddingsRequest {
        let mut body = json!({"model": "embed:docs@production", "input": ["a", "b"], "user": "u"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        EmbeddingsRequest::decode(&Bytes::from(body.to_string())).unwrap()
    }

    #[test]
    fn the_space_decides_what_the_provider_gets() {
        let named = named(&json!({
            "model": "openai/m", "dimensions": 512, "truncate": 256, "normalise": true,
            "query": {"prefix": "query: ", "task": "search_query"}, "document": {"prefix": "passage: "},
        }));
        let (sent, under) = named
            .lay_over(request(
                &json!({"input_type": "query", "encoding_format": "base64", "dimensions": 256}),
            ))
            .unwrap();
        let body: Value = serde_json::from_slice(&sent.object.to_bytes()).unwrap();
        assert_eq!(body["input"], json!(["query: a", "query: b"]));
        assert_eq!(
            (&body["input_type"], &body["dimensions"]),
            (&json!("search_query"), &json!(512))
        );
        assert_eq!(
            (body["user"].as_str(), sent.model.as_str()),
            (Some("u"), "openai/m")
        );
        assert_eq!(
            (under.stamp.name.as_str(), under.stamp.side.as_str()),
            ("docs@2", "query")
        );
        assert_eq!(under.shaping.truncated_to, Some(256));
        let (sent, _) = named
            .lay_over(request(
                &json!({"input_type": "search_document", "input": "x"}),
            ))
            .unwrap();
        let body: Value = serde_json::from_slice(&sent.object.to_bytes()).unwrap();
        assert_eq!(
            (body["input"].as_str(), body.get("input_type")),
            (Some("passage: x"), None)
        );
    }

    #[test]
    fn what_contradicts_the_space_is_refused() {
        let sided = named(&json!({"model": "openai/m", "query": {"prefix": "query: "}}));
        for (more, kind) in [
            (json!({}), "embedding_side_missing"),
            (json!({"input_type": "both"}), "invalid_request"),
            (
                json!({"input_type": "query", "input": [1, 2]}),
                "invalid_request",
            ),
            (
                json!({"input_type": "query", "dimensions": 512}),
                "embedding_dimensions_conflict",
            ),
        ] {
            let error = sided.lay_over(request(&more)).unwrap_err();
            assert_eq!(error.kind(), kind, "{more}: {error}");
            assert!(error.hint().is_some(), "{error}");
        }
        let plain = named(&json!({"model": "openai/m"}));
        let (sent, under) = plain.lay_over(request(&json!({"input": [1, 2]}))).unwrap();
        assert_eq!(sent.input, "[1,2]");
        assert!(!under.shaping.changes());
    }

    #[test]
    fn keys_are_bound_to_names() {
        let caller = |glob: &str| Caller {
            models: vec![glob.to_owned()],
            ..Caller::local()
        };
        let name = "docs@production".parse().unwrap();
        for (glob, is_allowed) in [
            ("embed:docs*", true),
            ("embed:*", true),
            ("embed:docs", true),
            ("embed:faq*", false),
            ("openai/*", false),
        ] {
            let allowed = allowed(&caller(glob), "embed/docs@production", &name);
            assert_eq!(allowed.is_ok(), is_allowed, "{glob}");
        }
    }
}
