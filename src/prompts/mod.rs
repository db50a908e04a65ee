//! Prompts: read from files, checked, hashed, and filled.
//!
//! The door is [`Prompts`]: it loads a directory or a ref of a repository, resolves references to
//! immutable [`Bundle`]s, and a bundle renders itself. Files are in the Dotprompt format; our own
//! keys live in its extension namespace, `promptgate.*`.
//!
//! **Invariants**
//! - A snapshot is swapped in whole, after everything in it was parsed, checked and archived.
//! - A reference resolves to exactly the version it names, or to an error.
//! - A value never becomes anything but text: roles, history and media are nodes of the compiled
//!   template, not marks in the output.
//! - Equal hashes mean equal renderings.

mod answer;
mod archive;
mod bisect;
mod blame_spans;
mod bundle;
mod compile;
#[cfg(test)]
mod conformance;
mod contract;
pub mod diff;
mod error;
mod evaluate;
#[cfg(test)]
mod examples;
mod files;
mod front_matter;
mod history;
mod identity;
mod import;
mod includes;
mod input;
mod lint;
mod load;
mod messages;
mod metadata;
mod numbered;
mod numbering;
mod numbers;
mod numbers_blame;
mod numbers_log;
mod numbers_replay;
mod picoschema;
mod problem;
mod registry;
mod releases;
mod samples;
mod schema;
mod scope;
mod segments;
mod snapshot;
mod source;
mod stored;
mod sync;
mod syntax;
mod trace;
mod usage;
mod value;
mod watch;

pub use archive::{BundleArchive, NoArchive};
pub use bisect::{Search, Trial};
pub use blame_spans::{BlamedMessage, BlamedSpan, SampleChoice, SpanBlame, UnknownSample};
pub use bundle::{Bundle, FilePart, RenderInput, Rendered, RenderedMessage};
pub use contract::{OutputFormat, Tool};
pub use error::{Error, InvalidVariable};
pub use evaluate::RenderLimits;
pub use import::{Foreign, Format as ImportFormat, Import, PromptReport, Refusal, import};
pub use lint::{
    Alike, FEWEST_WORDS, Finding, Fix, Fixed, Lint, ModelFacts, PromptText, Rule, Severity,
};
pub use load::Prompt;
pub use messages::{MessagesMode, Part};
pub use numbers_blame::{BlamedFile, BlamedLine, PromptBlame};
pub use numbers_log::{CommitLine, LogEntry, PromptLog};
pub use problem::Problem;
pub use registry::{Config, LoadReport, Mode, Prompts, ResolvedPrompt};
pub use releases::{
    CanaryView, Drift, NewOverride, Override, ReleaseView, Released, ShadowView, StickyKeys,
    parse_span,
};
pub use samples::Sample;
pub use schema::violations;
pub use snapshot::Snapshot;
pub use source::{DirectorySource, GitSource, Source};
pub use sync::{HeldPrompt, Origin, SyncOutcome, SyncReport, SyncStatus, SyncTrouble};
pub use syntax::Role;
pub use trace::{Given, Place, Span, Traced, ValueSource};
pub use value::to_json;
