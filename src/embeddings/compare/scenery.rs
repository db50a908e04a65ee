//! What is shown beside the figures.
use super::evidence::{Context, Evidence};
use super::change::Changes;
use super::gather::Progress;
use super::labels::Labels;
use super::report::{ClusterChange, Density, Figure, Projection, ScorePair};
use crate::embeddings::Error;
#[derive(Default)]
pub(super) struct Scenery {
    pub(super) figures: Vec<Figure>,
    pub(super) scatter: Vec<ScorePair>,
    pub(super) scatter_line: Vec<(f64, f64)>,
    pub(super) densities: Vec<Density>,
    pub(super) clusters: Vec<ClusterChange>,
    pub(super) projection: Projection,
    pub(super) notes: Vec<String>,
}
impl Scenery {
    pub(super) fn new(
        _context: &Context<'_>,
        _evidence: &Evidence,
        _items: &Changes,
        _labels: &Labels,
        _progress: &mut Progress<'_>,
    ) -> Result<Self, Error> {
        Ok(Self::default())
    }
}
