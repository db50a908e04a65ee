//! `counterfactual`: each case once for every value of every group, all else the same.

use crate::evals::suite::load::expand::MAX_CASES;
use crate::evals::suite::load::finish::PairPaths;
use crate::evals::suite::load::node::Node;
use crate::evals::suite::load::reading::Loader;
use crate::evals::suite::{Case, CaseId, Counterfactual, GroupMember};
use serde_json::Value;

impl Loader<'_> {
    /// Writes cases out for groups. A case that sets the variable itself stays as it is. `at` is where
    /// the groups stand.
    pub(super) fn grouped(
        &self,
        cases: Vec<Case>,
        counterfactual: &Counterfactual,
        at: &Node,
    ) -> Vec<Case> {
        let mut grouped = Vec::new();
        let mut has_any = false;
        let each = counterfactual.groups.values().map(Vec::len).sum::<usize>() * 2;
        if MAX_CASES < cases.len().saturating_mul(each) {
            let message = format!("the groups make more than {MAX_CASES} cases");
            self.wrong(at, message, "give fewer values");
            return cases;
        }
        for case in cases {
            if case.vars.contains_key(&counterfactual.var) {
                grouped.push(case);
                continue;
            }
            has_any = true;
            members(&case, counterfactual, &mut grouped);
        }
        if !has_any {
            let var = &counterfactual.var;
            let message = format!("every case sets `{var}` itself, so there is nothing to swap");
            self.wrong(
                at,
                message,
                format!("leave `{var}` out of the cases that are to be compared"),
            );
        }
        grouped
    }
}

impl Loader<'_> {
    /// Reads the groups of cases that are written out already, and asks each a second time where the noise
    /// is to be known.
    pub(super) fn paired(&self, mut cases: Vec<Case>, paths: &PairPaths) -> Vec<Case> {
        self.set_from(&mut cases, &paths.pair, |case, _, pair| {
            case.group = Some(GroupMember {
                pair,
                group: String::new(),
                is_control: false,
            });
        });
        self.set_from(&mut cases, &paths.group, |case, _, group| {
            if let Some(member) = &mut case.group {
                member.group = group;
            }
        });
        let mut paired = Vec::new();
        for mut case in cases {
            case.group = case.group.filter(|member| !member.group.is_empty());
            if let Some(member) = &case.group {
                let cluster = case.cluster.clone().unwrap_or_else(|| member.pair.clone());
                case.cluster = Some(cluster);
            }
            let control = case.group.clone().filter(|_| paths.has_control);
            let control = control.map(|member| Case {
                id: CaseId(format!("{}-control", case.id.0)),
                group: Some(GroupMember {
                    is_control: true,
                    ..member
                }),
                ..case.clone()
            });
            paired.push(case);
            paired.extend(control);
        }
        paired
    }
}

fn members(case: &Case, counterfactual: &Counterfactual, grouped: &mut Vec<Case>) {
    let samples: &[bool] = if counterfactual.has_control {
        &[false, true]
    } else {
        &[false]
    };
    for (group, values) in &counterfactual.groups {
        for (index, value) in values.iter().enumerate() {
            for is_control in samples {
                let mut member = case.clone();
                let end = if *is_control { "-control" } else { "" };
                let id = &case.id.0;
                member.id = CaseId(format!("{id}/{group}-{}{end}", index + 1));
                let var = counterfactual.var.clone();
                member.vars.insert(var, Value::String(value.clone()));
                member.group = Some(GroupMember {
                    pair: format!("{id}/{}", index + 1),
                    group: group.clone(),
                    is_control: *is_control,
                });
                // What is about one case is no independent piece of evidence.
                member.cluster = Some(case.cluster.clone().unwrap_or_else(|| id.clone()));
                grouped.push(member);
            }
        }
    }
}
