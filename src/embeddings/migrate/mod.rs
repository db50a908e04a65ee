//! Migrating a collection to another embedding version, without a day on which everything is paid at once
//! and without one on which nothing is found.
//!
//! The old version goes on answering: a search finds its candidates there, their texts alone get vectors of
//! the new version, and these rank the answer. What is searched is thereby filled first; the rest follows
//! in the background, and the new version is served once it is whole. Every step is written down before it
//! counts, may be taken twice, and can be undone while the old snapshot is there.

mod backfill;
mod book;
mod cascade;
mod claims;
mod cutover;
mod dual;
mod error;
mod hold;
mod limits;
mod queries;
mod shadow;
mod state;
mod status;
mod texts;
mod verbs;

pub use book::{LABEL, Meter, Migration, Migrations, Moved, Override};
pub(in crate::embeddings) use cascade::Looking;
pub use cascade::{Way, WayKind};
pub use dual::WayBack;
pub use error::MigrateError;
pub use hold::Held;
pub use shadow::ShadowReport;
pub use state::{State, Step, Verb};
pub use status::{Background, Outlook, Status};
pub use verbs::{MoveWish, StartWish};
