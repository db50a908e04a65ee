//! `metadata.promptgate`: what promptfoo has no words for. It ignores `metadata`, so the file stays its.

use crate::domain::PicoDollars;
use crate::evals::schedule::Times;
use crate::evals::suite::load::assertions::ANY;
use crate::evals::suite::load::fields::Fields;
use crate::evals::suite::load::finish::{PairPaths, Paths};
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::Loader;
use crate::evals::suite::{
    Alert, Budget, Counterfactual, Gate, GateKind, JudgeRules, OnExceed, OnInconclusive, Overlap,
    Schedule, Settings, Stopping,
};
use crate::metering::pico_per_token;
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys under `metadata.promptgate`.
const KEYS: [&str; 20] = [
    "version",
    "repeat",
    "concurrency",
    "cluster",
    "slices",
    "messages",
    "judge",
    "gates",
    "promote",
    "budget",
    "schedule",
    "online",
    "counterfactual",
    "max_error_share",
    "stopping",
    "timeout_ms",
    "deadline_ms",
    "pack",
    "mutate",
    "output_shift",
];
/// A share.
const SHARE: (f64, f64) = (0.0, 1.0);
/// Not negative.
const AMOUNT: (f64, f64) = (0.0, f64::INFINITY);

impl Loader<'_> {
    /// Reads our keys into `settings`. Returns the paths into cases, and where the groups stand.
    pub(super) fn own_keys(&self, node: &Node, settings: &mut Settings) -> (Paths, Option<Node>) {
        let mut paths = Paths::default();
        let Some(fields) = self.fields(node, "`metadata.promptgate`", &KEYS) else {
            return (paths, None);
        };
        self.check_version(&fields);
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(repeat) = self.count_at(&fields, "repeat", (1, 1000)) {
            settings.repeat = narrow(repeat);
        }
        if let Some(concurrency) = self.count_at(&fields, "concurrency", (1, 256)) {
            settings.concurrency = narrow(concurrency);
        }
        if let Some(timeout) = self.count_at(&fields, "timeout_ms", (1, 86_400_000)) {
            settings.timeout_ms = Some(timeout);
        }
        if let Some(deadline) = self.count_at(&fields, "deadline_ms", (1, 2_592_000_000)) {
            settings.deadline_ms = Some(deadline);
        }
        if let Some(share) = self.number_at(&fields, "max_error_share", SHARE) {
            settings.max_error_share = share;
        }
        paths.cluster = fields.get("cluster").cloned();
        paths.messages = fields.get("messages").cloned();
        paths.slices = match fields.get("slices") {
            Some(node) if node.text().is_some() => vec![node.clone()],
            Some(_) => self.list_at(&fields, "slices").unwrap_or_default().to_vec(),
            None => Vec::new(),
        };
        if let Some(node) = fields.get("judge") {
            settings.judge = self.judge_rules(node);
        }
        if let Some(gates) = self.list_at(&fields, "gates") {
            settings.gates = gates.iter().filter_map(|gate| self.gate(gate)).collect();
        }
        if let Some(node) = fields.get("budget") {
            settings.budget = self.budget(node);
        }
        settings.schedule = fields.get("schedule").and_then(|node| self.schedule(node));
        if let Some(node) = fields.get("stopping") {
            settings.stopping = self.stopping(node);
        }
        let groups = self.groups_and_forms(&fields, &mut paths, settings);
        for (key, what) in [
            ("promote", "a verdict moves no label"),
            ("online", "live calls are not scored"),
        ] {
            if let Some(key_node) = fields.key(key) {
                self.warn(format!(
                    "{}: `{key}` has no effect yet: {what}",
                    key_node.place()
                ));
            }
        }
        (paths, groups)
    }

    /// Reads what makes cases of cases, and returns where the groups stand.
    fn groups_and_forms(
        &self,
        fields: &Fields<'_>,
        paths: &mut Paths,
        settings: &mut Settings,
    ) -> Option<Node> {
        let groups = fields.get("counterfactual");
        let is_written_out = groups.is_some_and(|node| node.get("pair").is_some());
        if is_written_out {
            paths.pairs = groups.and_then(|node| self.pairs(node));
        } else {
            settings.counterfactual = groups.and_then(|node| self.counterfactual(node));
        }
        paths.mutations = fields.get("mutate").and_then(|node| self.mutations(node));
        settings.pack = fields.get("pack").and_then(|node| self.pack(node));
        settings.output_shift = self.output_shift(fields);
        groups.cloned()
    }

    fn check_version(&self, fields: &Fields<'_>) {
        if let Some(version) = self.count_at(fields, "version", (1, u64::MAX))
            && version != 1
            && let Some(node) = fields.get("version")
        {
            let message = format!("`version` is {version}, and this program knows 1");
            self.wrong(
                node,
                message,
                "use a newer promptgate, or write `version: 1`",
            );
        }
    }

    fn judge_rules(&self, node: &Node) -> JudgeRules {
        let mut rules = JudgeRules::default();
        if let Some(text) = node.text() {
            rules.file = Some(text.to_owned());
            return rules;
        }
        let known = [
            "use",
            "model",
            "must_differ_from_target",
            "min_tpr",
            "min_tnr",
            "min_labels",
        ];
        let Some(fields) = self.fields(node, "`judge`", &known) else {
            return rules;
        };
        rules.file = self.text_at(&fields, "use");
        rules.model = self.text_at(&fields, "model");
        if rules.file.is_some() && rules.model.is_some() {
            let hint = "keep the model in the judge's file";
            self.wrong(node, "`judge` has both `use` and `model`", hint);
        }
        if let Some(must_differ) = self.bool_at(&fields, "must_differ_from_target") {
            rules.must_differ_from_target = must_differ;
        }
        if let Some(rate) = self.number_at(&fields, "min_tpr", SHARE) {
            rules.min_true_positive_rate = rate;
        }
        if let Some(rate) = self.number_at(&fields, "min_tnr", SHARE) {
            rules.min_true_negative_rate = rate;
        }
        if let Some(labels) = self.count_at(&fields, "min_labels", (0, 1_000_000)) {
            rules.min_labels = u32::try_from(labels).unwrap_or(u32::MAX);
        }
        rules
    }

    fn gate(&self, node: &Node) -> Option<Gate> {
        let kind = node.get("kind").and_then(Node::text);
        let own: &[&str] = match kind {
            Some("non_inferior") => &["margin", "alpha"],
            Some("absolute") => &["min", "max", "max_failures", "max_upper95"],
            Some("ratio" | "max_gap") => &["max"],
            Some("no_regressions") => &["max_regressed"],
            Some(other) => {
                let known = [
                    "non_inferior",
                    "no_regressions",
                    "absolute",
                    "ratio",
                    "max_gap",
                ];
                let message = format!("`{other}` is no kind of gate");
                let place = node.get("kind").unwrap_or(node).place();
                self.problem(Problem::unknown(place, message, other, &known));
                return None;
            }
            None => {
                let hint = "write `kind: non_inferior`, `absolute`, `ratio` or `max_gap`";
                self.wrong(node, "the gate has no `kind`", hint);
                return None;
            }
        };
        let known: Vec<&str> = ["metric", "kind", "on_inconclusive"]
            .iter()
            .chain(own)
            .copied()
            .collect();
        let fields = self.fields(node, "the gate", &known)?;
        let Some(metric) = self.text_at(&fields, "metric") else {
            let hint = "write `metric: pass` for whole cases, or the name of a score";
            self.wrong(node, "the gate has no `metric`", hint);
            return None;
        };
        let kind = self.gate_kind(kind.unwrap_or_default(), &fields)?;
        let word = self.text_at(&fields, "on_inconclusive");
        let on_inconclusive = match word.as_deref() {
            None | Some("fail") => OnInconclusive::Fail,
            Some("warn") => OnInconclusive::Warn,
            Some(other) => {
                let message = format!("`on_inconclusive` is `{other}`");
                self.wrong(node, message, "write `fail` or `warn`");
                return None;
            }
        };
        Some(Gate {
            metric,
            kind,
            on_inconclusive,
            place: node.place(),
        })
    }

    fn gate_kind(&self, kind: &str, fields: &Fields<'_>) -> Option<GateKind> {
        let needed = |key: &str, bounds| {
            let number = self.number_at(fields, key, bounds);
            if fields.get(key).is_none() {
                let message = format!("a `{kind}` gate has no `{key}`");
                self.wrong(fields.node, message, format!("write `{key}: ...`"));
            }
            number
        };
        Some(match kind {
            "non_inferior" => GateKind::NonInferior {
                margin: needed("margin", SHARE)?,
                alpha: self
                    .number_at(fields, "alpha", (0.000_1, 0.5))
                    .unwrap_or(0.05),
            },
            "no_regressions" => GateKind::NoRegressions {
                max_regressed: self
                    .count_at(fields, "max_regressed", (0, u64::MAX))
                    .unwrap_or(0),
            },
            "ratio" => GateKind::Ratio {
                max: needed("max", AMOUNT)?,
            },
            "max_gap" => GateKind::MaxGap {
                max: needed("max", SHARE)?,
            },
            _ => {
                let bounds = ["min", "max", "max_failures", "max_upper95"];
                if bounds.iter().all(|key| fields.get(key).is_none()) {
                    let message = "an `absolute` gate has no bound";
                    self.wrong(
                        fields.node,
                        message,
                        "write `min`, `max`, `max_failures` or `max_upper95`",
                    );
                    return None;
                }
                GateKind::Absolute {
                    min: self.number_at(fields, "min", ANY),
                    max: self.number_at(fields, "max", ANY),
                    max_failures: self.count_at(fields, "max_failures", (0, u64::MAX)),
                    max_upper95: self.number_at(fields, "max_upper95", SHARE),
                }
            }
        })
    }

    fn budget(&self, node: &Node) -> Budget {
        let known = ["usd", "judge_usd", "on_exceed"];
        let Some(fields) = self.fields(node, "`budget`", &known) else {
            return Budget::default();
        };
        if let Some(word) = self.text_at(&fields, "on_exceed")
            && word != "stop_inconclusive"
        {
            let message = format!("`on_exceed` is `{word}`");
            self.wrong(
                node,
                message,
                "write `stop_inconclusive`, the only way there is",
            );
        }
        Budget {
            total: self.dollars(&fields, "usd"),
            judges: self.dollars(&fields, "judge_usd"),
            on_exceed: OnExceed::StopInconclusive,
        }
    }

    fn dollars(&self, fields: &Fields<'_>, key: &str) -> Option<PicoDollars> {
        let text = self.text_at(fields, key)?;
        // What a million tokens cost in dollars, a token costs in millionths of them.
        let pico = pico_per_token(&text).and_then(|pico| pico.checked_mul(1_000_000));
        if pico.is_none()
            && let Some(node) = fields.get(key)
        {
            let message = format!("`{key}` is no amount of dollars");
            self.wrong(node, message, "write `2.50`, with at most 6 decimals");
        }
        pico.map(PicoDollars)
    }

    fn schedule(&self, node: &Node) -> Option<Schedule> {
        let mut schedule = Schedule {
            cron: String::new(),
            time_zone: "UTC".to_owned(),
            overlap: Overlap::Skip,
            catches_up: false,
            alerts: Vec::new(),
            is_sentinel: false,
        };
        let mut place = node.clone();
        if let Some(text) = node.text() {
            text.clone_into(&mut schedule.cron);
        } else {
            let known = [
                "cron",
                "time_zone",
                "overlap",
                "catch_up",
                "alerts",
                "sentinel",
            ];
            let fields = self.fields(node, "`schedule`", &known)?;
            let Some(cron) = self.text_at(&fields, "cron") else {
                self.wrong(
                    node,
                    "the schedule has no `cron`",
                    "write `cron: \"17 3 * * *\"`",
                );
                return None;
            };
            schedule.cron = cron;
            place = fields.get("cron").unwrap_or(node).clone();
            if let Some(zone) = self.text_at(&fields, "time_zone") {
                schedule.time_zone = zone;
            }
            schedule.overlap = match self.text_at(&fields, "overlap").as_deref() {
                None | Some("skip") => Overlap::Skip,
                Some("wait") => Overlap::Wait,
                Some(other) => {
                    let message = format!("`overlap` is `{other}`");
                    self.wrong(node, message, "write `skip` or `wait`");
                    Overlap::Skip
                }
            };
            schedule.catches_up = self.bool_at(&fields, "catch_up").unwrap_or(false);
            schedule.is_sentinel = self.bool_at(&fields, "sentinel").unwrap_or(false);
            let alerts = self.list_at(&fields, "alerts").unwrap_or_default();
            schedule.alerts = alerts
                .iter()
                .filter_map(|alert| self.alert(alert))
                .collect();
        }
        if let Err(error) = Times::parse(&schedule.cron, &schedule.time_zone) {
            self.problem(Problem::new(place.place(), error.to_string()));
            return None;
        }
        Some(schedule)
    }

    fn alert(&self, node: &Node) -> Option<Alert> {
        let fields = self.fields(node, "an alert", &["webhook", "on"])?;
        let webhook = self.text_at(&fields, "webhook");
        let is_reference = |text: &String| text.starts_with("env:") || text.starts_with("file:");
        let Some(webhook) = webhook.filter(is_reference) else {
            let hint = "write `webhook: env:NAME` or `file:PATH`: such a URL is a secret";
            self.wrong(node, "the alert has no reference to a URL", hint);
            return None;
        };
        let known = ["failed", "inconclusive", "invalid", "passed", "drift"];
        let on = self
            .texts_at(&fields, "on")
            .unwrap_or_else(|| vec!["failed".to_owned(), "invalid".to_owned()]);
        for word in on.iter().filter(|word| !known.contains(&word.as_str())) {
            let message = format!("`{word}` is no verdict");
            self.problem(Problem::unknown(node.place(), message, word, &known));
        }
        Some(Alert { webhook, on })
    }

    fn stopping(&self, node: &Node) -> Stopping {
        match node.text() {
            Some("all") => return Stopping::All,
            Some("decided") => return Stopping::Decided,
            _ => {}
        }
        if let Content::Map(_) = &node.content
            && let Some(fields) = self.fields(node, "`stopping`", &["precision"])
        {
            let precision = self.number_at(&fields, "precision", (0.001, 0.5));
            return precision.map_or(Stopping::All, Stopping::Precision);
        }
        let hint = "write `all`, `decided` or `{precision: 0.05}`";
        self.wrong(node, "`stopping` is no way to stop", hint);
        Stopping::All
    }

    fn counterfactual(&self, node: &Node) -> Option<Counterfactual> {
        let fields = self.fields(node, "`counterfactual`", &["var", "groups", "control"])?;
        let (Some(var), Some(groups)) =
            (self.text_at(&fields, "var"), self.map_at(&fields, "groups"))
        else {
            let hint = "write `{var: person, groups: {a: [...], b: [...]}}`";
            self.wrong(node, "`counterfactual` wants `var` and `groups`", hint);
            return None;
        };
        let mut by_group = BTreeMap::new();
        for group in groups {
            let wrapped = group.value.with(Content::Map(vec![group.clone()]));
            let known = [group.name.as_str()];
            let fields = self.fields(&wrapped, "`groups`", &known)?;
            let values = self.texts_at(&fields, &group.name)?;
            by_group.insert(group.name.clone(), values);
        }
        let lengths: Vec<usize> = by_group.values().map(Vec::len).collect();
        let is_even = lengths
            .iter()
            .all(|length| Some(length) == lengths.first() && 0 < *length);
        if by_group.len() < 2 || !is_even {
            let hint = "give at least two groups as many values each: the n-th of all stand for each other";
            self.wrong(node, "the groups cannot be compared", hint);
            return None;
        }
        Some(Counterfactual {
            var,
            groups: by_group,
            has_control: self.control(node, &fields)?,
        })
    }

    /// Of cases that are written out for each group already: where they say so.
    fn pairs(&self, node: &Node) -> Option<PairPaths> {
        let fields = self.fields(node, "`counterfactual`", &["pair", "group", "control"])?;
        let (Some(pair), Some(group)) = (fields.get("pair"), fields.get("group")) else {
            let hint = "write `{pair: metadata.pair, group: metadata.group}`";
            self.wrong(node, "`counterfactual` wants `pair` and `group`", hint);
            return None;
        };
        Some(PairPaths {
            pair: pair.clone(),
            group: group.clone(),
            has_control: self.control(node, &fields)?,
        })
    }

    fn control(&self, node: &Node, fields: &Fields<'_>) -> Option<bool> {
        match fields.get("control").map(Node::to_value) {
            None | Some(Value::Bool(true)) => Some(true),
            Some(Value::Bool(false)) => Some(false),
            Some(Value::String(text)) if text == "same_group_resample" => Some(true),
            Some(Value::String(text)) if text == "none" => Some(false),
            Some(_) => {
                let hint = "write `same_group_resample` or `none`";
                self.wrong(node, "`control` is no kind of control", hint);
                None
            }
        }
    }
}
