//! From what somebody says of a snapshot to the space and the pipeline it is made under.

use crate::embeddings::declared::{Declared, meant, too_short};
use crate::embeddings::pipeline::{Pipeline, PipelineWish};
use crate::embeddings::snapshots::Error;
use crate::embeddings::space::Space;
use crate::embeddings::vault::{Manifest, Precision};
use serde::{Deserialize, Serialize};

/// What is said of a snapshot that is to be.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotWish {
    /// The collection.
    pub collection: String,
    /// Its space.
    pub space: SpaceWish,
    /// A declared pipeline, by name.
    pub pipeline: Option<String>,
    /// A pipeline in place of a declared one.
    pub cut: Option<PipelineWish>,
    /// How exactly vectors are kept.
    pub precision: Precision,
    /// Whether only the hashes of texts are kept.
    pub hash_only: bool,
    /// The snapshot whose items are taken along: `docs@2`.
    pub onto: Option<String>,
    /// Where the texts come from, for people.
    pub source: Option<String>,
}

/// What is said of a space. What is left out comes from the collection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpaceWish {
    /// A declared space, by name; the rest must be left out then.
    pub name: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Its revision.
    pub revision: Option<String>,
    /// The `dimensions` parameter of requests.
    pub dimensions: Option<u32>,
    /// To how many dimensions vectors are cut here.
    pub truncate: Option<u32>,
    /// Whether vectors are brought to length 1 here.
    pub normalise: Option<bool>,
    /// What is written before queries.
    pub query_prefix: Option<String>,
    /// What is written before documents.
    pub document_prefix: Option<String>,
    /// The `input_type` of queries.
    pub query_task: Option<String>,
    /// The `input_type` of documents.
    pub document_task: Option<String>,
    /// Beyond how many tokens the model cuts a text.
    pub max_tokens: Option<u32>,
}

impl SpaceWish {
    /// Whether it says more than a name.
    fn has_settings(&self) -> bool {
        let named = Self {
            name: self.name.clone(),
            ..Self::default()
        };
        *self != named
    }

    /// Lays what is said over a space.
    fn over(&self, base: Space) -> Space {
        let mut space = base;
        if let Some(model) = &self.model {
            space.model.clone_from(model);
        }
        space.revision = self.revision.clone().or(space.revision);
        space.dimensions = self.dimensions.or(space.dimensions);
        space.truncated_to = self.truncate.or(space.truncated_to);
        space.normalised = self.normalise.unwrap_or(space.normalised);
        space.max_tokens = self.max_tokens.or(space.max_tokens);
        for (prefix, task, side) in [
            (&self.query_prefix, &self.query_task, &mut space.query),
            (
                &self.document_prefix,
                &self.document_task,
                &mut space.document,
            ),
        ] {
            if let Some(prefix) = prefix {
                side.prefix.clone_from(prefix);
            }
            side.task = task.clone().or(side.task.take());
        }
        space
    }
}

/// A space of a model and nothing else.
fn plain(model: &str) -> Space {
    Space {
        model: model.to_owned(),
        revision: None,
        dimensions: None,
        truncated_to: None,
        normalised: false,
        query: crate::embeddings::space::SideRule::default(),
        document: crate::embeddings::space::SideRule::default(),
        max_tokens: None,
        adapter: None,
    }
}

/// Returns the space that is wished for: a declared one by its name; that of a model; else what is
/// declared of the collection; else that of its newest snapshot.
///
/// # Errors
///
/// `NotDeclared`, `NoModel`, `Invalid`.
pub(crate) fn space(
    wish: &SnapshotWish,
    declared: &Declared,
    newest: Option<&Manifest>,
) -> Result<Space, Error> {
    let said = &wish.space;
    let of_collection = declared.collections.get(&wish.collection);
    let space = if let Some(name) = &said.name {
        if said.has_settings() {
            let problem =
                "is a space that embeddings.toml declares whole: nothing else can be said of it";
            let hint = "change it there, or name a model in its place";
            return Err(Error::invalid(name, problem, Some(hint)));
        }
        named_space(declared, name)?
    } else if let Some(model) = &said.model {
        said.over(plain(model))
    } else if let Some(name) = of_collection.and_then(|found| found.space.as_ref()) {
        said.over(named_space(declared, name)?)
    } else if let Some(newest) = newest.filter(|newest| newest.space.adapter.is_none()) {
        said.over(newest.space.clone())
    } else {
        let collection = wish.collection.clone();
        return Err(Error::NoModel { collection });
    };
    for (what, number) in [
        ("--dimensions", space.dimensions),
        ("--truncate", space.truncated_to),
    ] {
        if number == Some(0) {
            return Err(Error::invalid(what, "is 0", None));
        }
    }
    match too_short(&space) {
        Some(problem) => Err(Error::invalid("--truncate", problem, None)),
        None => Ok(space),
    }
}

fn named_space(declared: &Declared, name: &str) -> Result<Space, Error> {
    let found = declared.spaces.get(name);
    found.cloned().ok_or_else(|| Error::NotDeclared {
        kind: "space",
        name: name.to_owned(),
        hint: meant(name, declared.spaces.keys().map(String::as_str)),
    })
}

/// Returns the pipeline that is wished for, in the same order as [`space`].
///
/// # Errors
///
/// `NotDeclared`, `Invalid`.
pub(crate) fn pipeline(
    wish: &SnapshotWish,
    declared: &Declared,
    newest: Option<&Manifest>,
) -> Result<Pipeline, Error> {
    let named = |name: &String| {
        let found = declared.pipelines.get(name);
        found.cloned().ok_or_else(|| Error::NotDeclared {
            kind: "pipeline",
            name: name.clone(),
            hint: meant(name, declared.pipelines.keys().map(String::as_str)),
        })
    };
    match (&wish.pipeline, &wish.cut) {
        (Some(_), Some(_)) => {
            let hint = "name a pipeline, or say how it cuts";
            Err(Error::invalid(
                "--pipeline",
                "is said beside `--chunker`",
                Some(hint),
            ))
        }
        (Some(name), None) => named(name),
        (None, Some(cut)) => cut
            .pipeline()
            .map_err(|(setting, problem)| Error::invalid(&format!("--{setting}"), problem, None)),
        (None, None) => {
            let of_collection = declared.collections.get(&wish.collection);
            if let Some(name) = of_collection.and_then(|found| found.pipeline.as_ref()) {
                return named(name);
            }
            let before = newest.map(|newest| serde_json::from_value(newest.pipeline.clone()));
            Ok(before.and_then(Result::ok).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SnapshotWish, SpaceWish, pipeline, space};
    use crate::embeddings::declared::{Declared, read};
    use crate::embeddings::pipeline::{Chunker, PipelineWish};
    use serde_json::json;

    fn declared() -> Declared {
        let declared = read(&json!({
            "spaces": {"small": {"model": "openai/s", "dimensions": 512}},
            "pipelines": {"p": {"chunker": "words", "size": 9}},
            "collections": {"docs": {"space": "small", "pipeline": "p"}},
        }));
        declared.unwrap()
    }

    fn wish(space: SpaceWish) -> SnapshotWish {
        SnapshotWish {
            collection: "docs".to_owned(),
            space,
            ..SnapshotWish::default()
        }
    }

    #[test]
    fn a_space_that_is_said_wins_over_the_collection() {
        let declared = declared();
        let of = |said| space(&wish(said), &declared, None);
        assert_eq!(of(SpaceWish::default()).unwrap().dimensions, Some(512));
        let smaller = SpaceWish {
            truncate: Some(256),
            ..SpaceWish::default()
        };
        let found = of(smaller).unwrap();
        assert_eq!(
            (found.dimensions, found.truncated_to),
            (Some(512), Some(256))
        );
        let other = SpaceWish {
            model: Some("openai/l".to_owned()),
            ..SpaceWish::default()
        };
        assert_eq!(of(other.clone()).unwrap().dimensions, None);
        let both = SpaceWish {
            name: Some("small".to_owned()),
            ..other
        };
        assert_eq!(of(both).unwrap_err().kind(), "invalid_request");
        let unknown = SpaceWish {
            name: Some("smal".to_owned()),
            ..SpaceWish::default()
        };
        let error = of(unknown).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `small`?"));
        let too_long = SpaceWish {
            truncate: Some(1024),
            ..SpaceWish::default()
        };
        assert!(of(too_long).is_err());
    }

    #[test]
    fn a_pipeline_that_is_said_wins_over_the_collection() {
        let declared = declared();
        let cut = pipeline(&wish(SpaceWish::default()), &declared, None).unwrap();
        assert_eq!((cut.chunker, cut.size), (Chunker::Words, 9));
        let said = SnapshotWish {
            cut: Some(PipelineWish {
                chunker: Chunker::Sentences,
                ..PipelineWish::default()
            }),
            ..wish(SpaceWish::default())
        };
        assert_eq!(pipeline(&said, &declared, None).unwrap().size, 5);
        let nowhere = SnapshotWish {
            collection: "other".to_owned(),
            ..SnapshotWish::default()
        };
        assert_eq!(
            space(&nowhere, &declared, None).unwrap_err().kind(),
            "missing_model"
        );
    }
}
