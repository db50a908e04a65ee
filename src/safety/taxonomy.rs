//! What a pack, a category or a detector is called by those who ask for evidence.
//!
//! Lists of risks are renumbered: prompt injection stayed first in OWASP's list, improper output
//! handling moved from fifth to tenth. So a reference is worth nothing without the list's version, and a
//! report carries both.

use crate::safety::finding::{Detector, Family};
use serde::Serialize;
use std::fmt;

/// The version of the mapping below. It changes when a reference does.
pub const VERSION: &str = "2026-08";

/// A list of risks or duties, in one version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taxonomy {
    /// OWASP Top 10 for LLM applications, edition 2025.
    #[serde(rename = "owasp-llm-2025")]
    OwaspLlm2025,
    /// OWASP Top 10 for LLM applications, edition 2026 (of 2026-08-04), in its new order.
    #[serde(rename = "owasp-llm-2026")]
    OwaspLlm2026,
    /// MITRE ATLAS, by the ids that the 2026 edition of OWASP's list cites.
    MitreAtlas,
    /// NIST AI Risk Management Framework 1.0.
    NistAiRmf,
    /// Regulation (EU) 2024/1689.
    EuAiAct,
}

impl Taxonomy {
    /// Every list.
    pub const ALL: &'static [Self] = &[
        Self::OwaspLlm2025,
        Self::OwaspLlm2026,
        Self::MitreAtlas,
        Self::NistAiRmf,
        Self::EuAiAct,
    ];

    /// Returns the stable name.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OwaspLlm2025 => "owasp-llm-2025",
            Self::OwaspLlm2026 => "owasp-llm-2026",
            Self::MitreAtlas => "mitre-atlas",
            Self::NistAiRmf => "nist-ai-rmf",
            Self::EuAiAct => "eu-ai-act",
        }
    }

    /// Returns the version of the list as its publisher names it.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::OwaspLlm2025 => "2025",
            Self::OwaspLlm2026 => "2026",
            Self::MitreAtlas => "as cited by OWASP LLM 2026",
            Self::NistAiRmf => "1.0",
            Self::EuAiAct => "2024/1689",
        }
    }
}

/// What something is called in each list; empty where the list has no name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct References {
    /// Entries of OWASP's list of 2025.
    pub owasp_llm_2025: &'static [&'static str],
    /// Entries of OWASP's list of 2026.
    pub owasp_llm_2026: &'static [&'static str],
    /// Techniques of MITRE ATLAS.
    pub mitre_atlas: &'static [&'static str],
    /// Measures of NIST's framework.
    pub nist_ai_rmf: &'static [&'static str],
    /// Articles of the EU's AI Act.
    pub eu_ai_act: &'static [&'static str],
}

impl References {
    /// Returns the names in `taxonomy`.
    #[must_use]
    pub const fn of(&self, taxonomy: Taxonomy) -> &'static [&'static str] {
        match taxonomy {
            Taxonomy::OwaspLlm2025 => self.owasp_llm_2025,
            Taxonomy::OwaspLlm2026 => self.owasp_llm_2026,
            Taxonomy::MitreAtlas => self.mitre_atlas,
            Taxonomy::NistAiRmf => self.nist_ai_rmf,
            Taxonomy::EuAiAct => self.eu_ai_act,
        }
    }
}

/// Testing against metrics and thresholds that were set before, and robustness.
const TESTED: &[&str] = &["Art 9(6-8)"];
const TESTED_AND_ROBUST: &[&str] = &["Art 9(6-8)", "Art 15"];

const SAFE: &[&str] = &["MEASURE 2.6"];
const SECURE: &[&str] = &["MEASURE 2.7"];
const PRIVATE: &[&str] = &["MEASURE 2.10"];
const FAIR: &[&str] = &["MEASURE 2.11"];
const VALID: &[&str] = &["MEASURE 2.3"];

const fn injection(mitre_atlas: &'static [&'static str]) -> References {
    References {
        owasp_llm_2025: &["LLM01"],
        owasp_llm_2026: &["LLM01"],
        mitre_atlas,
        nist_ai_rmf: SECURE,
        eu_ai_act: TESTED_AND_ROBUST,
    }
}

const AGENCY: References = References {
    owasp_llm_2025: &["LLM06"],
    owasp_llm_2026: &["LLM03"],
    mitre_atlas: &["AML.T0053"],
    nist_ai_rmf: SECURE,
    eu_ai_act: TESTED_AND_ROBUST,
};

const LEAK: References = References {
    owasp_llm_2025: &["LLM07"],
    owasp_llm_2026: &["LLM08"],
    mitre_atlas: &["AML.T0056"],
    nist_ai_rmf: SECURE,
    eu_ai_act: TESTED_AND_ROBUST,
};

const PERSONAL_DATA: References = References {
    owasp_llm_2025: &["LLM02"],
    owasp_llm_2026: &["LLM02"],
    mitre_atlas: &["AML.T0057"],
    nist_ai_rmf: PRIVATE,
    eu_ai_act: TESTED,
};

const SECRETS: References = References {
    nist_ai_rmf: SECURE,
    eu_ai_act: TESTED_AND_ROBUST,
    ..PERSONAL_DATA
};

const OUTPUT: References = References {
    owasp_llm_2025: &["LLM05"],
    owasp_llm_2026: &["LLM10"],
    mitre_atlas: &[],
    nist_ai_rmf: SECURE,
    eu_ai_act: TESTED_AND_ROBUST,
};

const EXFILTRATION: References = References {
    mitre_atlas: &["AML.T0086"],
    ..OUTPUT
};

const CONSUMPTION: References = References {
    owasp_llm_2025: &["LLM10"],
    owasp_llm_2026: &["LLM06"],
    mitre_atlas: &["AML.T0029", "AML.T0034"],
    nist_ai_rmf: VALID,
    eu_ai_act: TESTED_AND_ROBUST,
};

const HARMFUL: References = only(SAFE, TESTED);
const OVER_REFUSAL: References = only(&["MEASURE 2.3", "MEASURE 2.6"], TESTED);
const BIAS: References = only(FAIR, TESTED);
const PERFORMANCE: References = only(VALID, TESTED_AND_ROBUST);

/// What the two lists of attacks have no entry for.
const fn only(
    nist_ai_rmf: &'static [&'static str],
    eu_ai_act: &'static [&'static str],
) -> References {
    References {
        owasp_llm_2025: &[],
        owasp_llm_2026: &[],
        mitre_atlas: &[],
        nist_ai_rmf,
        eu_ai_act,
    }
}

/// Declares a closed set of names once, so that the list of all of them cannot miss one.
macro_rules! names {
    ($(#[$outer:meta])* $set:ident { $($(#[$doc:meta])* $name:ident = $id:literal;)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $set {
            $($(#[$doc])* $name,)+
        }

        impl $set {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the stable name.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// Returns the one with the name `id`, if there is one.
            #[must_use]
            pub fn parse(id: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|name| name.id() == id)
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.id())
            }
        }
    };
}

names! {
    /// A set of cases that is versioned as one.
    Pack {
        /// Instructions that come with the data or against the operator's.
        Injection = "injection";
        /// Requests that must be declined, dressed up.
        Jailbreak = "jailbreak";
        /// The hidden instructions come out.
        SystemPromptLeak = "system-prompt-leak";
        /// Data of other people.
        Pii = "pii";
        /// Credentials.
        Secrets = "secrets";
        /// Requests that must be declined, plainly put.
        Harmful = "harmful";
        /// Requests that sound like those and must be answered.
        OverRefusal = "over-refusal";
        /// The same request by different people.
        Bias = "bias";
        /// Answers that act on whoever shows or runs them.
        OutputHandling = "output-handling";
    }
}

names! {
    /// What a case is about.
    Category {
        /// The user overrides the operator.
        DirectInjection = "injection/direct";
        /// A document, a page or a tool's answer gives orders.
        IndirectInjection = "injection/indirect";
        /// An order to use a tool beyond the task.
        ToolInjection = "injection/tool";

        /// A persona without rules.
        PersonaJailbreak = "jailbreak/persona";
        /// A story, a lesson, a hypothetical world.
        FictionJailbreak = "jailbreak/fiction";
        /// Another alphabet, an encoding, pieces.
        ObfuscationJailbreak = "jailbreak/obfuscation";
        /// Step by step, or many examples before.
        MultiTurnJailbreak = "jailbreak/multi-turn";
        /// A false authority or a false urgency.
        AuthorityJailbreak = "jailbreak/authority";

        /// Word for word.
        VerbatimLeak = "system-prompt-leak/verbatim";
        /// Translated, encoded, rhymed.
        TransformedLeak = "system-prompt-leak/transformed";
        /// One piece at a time.
        PartialLeak = "system-prompt-leak/partial";

        /// Data of others that the context holds.
        PiiDisclosure = "pii/disclosure";
        /// Data of others that the model may have learned or would invent.
        PiiInvention = "pii/invention";
        /// The user's own data, repeated without need.
        PiiEcho = "pii/echo";

        /// Credentials that the context holds.
        SecretDisclosure = "secrets/disclosure";
        /// Credentials that end up in code or configuration.
        SecretInCode = "secrets/code";

        /// Weapons and explosives.
        HarmfulWeapons = "harmful/weapons";
        /// Chemical, biological, radiological and nuclear harm.
        HarmfulMassCasualty = "harmful/mass-casualty";
        /// Attacks on computers.
        HarmfulCyber = "harmful/cyber";
        /// Fraud and deception.
        HarmfulFraud = "harmful/fraud";
        /// Hatred and harassment.
        HarmfulHate = "harmful/hate";
        /// Violence against people.
        HarmfulViolence = "harmful/violence";
        /// Self-harm.
        HarmfulSelfHarm = "harmful/self-harm";
        /// Sexual harm, children first.
        HarmfulSexual = "harmful/sexual";
        /// Drugs.
        HarmfulDrugs = "harmful/drugs";
        /// Surveillance and loss of privacy.
        HarmfulPrivacy = "harmful/privacy";

        /// Words with two meanings.
        OverRefusalHomonym = "over-refusal/homonym";
        /// Figures of speech.
        OverRefusalFigurative = "over-refusal/figurative";
        /// Prevention, safety and health.
        OverRefusalSafety = "over-refusal/safety";
        /// History, news and scholarship.
        OverRefusalHistory = "over-refusal/history";
        /// Fiction and games.
        OverRefusalFiction = "over-refusal/fiction";
        /// Work that has to do with danger.
        OverRefusalProfession = "over-refusal/profession";

        /// Names that suggest a gender.
        BiasGender = "bias/gender";
        /// Names that suggest an origin.
        BiasOrigin = "bias/origin";
        /// Ages.
        BiasAge = "bias/age";
        /// Disabilities.
        BiasDisability = "bias/disability";
        /// Religions.
        BiasReligion = "bias/religion";

        /// Script in the answer.
        OutputScript = "output-handling/script";
        /// Images and links that carry data away.
        OutputExfiltration = "output-handling/exfiltration";
        /// SQL and shell.
        OutputCommand = "output-handling/command";
        /// Hidden characters and terminal sequences.
        OutputUnicode = "output-handling/unicode";
    }
}

impl Category {
    /// Returns the pack the category belongs to.
    #[must_use]
    pub fn pack(self) -> Option<Pack> {
        let (pack, _) = self.id().split_once('/')?;
        Pack::parse(pack)
    }

    /// Returns what the category is called in each list.
    #[must_use]
    pub fn references(self) -> References {
        match self {
            Self::DirectInjection => injection(&["AML.T0051.000"]),
            Self::IndirectInjection => injection(&["AML.T0051.001"]),
            Self::ToolInjection => AGENCY,
            Self::ObfuscationJailbreak => injection(&["AML.T0054", "AML.T0068"]),
            Self::OutputExfiltration => EXFILTRATION,
            _ => self
                .pack()
                .map_or_else(References::default, Pack::references),
        }
    }
}

impl Pack {
    /// Returns what the pack is called in each list, where its category says nothing closer.
    #[must_use]
    pub const fn references(self) -> References {
        match self {
            Self::Injection => injection(&["AML.T0051.000"]),
            Self::Jailbreak => injection(&["AML.T0054"]),
            Self::SystemPromptLeak => LEAK,
            Self::Pii => PERSONAL_DATA,
            Self::Secrets => SECRETS,
            Self::Harmful => HARMFUL,
            Self::OverRefusal => OVER_REFUSAL,
            Self::Bias => BIAS,
            Self::OutputHandling => OUTPUT,
        }
    }
}

impl Detector {
    /// Returns what a finding of the detector is called in each list.
    #[must_use]
    pub const fn references(self) -> References {
        match self.family() {
            Family::Pii => PERSONAL_DATA,
            Family::Secrets => SECRETS,
            Family::Refusal => OVER_REFUSAL,
            Family::Canary | Family::Leak => LEAK,
            Family::Unicode | Family::Markup | Family::Commands => OUTPUT,
            Family::Exfiltration => EXFILTRATION,
            Family::Repetition => CONSUMPTION,
            Family::Language => PERFORMANCE,
            Family::ToolPolicy => AGENCY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Category, Detector, Family, Pack, Taxonomy};
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn everything_is_mapped() {
        let references = Category::ALL
            .iter()
            .map(|category| (category.id(), category.references()))
            .chain(Pack::ALL.iter().map(|pack| (pack.id(), pack.references())))
            .chain(
                Detector::ALL
                    .iter()
                    .map(|detector| (detector.id(), detector.references())),
            );
        for (id, references) in references {
            assert!(!references.nist_ai_rmf.is_empty(), "{id}");
            assert!(!references.eu_ai_act.is_empty(), "{id}");
            let has_2025 = !references.owasp_llm_2025.is_empty();
            assert_eq!(has_2025, !references.owasp_llm_2026.is_empty(), "{id}");
            for taxonomy in Taxonomy::ALL {
                let serialised = serde_json::to_value(references).unwrap();
                let key = taxonomy.id().replace('-', "_");
                assert_eq!(
                    serialised[key],
                    serde_json::json!(references.of(*taxonomy)),
                    "{id}"
                );
            }
        }
        for category in Category::ALL {
            assert!(category.pack().is_some(), "{category}");
        }
        for pack in Pack::ALL {
            let categories = Category::ALL.iter();
            assert!(
                categories
                    .filter(|category| category.pack() == Some(*pack))
                    .count()
                    > 1
            );
        }
    }

    #[test]
    fn the_editions_differ_where_the_order_changed() {
        let leak = Pack::SystemPromptLeak.references();
        assert_eq!(
            (leak.owasp_llm_2025, leak.owasp_llm_2026),
            (&["LLM07"][..], &["LLM08"][..])
        );
        let output = Detector::EventHandler.references();
        assert_eq!(
            (output.owasp_llm_2025, output.owasp_llm_2026),
            (&["LLM05"][..], &["LLM10"][..])
        );
        let agency = Category::ToolInjection.references();
        assert_eq!(
            (agency.owasp_llm_2025, agency.owasp_llm_2026),
            (&["LLM06"][..], &["LLM03"][..])
        );
        assert_eq!(Detector::Email.family(), Family::Pii);
        assert!(Pack::Bias.references().owasp_llm_2025.is_empty());
    }

    fn dir() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("evals/safety")
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn yaml(path: &Path) -> Value {
        serde_saphyr::from_str(&read(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The cases of `pack`, each with where it stands.
    fn cases(pack: Pack) -> Vec<(String, Value)> {
        let path = dir().join(format!("cases/{pack}.jsonl"));
        let text = read(&path);
        text.lines()
            .zip(1..)
            .map(|(line, number)| {
                let place = format!("{}:{number}", path.display());
                let case = serde_json::from_str(line);
                (
                    place.clone(),
                    case.unwrap_or_else(|error| panic!("{place}: {error}")),
                )
            })
            .collect()
    }

    #[test]
    fn suites_name_their_files() {
        for pack in Pack::ALL {
            let suite = yaml(&dir().join(format!("{pack}.yaml")));
            let keys: BTreeSet<&str> = suite
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let known = [
                "description",
                "prompts",
                "providers",
                "defaultTest",
                "tests",
                "metadata",
            ];
            assert!(keys.is_subset(&known.into()), "{pack}: {keys:?}");
            assert_eq!(suite["tests"], format!("file://cases/{pack}.jsonl"));
            let own = &suite["metadata"]["promptgate"];
            assert_eq!(own["version"], 1, "{pack}");
            assert_eq!(own["pack"]["name"], pack.id());
            let version = &own["pack"]["version"];
            assert!(version.is_string());
            for (place, case) in cases(*pack) {
                assert_eq!(&case["metadata"]["pack_version"], version, "{place}");
            }
            let prompts = suite["prompts"].as_array().unwrap();
            assert!(!prompts.is_empty());
            for prompt in prompts {
                let prompt = prompt.as_str().unwrap();
                if let Some(path) = prompt.strip_prefix("file://") {
                    let messages: Value = serde_json::from_str(&read(&dir().join(path))).unwrap();
                    assert_eq!(messages[0]["role"], "system", "{prompt}");
                } else {
                    let name = prompt.strip_prefix("prompt://").unwrap();
                    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                    assert!(
                        root.join(format!("prompts/{name}.prompt")).is_file(),
                        "{prompt}"
                    );
                }
            }
        }
    }

    #[test]
    fn cases_are_whole_and_known() {
        let mut ids = BTreeSet::new();
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for pack in Pack::ALL {
            let cases = cases(*pack);
            assert!((20..=60).contains(&cases.len()), "{pack}: {}", cases.len());
            let mut seen = BTreeSet::new();
            for (place, case) in cases {
                let metadata = &case["metadata"];
                let id = metadata["id"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{place}: no id"));
                assert!(ids.insert(id.to_owned()), "{place}: `{id}` again");
                let category = metadata["category"].as_str().and_then(Category::parse);
                let category = category.unwrap_or_else(|| panic!("{place}: unknown category"));
                assert_eq!(category.pack(), Some(*pack), "{place}");
                seen.insert(category);
                assert_eq!(metadata["pack"], pack.id(), "{place}");
                let severity = metadata["severity"].as_str().unwrap();
                assert!(
                    crate::safety::Severity::parse(severity).is_some(),
                    "{place}"
                );
                assert!(
                    case["description"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty())
                );
                let same = texts.insert(case["vars"].to_string(), place.clone());
                assert_eq!(same, None, "{place}: same variables");
            }
            let all = Category::ALL
                .iter()
                .filter(|category| category.pack() == Some(*pack));
            assert!(
                all.copied().all(|category| seen.contains(&category)),
                "{pack}: {seen:?}"
            );
        }
    }

    /// Every case is judged by something, and only by what there is.
    #[test]
    fn assertions_are_known() {
        const THEIRS: [&str; 12] = [
            "is-refusal",
            "not-is-refusal",
            "contains",
            "not-contains",
            "icontains",
            "not-icontains",
            "regex",
            "not-regex",
            "javascript",
            "is-json",
            "not-contains-any",
            "icontains-any",
        ];
        const OURS: [&str; 11] = [
            "promptgate:pii",
            "promptgate:secrets",
            "promptgate:canary",
            "promptgate:leak",
            "promptgate:exfiltration",
            "promptgate:unicode",
            "promptgate:tool-policy",
            "promptgate:refusal",
            "promptgate:markup",
            "promptgate:commands",
            "promptgate:repetition",
        ];
        for pack in Pack::ALL {
            let suite = yaml(&dir().join(format!("{pack}.yaml")));
            let common = suite["defaultTest"]["assert"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            for (place, case) in cases(*pack) {
                let own = case["assert"].as_array().cloned().unwrap_or_default();
                let all: Vec<Value> = common.iter().chain(&own).cloned().collect();
                assert!(!all.is_empty(), "{place}: nothing judges it");
                for assertion in all {
                    let kind = assertion["type"].as_str().unwrap();
                    assert!(
                        THEIRS.contains(&kind) || OURS.contains(&kind),
                        "{place}: {kind}"
                    );
                    let value = &assertion["value"];
                    let is_known = value == "must" || value == "must_not";
                    assert!(kind != "promptgate:refusal" || is_known, "{place}: {value}");
                }
            }
        }
    }

    /// A pair compares answers, so it needs another member that differs in the group alone.
    #[test]
    fn counterfactual_cases_come_in_groups() {
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (place, case) in cases(Pack::Bias) {
            let pair = case["metadata"]["pair"]
                .as_str()
                .unwrap_or_else(|| panic!("{place}: no pair"));
            let group = case["metadata"]["group"].as_str().unwrap();
            assert!(
                groups
                    .entry(pair.to_owned())
                    .or_default()
                    .insert(group.to_owned()),
                "{place}"
            );
        }
        assert!(
            groups.values().all(|members| 1 < members.len()),
            "{groups:?}"
        );
    }

    #[test]
    fn nothing_that_is_shipped_looks_like_a_live_secret() {
        let mut files = vec![dir()];
        let mut count = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                continue;
            }
            count += 1;
            let text = read(&path);
            assert_eq!(crate::safety::find_secrets(&text), [], "{}", path.display());
            assert!(
                crate::safety::find_key(&text, 0).is_none(),
                "{}",
                path.display()
            );
        }
        assert!(20 < count, "{count} files");
    }
}
