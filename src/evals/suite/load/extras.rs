//! `pack` and `output_shift` of `metadata.promptgate`: what says something about a suite beside its cases.

use crate::evals::suite::load::fields::Fields;
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::reading::Loader;
use crate::evals::suite::{OutputShiftWish, Pack};

impl Loader<'_> {
    /// What a pack is called, which of it this is, and by which list it is mapped.
    pub(super) fn pack(&self, node: &Node) -> Option<Pack> {
        let fields = self.fields(node, "`pack`", &["name", "version", "taxonomy"])?;
        let (Some(name), Some(version)) = (
            self.text_at(&fields, "name"),
            self.text_at(&fields, "version"),
        ) else {
            let hint = "write `{name: injection, version: \"1.0.0\"}`";
            self.wrong(node, "`pack` wants `name` and `version`", hint);
            return None;
        };
        let taxonomy = self.text_at(&fields, "taxonomy");
        Some(Pack {
            name,
            version,
            taxonomy,
        })
    }

    /// Reads whether outputs are embedded: `true`, or with which model.
    pub(super) fn output_shift(&self, fields: &Fields<'_>) -> Option<OutputShiftWish> {
        let node = fields.get("output_shift")?;
        if !matches!(node.content, Content::Map(_)) {
            let is_wanted = self.bool_at(fields, "output_shift")?;
            return is_wanted.then(OutputShiftWish::default);
        }
        let own = self.fields(node, "`output_shift`", &["model"])?;
        Some(OutputShiftWish {
            model: self.text_at(&own, "model"),
        })
    }
}
