//! Long work in the background that somebody follows; it stops when nobody does any more.

use crate::embeddings;
use crate::embeddings::compare::{CompareError, Step};
use crate::embeddings::snapshots::{Error, Snapshots};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Work under way.
#[derive(Debug)]
pub struct Following<T> {
    /// How far it is; when nobody holds it any more, the work stops.
    pub progress: watch::Receiver<Step>,
    /// What came of it, once it has ended.
    pub end: Arc<OnceLock<Result<T, Error>>>,
}

impl Snapshots {
    /// Begins work, which tells by the sender how far it is.
    pub(super) fn follow<T, W>(
        &self,
        begin: Step,
        work: impl FnOnce(watch::Sender<Step>) -> W,
    ) -> Following<T>
    where
        T: Send + Sync + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (sender, progress) = watch::channel(begin);
        let end = Arc::new(OnceLock::new());
        let told = Arc::clone(&end);
        // Who follows looks for the end when the progress is closed: it must be there by then.
        let open = sender.clone();
        let work = Box::pin(work(sender));
        let task = async move {
            let made = work.await;
            // Nobody else sets it.
            let _ = told.set(made);
            drop(open);
        };
        let recorder = &self.proxy.recorder;
        recorder.tasks.spawn_on(task, &recorder.runtime);
        Following { progress, end }
    }
}

/// Tells a step, and whether anybody still waits.
pub(super) fn tell(sender: &watch::Sender<Step>, step: Step) -> ControlFlow<()> {
    sender.send_replace(step);
    if sender.is_closed() {
        return ControlFlow::Break(());
    }
    ControlFlow::Continue(())
}

/// Why work ends that nobody follows.
pub(super) fn stopped() -> Error {
    embeddings::Error::from(CompareError::Stopped).into()
}
