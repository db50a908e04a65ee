//! `promptgate embeddings plan`: what moving a snapshot to another model costs, before anything is paid.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::embeddings::arguments::SpaceArguments;
use crate::cli::embeddings::progress::plan_in_words;
use crate::cli::embeddings::thousands;
use crate::cli::output::{self, Failure, clean};
use crate::cli::reach::Admin;
use crate::embeddings::snapshots::{LimitsWish, MigrationPlan, MigrationWish};
use crate::embeddings::vault::Precision;
use clap::Args;
use http::Method;
use serde_json::json;
use std::fmt::Write as _;

/// What the command's help ends with.
pub(super) const HELP: &str = "\
Texts that have a vector in the new space already cost nothing. What is not known is said to be unknown.

  promptgate embeddings plan docs@1 --model openai/text-embedding-3-large --rate-tokens-per-minute 1000000
  promptgate embeddings plan docs@1 --space large --json";

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// The snapshot: `docs@1`, `docs@production`.
    snapshot: String,
    #[command(flatten)]
    space: SpaceArguments,
    /// How exactly vectors will be kept: f32, f16, int8 or binary.
    #[arg(long, default_value = "f16")]
    precision: Precision,
    /// How many tokens the provider takes in a minute.
    #[arg(long, value_name = "N")]
    rate_tokens_per_minute: Option<u64>,
    /// How many requests it takes in a minute.
    #[arg(long, value_name = "N")]
    rate_requests_per_minute: Option<u64>,
}

/// Runs the command.
pub(super) async fn run(
    arguments: &PlanArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let wish = json!(MigrationWish {
        snapshot: arguments.snapshot.clone(),
        space: arguments.space.wish(),
        precision: arguments.precision,
        limits: LimitsWish::default(),
        tokens_per_minute: arguments.rate_tokens_per_minute,
        requests_per_minute: arguments.rate_requests_per_minute,
    });
    let admin = Admin::reach(common, environment)?;
    let path = "/api/embeddings/plan";
    let answer = admin.send(Method::POST, path, Some(&wish)).await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{answer}\n"));
    }
    let plan: MigrationPlan = serde_json::from_value(answer)
        .map_err(|error| Failure::new(format!("the server's answer cannot be read: {error}")))?;
    output::put(&in_words(&plan, arguments.space.model.as_deref()))
}

fn in_words(plan: &MigrationPlan, asked: Option<&str>) -> String {
    let mut out = format!(
        "{}: {} -> {}\n  {}\n",
        clean(&plan.snapshot),
        clean(&plan.from.model),
        clean(&plan.to.model),
        plan_in_words(&plan.plan),
    );
    if plan.from == plan.to {
        out.push_str("  it is in this space already: nothing has to move\n");
    }
    let is_simulated = |model: &str| model.starts_with("simulated/");
    let asked = asked.filter(|asked| is_simulated(&plan.to.model) && !is_simulated(asked));
    if let Some(asked) = asked {
        let _ = writeln!(
            out,
            "  nobody can be asked for {} here: this is {}",
            clean(asked),
            clean(&plan.to.model)
        );
    }
    let time = plan.minutes.map_or_else(
        || "unknown (say `--rate-tokens-per-minute`)".to_owned(),
        |minutes| format!("at least {minutes:.1} minutes at the provider's limits"),
    );
    if 0 < plan.plan.to_send {
        let _ = writeln!(out, "  time: {time}");
    }
    let Some(length) = plan.dimensions else {
        out.push_str("  on disk: unknown until the first vector has come (say `--dimensions`)\n");
        return out;
    };
    let sizes = plan.sizes.iter();
    let sizes = sizes.map(|size| format!("{} {}", size.precision, bytes(size.bytes)));
    let sizes: Vec<String> = sizes.collect();
    let _ = writeln!(out, "  on disk, {length} dimensions: {}", sizes.join(", "));
    if let Some(index) = plan.index_bytes {
        let _ = writeln!(out, "  a search index: about {}", bytes(index));
    }
    out
}

/// Bytes as people read them: `3.1 GB`.
fn bytes(count: u64) -> String {
    for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] {
        if unit <= count {
            let tenths = count / (unit / 10);
            return format!("{}.{} {name}", thousands(tenths / 10), tenths % 10);
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_readable() {
        for (count, text) in [
            (999, "999 B"),
            (1_250, "1.2 kB"),
            (6_176_000_000, "6.1 GB"),
            (1_234_567_000_000, "1 234.5 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
