//! `promptgate embeddings …`: corpora are read from files here, snapshots are made behind the admin plane.

mod adapter;
mod arguments;
mod beside;
mod canary;
mod compare;
mod create;
mod drift;
mod export;
mod import;
mod index;
mod list;
mod migrate;
mod plan;
mod progress;
mod search;
mod tend;
mod watched;

use crate::app::{self, Environment};
use crate::cli::output::Failure;
use crate::cli::{Common, reach};
use clap::Subcommand;

pub(crate) use create::snapshot_of;

#[derive(Debug, Subcommand)]
pub(crate) enum EmbeddingsCommand {
    /// Make snapshots of a corpus, and look after them.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Find the items of snapshots that are nearest to a text, each in its own space.
    #[command(after_help = search::HELP)]
    Search(search::SearchArguments),
    /// Make, show and remove search indexes of large snapshots.
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// Look after the files of vectors.
    #[command(subcommand)]
    Store(VectorStoreCommand),
    /// Compare two snapshots: what changes for whom, how sure that is, and what follows.
    #[command(after_help = compare::HELP)]
    Compare(Box<compare::CompareArguments>),
    /// Bring a collection to another embedding version while it is searched.
    #[command(subcommand, after_help = migrate::HELP)]
    Migrate(migrate::MigrateCommand),
    /// Price a move to another model before anything is paid.
    #[command(after_help = plan::HELP)]
    Plan(Box<plan::PlanArguments>),
    /// Fit and use maps between the vectors of two models.
    #[command(subcommand)]
    Adapter(adapter::AdapterCommand),
    /// Watch the traffic of prompts: is what is asked now another than what was asked before?
    #[command(subcommand)]
    Drift(drift::DriftCommand),
    /// Embed a few fixed texts again and again: does a provider change its model under the same name?
    #[command(subcommand)]
    Canary(canary::CanaryCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum VectorStoreCommand {
    /// Make the index of all vectors anew from their files.
    Rebuild,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Embed a corpus; what was embedded before is not paid again.
    #[command(after_help = create::HELP)]
    Create(Box<create::CreateArguments>),
    /// Make a snapshot of vectors that were made elsewhere.
    #[command(after_help = import::HELP)]
    Import(Box<import::ImportArguments>),
    /// Write a snapshot to a file that other tools read.
    #[command(after_help = export::HELP)]
    Export(export::ExportArguments),
    /// List snapshots, and drafts that are none yet.
    List(list::ListArguments),
    /// Show what a snapshot is.
    Show(list::ShowArguments),
    /// Read files and check that everything is as it was written.
    Verify(tend::VerifyArguments),
    /// Tell in what two snapshots differ, by their settings and items.
    Diff(tend::DiffArguments),
    /// Embed some texts of a snapshot again, to see the provider's own noise.
    Noise(tend::NoiseArguments),
    /// Delete an item from every snapshot of a collection, with its pieces and vectors.
    #[command(after_help = tend::DELETE_ITEM_HELP)]
    DeleteItem(tend::DeleteItemArguments),
    /// Give up a draft that is no snapshot yet; its vectors stay until `gc`.
    Discard(tend::DiscardArguments),
    /// Remove vectors that no snapshot uses.
    Gc(tend::GcArguments),
}

/// Runs the command.
pub(crate) async fn run(
    command: EmbeddingsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    // A name may be a label of the file: a broken file is told before anything is done.
    app::declared(&reach::config(common, environment)?.embeddings)?;
    match command {
        EmbeddingsCommand::Search(arguments) => search::run(&arguments, common, environment).await,
        EmbeddingsCommand::Index(command) => index::run(&command, common, environment).await,
        EmbeddingsCommand::Store(VectorStoreCommand::Rebuild) => {
            tend::rebuild(common, environment).await
        }
        EmbeddingsCommand::Compare(arguments) => {
            compare::run(&arguments, common, environment).await
        }
        EmbeddingsCommand::Migrate(command) => migrate::run(command, common, environment).await,
        EmbeddingsCommand::Plan(arguments) => plan::run(&arguments, common, environment).await,
        EmbeddingsCommand::Adapter(command) => adapter::run(&command, common, environment).await,
        EmbeddingsCommand::Drift(command) => drift::run(command, common, environment).await,
        EmbeddingsCommand::Canary(command) => canary::run(command, common, environment).await,
        EmbeddingsCommand::Snapshot(command) => match command {
            SnapshotCommand::Create(arguments) => {
                create::run(&arguments, common, environment).await
            }
            SnapshotCommand::Import(arguments) => {
                import::run(&arguments, common, environment).await
            }
            SnapshotCommand::Export(arguments) => {
                export::run(&arguments, common, environment).await
            }
            SnapshotCommand::List(arguments) => list::list(&arguments, common, environment).await,
            SnapshotCommand::Show(arguments) => list::show(&arguments, common, environment).await,
            SnapshotCommand::Verify(arguments) => {
                tend::verify(&arguments, common, environment).await
            }
            SnapshotCommand::Diff(arguments) => tend::diff(&arguments, common, environment).await,
            SnapshotCommand::Noise(arguments) => tend::noise(&arguments, common, environment).await,
            SnapshotCommand::DeleteItem(arguments) => {
                tend::delete_item(&arguments, common, environment).await
            }
            SnapshotCommand::Discard(arguments) => {
                tend::discard(&arguments, common, environment).await
            }
            SnapshotCommand::Gc(arguments) => tend::gc(&arguments, common, environment).await,
        },
    }
}

/// Returns so many of something: `1 item`, `2 000 items`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {thing}{end}", thousands(number))
}

/// Returns a number with blanks between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counted, thousands};

    #[test]
    fn numbers_are_readable() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (12_345_678, "12 345 678"),
        ] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(counted(1, "item"), "1 item");
        assert_eq!(counted(2_000, "item"), "2 000 items");
        assert_eq!(counted(0, "item"), "0 items");
    }
}
