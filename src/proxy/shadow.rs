//! Runs in the shadow of a call: another version answers the same request once the client has its
//! answer. Nobody gets that answer but the record, which names the call it belongs to.
//!
//! What waits is bounded in bytes. A shadow that finds no room is left out and counted: a shadow is a
//! sample, and no call may wait for one.

use crate::domain::{Arm, ArmReason, CallId, Caller, ReleaseDecision};
use crate::prompts::ResolvedPrompt;
use crate::proxy::call::{self, Arrival};
use crate::proxy::naming::PromptHeaders;
use crate::proxy::{Error, Proxy};
use crate::wire::openai::ChatRequest;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bytes of requests that wait or run, in KiB.
const ROOM_KIB: u32 = 16 * 1024;
/// Shadows that run at the same time.
const RUNNING: usize = 8;

/// The room for shadows.
#[derive(Debug)]
pub struct Shadows {
    room: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Shadows {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(usize::try_from(ROOM_KIB).unwrap_or(0))),
            running: Arc::new(Semaphore::new(RUNNING)),
        }
    }
}

/// What runs when an answer is delivered. Dropped before that, it runs nothing: a client that leaves
/// stops the cost.
#[derive(Debug)]
pub struct AfterAnswer(Box<Job>);

impl AfterAnswer {
    /// Begins the run in the background.
    pub fn delivered(self) {
        let Self(job) = self;
        let proxy = Arc::clone(&job.proxy);
        let Some(place) = proxy.shadows.place(job.arrival.body.len()) else {
            proxy.recorder.telemetry.shadow_left_out(job.shadow_of);
            return;
        };
        let tasks = &proxy.recorder.tasks;
        let runtime = proxy.recorder.runtime.clone();
        tasks.spawn_on(Arc::clone(&proxy).run(job, place), &runtime);
    }
}

/// A run in the shadow of a call.
#[derive(Debug)]
pub(crate) struct Job {
    proxy: Arc<Proxy>,
    caller: Caller,
    request: ChatRequest,
    arrival: Arrival,
    prompt: ResolvedPrompt,
    label: String,
    shadow_of: CallId,
}

impl Shadows {
    fn place(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes / 1024).ok()?.checked_add(1)?;
        Arc::clone(&self.room).try_acquire_many_owned(kib).ok()
    }
}

/// What a call leaves to its shadow. Taken before the request is used up.
pub(crate) fn prepare(
    proxy: &Arc<Proxy>,
    (caller, arrival): (&Caller, &Arrival),
    request: &ChatRequest,
    (prompt, label): (ResolvedPrompt, &str),
) -> AfterAnswer {
    let mut request = request.clone();
    request.stream = false;
    request.client_wants_usage = false;
    request.object.remove("stream");
    request.object.remove("stream_options");
    let mut recorded = request.object.clone();
    if let Ok(whole) = crate::wire::json::RawObject::parse(&arrival.body) {
        recorded = whole;
        recorded.remove("stream");
        recorded.remove("stream_options");
    }
    AfterAnswer(Box::new(Job {
        proxy: Arc::clone(proxy),
        caller: caller.clone(),
        arrival: Arrival {
            id: CallId::fresh(),
            headers: PromptHeaders::default(),
            body: recorded.to_bytes(),
            ..arrival.clone()
        },
        request,
        prompt,
        label: label.to_owned(),
        shadow_of: arrival.id,
    }))
}

impl Proxy {
    /// Waits for a place among those that run, then carries the call out like any other.
    async fn run(self: Arc<Self>, job: Box<Job>, _place: OwnedSemaphorePermit) {
        let cut = self.cut.clone();
        let shadow_of = job.shadow_of;
        let carried_out = async {
            // The semaphore is never closed.
            let _running = self.shadows.running.acquire().await;
            self.answer_in_shadow(*job).await
        };
        tokio::select! {
            () = cut.cancelled() => {}
            result = carried_out => if let Err(error) = result {
                tracing::warn!(call = %shadow_of, code = error.kind(), %error, "a shadow has no answer");
            }
        }
    }

    async fn answer_in_shadow(&self, job: Job) -> Result<(), Error> {
        let arrival = Arrival {
            started: Instant::now(),
            ..job.arrival
        };
        let mut call = call::from_prompt(&job.prompt, job.request, &arrival)?;
        call.shadow_of = Some(job.shadow_of);
        call.release = Some(ReleaseDecision {
            label: job.label,
            arm: Arm::Shadow,
            reason: ArmReason::Sampled,
        });
        let answered = self.carry_out(&job.caller, &arrival, call).await;
        answered.map(|_| ()).map_err(|failure| failure.error)
    }
}

#[cfg(test)]
mod tests {
    use super::Shadows;

    #[test]
    fn what_waits_is_bounded_in_bytes_and_gives_its_room_back() {
        let shadows = Shadows::default();
        assert!(shadows.place(17 << 20).is_none(), "more than there is");
        let large = shadows.place(10 << 20).unwrap();
        assert!(shadows.place(10 << 20).is_none(), "no room for another");
        let small = shadows.place(0).unwrap();
        drop(large);
        assert!(shadows.place(10 << 20).is_some());
        drop(small);
    }
}
