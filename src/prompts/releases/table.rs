//! What labels mean now: every rule held against the prompts, every version at hand. A call looks up
//! and draws; nothing is walked or read.

use crate::domain::{
    Arm, ArmReason, BundleHash, Caller, Clock, PromptKey, PromptStamp, ReleaseDecision, Timestamp,
};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::registry::{ResolvedPrompt, known};
use crate::prompts::releases::overrides::Override;
use crate::prompts::releases::rules::{Releases, Share, Sticky, Until};
use crate::prompts::snapshot::Snapshot;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// The label that a reference without a selector means when the caller's key names none.
pub(in crate::prompts) const DEFAULT_LABEL: &str = "production";

/// By what a call may be held to its arm.
#[derive(Debug, Clone, Copy)]
pub struct StickyKeys<'a> {
    /// The end user.
    pub user: Option<&'a str>,
    /// The session.
    pub session: Option<&'a str>,
    /// The header `x-promptgate-sticky`.
    pub header: Option<&'a str>,
    /// The id of the caller's key.
    pub key: Option<&'a str>,
    /// The call itself, for what is drawn anew every time.
    pub call: Uuid,
}

/// A reference, followed to the version that a call gets.
#[derive(Debug, Clone)]
pub struct Released {
    /// The version.
    pub prompt: ResolvedPrompt,
    /// How a label led to it; `None` where the version itself was named.
    pub release: Option<ReleaseDecision>,
    /// What runs in the shadow of the call.
    pub shadow: Option<ResolvedPrompt>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

impl From<ResolvedPrompt> for Released {
    /// The version itself was named.
    fn from(prompt: ResolvedPrompt) -> Self {
        Self {
            prompt,
            release: None,
            shadow: None,
            warnings: Vec::new(),
        }
    }
}

/// A version that a rule leads to.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) bundle: Arc<Bundle>,
    /// Where it was found; `None` when it is what the files hold.
    pub(super) found: Option<Found>,
}

/// Where an old version was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) commit: Option<String>,
}

impl Version {
    pub(super) fn hash(&self) -> BundleHash {
        self.bundle.hash()
    }

    fn resolved(
        &self,
        snapshot: &Snapshot,
        key: &PromptKey,
        label: Option<&str>,
    ) -> ResolvedPrompt {
        let hash = self.hash();
        let stamp = match &self.found {
            None => snapshot.stamp(key, hash, label),
            Some(Found { commit }) => PromptStamp {
                key: key.clone(),
                hash,
                number: snapshot.numbering.number_of(key, hash),
                label: label.map(str::to_owned),
                commit: commit.clone(),
                dirty: false,
            },
        };
        ResolvedPrompt {
            stamp,
            bundle: Arc::clone(&self.bundle),
        }
    }

    /// `v7`, else the short hash.
    pub(super) fn name(&self, snapshot: &Snapshot, key: &PromptKey) -> String {
        let number = snapshot.numbering.number_of(key, self.hash());
        number.map_or_else(|| self.hash().short(), |number| format!("v{number}"))
    }
}

/// A canary whose version is at hand.
#[derive(Debug, Clone)]
pub(super) struct CanaryRoute {
    pub(super) version: Version,
    pub(super) share: Share,
    pub(super) sticky: Sticky,
    pub(super) seed: String,
    pub(super) until: Option<Until>,
}

/// A shadow whose version is at hand.
#[derive(Debug, Clone)]
pub(super) struct ShadowRoute {
    pub(super) version: Version,
    pub(super) share: Share,
}

/// An override whose version is at hand.
#[derive(Debug, Clone)]
pub(super) struct OverrideRoute {
    pub(super) version: Version,
    pub(super) expires: Timestamp,
}

/// What a label means for a prompt.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) stable: Version,
    pub(super) canary: Option<CanaryRoute>,
    pub(super) shadow: Option<ShadowRoute>,
    pub(super) over: Option<OverrideRoute>,
}

impl Route {
    /// A label that means one version.
    pub(super) const fn plain(stable: Version) -> Self {
        Self {
            stable,
            canary: None,
            shadow: None,
            over: None,
        }
    }

    /// Whether all calls get the version `hash`, as Git has it.
    pub(super) fn is_only(&self, hash: BundleHash, now: Timestamp) -> bool {
        let has_canary = self.canary.as_ref().is_some_and(|it| it.is_live(now));
        self.stable.hash() == hash && !has_canary
    }
}

type Routes = HashMap<PromptKey, Arc<Route>>;

/// What labels mean now.
#[derive(Debug, Clone, Default)]
pub(in crate::prompts) struct Table {
    pub(super) routes: BTreeMap<String, Routes>,
    pub(super) aliases: HashMap<String, PromptKey>,
    /// The rules that the routes are made from; `None` without `releases.yaml`.
    pub(in crate::prompts) written: Option<Arc<Releases>>,
    /// All overrides, also those that have no effect now.
    pub(super) overrides: Vec<Override>,
}

impl Table {
    /// Returns a table that leads nowhere yet, of rules that are not held against the prompts.
    pub(in crate::prompts) fn unresolved(written: Option<Releases>) -> Self {
        Self {
            written: written.map(Arc::new),
            ..Self::default()
        }
    }

    /// Returns the table as Git has it; `has_releases`: whether any of it is in Git.
    pub(super) fn without_overrides(&self, has_releases: bool) -> Self {
        let mut table = Self {
            overrides: Vec::new(),
            ..self.clone()
        };
        if !has_releases {
            table.routes.clear();
        }
        let routes = table.routes.values_mut().flat_map(HashMap::values_mut);
        for route in routes.filter(|route| route.over.is_some()) {
            let git = Route {
                over: None,
                ..Route::clone(route)
            };
            *route = Arc::new(git);
        }
        table
    }

    /// Returns the prompt that an id of `OpenAI`'s dashboard stands for.
    pub(in crate::prompts) fn alias(&self, key: &PromptKey) -> Option<&PromptKey> {
        if self.aliases.is_empty() {
            return None;
        }
        self.aliases.get(key.as_str())
    }

    /// Returns where canaries have a guard: `support/triage@production`.
    pub(super) fn guarded(&self) -> Vec<String> {
        let labels = self.written.iter().flat_map(|written| &written.labels);
        let rules = labels.flat_map(|(label, rules)| rules.iter().map(move |it| (label, it)));
        let guarded = rules.filter(|(_, (_, rule))| {
            let canary = rule.value.canary.as_ref();
            canary.is_some_and(|canary| canary.guard.is_some())
        });
        guarded
            .map(|(label, (scope, _))| format!("{scope}@{label}"))
            .collect()
    }

    pub(super) fn route(&self, label: &str, key: &PromptKey) -> Option<&Arc<Route>> {
        self.routes.get(label)?.get(key)
    }

    /// Returns the labels that `key` has.
    pub(super) fn labels_of(&self, key: &PromptKey) -> Vec<String> {
        let labels = self.routes.iter();
        labels
            .filter(|(_, routes)| routes.contains_key(key))
            .map(|(label, _)| label.clone())
            .collect()
    }

    /// Whether labels have been followed to versions.
    pub(in crate::prompts) fn is_followed(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Returns the labels that may lead a call to a version of `key`.
    pub(in crate::prompts) fn labels_leading_to(
        &self,
        key: &PromptKey,
        hash: BundleHash,
    ) -> Vec<String> {
        let leads = |route: &Arc<Route>| {
            let stable = route
                .over
                .as_ref()
                .map_or(&route.stable, |over| &over.version);
            let canary = route.canary.as_ref().map(|canary| &canary.version);
            let mut versions = std::iter::once(stable).chain(canary);
            versions.any(|version| version.hash() == hash)
        };
        let labels = self.routes.iter();
        labels
            .filter(|(_, routes)| routes.get(key).is_some_and(leads))
            .map(|(label, _)| label.clone())
            .collect()
    }

    /// Returns a version that is at hand already.
    pub(super) fn bundle(&self, key: &PromptKey, hash: BundleHash) -> Option<&Version> {
        let routes = self.routes.values().filter_map(|routes| routes.get(key));
        routes
            .flat_map(|route| {
                let canary = route.canary.as_ref().map(|it| &it.version);
                let shadow = route.shadow.as_ref().map(|it| &it.version);
                let over = route.over.as_ref().map(|it| &it.version);
                [Some(&route.stable), canary, shadow, over]
            })
            .flatten()
            .find(|version| version.hash() == hash && version.found.is_some())
    }
}

impl CanaryRoute {
    fn is_live(&self, now: Timestamp) -> bool {
        self.until.as_ref().is_none_or(|until| now < until.at)
    }

    /// Draws the arm of a call.
    fn draw(&self, key: &PromptKey, keys: &StickyKeys<'_>) -> (bool, ArmReason) {
        let (sticky, reason) = match self.sticky {
            Sticky::User => (keys.user, ArmReason::StickyUser),
            Sticky::Session => (keys.session, ArmReason::StickySession),
            Sticky::Header => (keys.header, ArmReason::StickyHeader),
            Sticky::Key => (keys.key, ArmReason::StickyKey),
            Sticky::Request => (None, ArmReason::PerRequest),
        };
        let Some(sticky) = sticky.filter(|text| !text.is_empty()) else {
            let draw = draw(&self.seed, key, keys.call.as_bytes());
            return (self.share.holds(draw), ArmReason::PerRequest);
        };
        let draw = draw(&self.seed, key, sticky.as_bytes());
        (self.share.holds(draw), reason)
    }
}

/// Returns 0 to 9999: the same for the same words, on every machine and for all time.
pub(super) fn draw(seed: &str, key: &PromptKey, sticky: &[u8]) -> u16 {
    let mut hash = Sha256::new();
    for part in [
        b"promptgate draw 1",
        seed.as_bytes(),
        key.as_str().as_bytes(),
    ] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(sticky);
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(Share::ALL);
    u16::try_from(number).unwrap_or(0)
}

impl Snapshot {
    /// Follows `label` (the default one when there is none) to the version that a call gets. Without
    /// `keys` nothing is tried on anybody: it is the stable version.
    pub(in crate::prompts) fn by_label(
        &self,
        key: &PromptKey,
        label: Option<&str>,
        caller: &Caller,
        keys: Option<&StickyKeys<'_>>,
    ) -> Result<Released, Error> {
        let served = known(self, key, caller)?;
        let name = label.unwrap_or(DEFAULT_LABEL);
        if let Some(route) = self.releases.route(name, key) {
            return Ok(self.along(route, key, name, keys));
        }
        // Without `releases.yaml` there is one label, and it means the newest version. With one,
        // labels mean what it says, and nothing may be served in its place.
        if !self.has_releases && name == DEFAULT_LABEL {
            return Ok(Released::from(ResolvedPrompt {
                stamp: self.stamp(key, served.hash(), label),
                bundle: Arc::clone(served),
            }));
        }
        Err(self.no_label(key, name))
    }

    /// Returns the error that `key` has no label `label`.
    pub(super) fn no_label(&self, key: &PromptKey, label: &str) -> Error {
        let mut known: BTreeSet<String> = self.releases.labels_of(key).into_iter().collect();
        if !self.has_releases {
            known.insert(DEFAULT_LABEL.to_owned());
        }
        let mut known: Vec<String> = known.into_iter().collect();
        known.push("latest".to_owned());
        Error::LabelNotFound {
            name: key.to_string(),
            label: label.to_owned(),
            known,
        }
    }

    fn along(
        &self,
        route: &Route,
        key: &PromptKey,
        label: &str,
        keys: Option<&StickyKeys<'_>>,
    ) -> Released {
        let mut warnings = Vec::new();
        let (version, arm, reason) = self.arm_of(route, (key, label), keys, &mut warnings);
        let prompt = version.resolved(self, key, Some(label));
        let shadow = keys.and_then(|keys| self.shadow_of(route, key, version.hash(), keys));
        Released {
            prompt,
            release: Some(ReleaseDecision {
                label: label.to_owned(),
                arm,
                reason,
            }),
            shadow,
            warnings,
        }
    }

    fn arm_of<'a>(
        &self,
        route: &'a Route,
        (key, label): (&PromptKey, &str),
        keys: Option<&StickyKeys<'_>>,
        warnings: &mut Vec<String>,
    ) -> (&'a Version, Arm, ArmReason) {
        let stable = |reason| (&route.stable, Arm::Stable, reason);
        if route.over.is_none() && route.canary.is_none() {
            return stable(ArmReason::OnlyVersion);
        }
        let now = Clock::System.now();
        if let Some(over) = route.over.as_ref().filter(|over| now < over.expires) {
            warnings.push(format!(
                "label `{label}` of prompt `{key}` is overridden: {} in place of {}",
                over.version.name(self, key),
                route.stable.name(self, key),
            ));
            return (&over.version, Arm::Override, ArmReason::Overridden);
        }
        let Some(canary) = &route.canary else {
            return stable(ArmReason::OnlyVersion);
        };
        if let Some(until) = canary.until.as_ref().filter(|until| until.at <= now) {
            warnings.push(format!(
                "the canary {} of prompt `{key}` ended {}; the stable version is served",
                canary.version.name(self, key),
                until.text,
            ));
            return stable(ArmReason::CanaryExpired);
        }
        let Some(keys) = keys else {
            return stable(ArmReason::OnlyVersion);
        };
        match canary.draw(key, keys) {
            (true, reason) => (&canary.version, Arm::Canary, reason),
            (false, reason) => stable(reason),
        }
    }

    /// Returns what runs in the shadow of a call that gets the version `served`.
    fn shadow_of(
        &self,
        route: &Route,
        key: &PromptKey,
        served: BundleHash,
        keys: &StickyKeys<'_>,
    ) -> Option<ResolvedPrompt> {
        let shadow = route.shadow.as_ref()?;
        let is_drawn = shadow
            .share
            .holds(draw("shadow", key, keys.call.as_bytes()));
        // A version learns nothing in its own shadow.
        (is_drawn && shadow.version.hash() != served)
            .then(|| shadow.version.resolved(self, key, None))
    }
}

#[cfg(test)]
mod tests {
    use super::{CanaryRoute, StickyKeys, Version, draw};
    use crate::domain::{ArmReason, PromptKey};
    use crate::prompts::releases::rules::{Share, Sticky};
    use std::collections::BTreeSet;
    use uuid::Uuid;

    const CALLERS: u32 = 100_000;

    fn canary(share: u16, sticky: Sticky) -> CanaryRoute {
        CanaryRoute {
            version: Version {
                bundle: crate::prompts::bundle::tests::bundle("x"),
                found: None,
            },
            share: Share(share),
            sticky,
            seed: "v12".to_owned(),
            until: None,
        }
    }

    fn user(name: &str) -> StickyKeys<'_> {
        StickyKeys {
            user: Some(name),
            session: None,
            header: None,
            key: None,
            call: Uuid::from_u128(7),
        }
    }

    fn in_canary(share: u16) -> BTreeSet<u32> {
        let canary = canary(share, Sticky::User);
        let key = PromptKey::parse("support/triage").unwrap();
        let is_drawn = |number: &u32| canary.draw(&key, &user(&format!("user-{number}"))).0;
        (0..CALLERS).filter(is_drawn).collect()
    }

    /// Four standard deviations of a binomial share of the callers.
    fn tolerance(share: f64) -> f64 {
        4.0 * (f64::from(CALLERS) * share * (1.0 - share)).sqrt()
    }

    #[test]
    fn a_canary_gets_its_share_and_a_larger_one_keeps_who_was_in_it() {
        let mut before = BTreeSet::new();
        for share in [0, 1, 100, 1_000, 2_500, 5_000, 9_999, 10_000] {
            let now = in_canary(share);
            assert_eq!(now, in_canary(share), "the same callers every time");
            assert!(before.is_subset(&now), "{share}: somebody was put back");
            let wanted = f64::from(share) / 10_000.0;
            let found = f64::from(u32::try_from(now.len()).unwrap());
            let off = (found - wanted * f64::from(CALLERS)).abs();
            assert!(off <= tolerance(wanted), "{share}: {found} callers");
            before = now;
        }
        assert_eq!(before.len(), CALLERS as usize);
    }

    #[test]
    fn draws_are_even_and_prompts_and_seeds_draw_apart() {
        let key = |name| PromptKey::parse(name).unwrap();
        let (one, other) = (key("a"), key("b"));
        let mut tenths = [0_u32; 10];
        let (mut both_prompts, mut both_seeds) = (0_u32, 0_u32);
        for number in 0..CALLERS {
            let caller = format!("user-{number}");
            let drawn = draw("v2", &one, caller.as_bytes());
            tenths[usize::from(drawn / 1_000)] += 1;
            let is_in = |drawn: u16| drawn < 5_000;
            both_prompts += u32::from(is_in(drawn) && is_in(draw("v2", &other, caller.as_bytes())));
            both_seeds += u32::from(is_in(drawn) && is_in(draw("v3", &one, caller.as_bytes())));
        }
        for count in tenths {
            assert!(
                (f64::from(count) - 10_000.0).abs() <= tolerance(0.1),
                "{tenths:?}"
            );
        }
        for both in [both_prompts, both_seeds] {
            assert!(
                (f64::from(both) - 25_000.0).abs() <= tolerance(0.25),
                "{both}"
            );
        }
    }

    /// A change here would put every caller of every running canary elsewhere.
    #[test]
    fn draws_are_fixed_for_all_time() {
        let key = PromptKey::parse("support/triage").unwrap();
        let drawn = ["", "ada", "user-1"].map(|caller| draw("v12", &key, caller.as_bytes()));
        assert_eq!(drawn, FIXED);
    }

    /// Worked out by hand: the first eight bytes of SHA-256, modulo 10 000.
    const FIXED: [u16; 3] = [9960, 5137, 4483];

    #[test]
    fn without_the_key_it_sticks_to_every_call_is_drawn() {
        let key = PromptKey::parse("a").unwrap();
        for sticky in [
            Sticky::Session,
            Sticky::Header,
            Sticky::Key,
            Sticky::Request,
        ] {
            let canary = canary(5_000, sticky);
            let mut hits = 0_u32;
            for number in 0..10_000_u128 {
                let keys = StickyKeys {
                    call: Uuid::from_u128(number),
                    ..user("ada")
                };
                let (is_drawn, reason) = canary.draw(&key, &keys);
                assert_eq!(reason, ArmReason::PerRequest);
                hits += u32::from(is_drawn);
            }
            assert!((4_800..5_200).contains(&hits), "{sticky:?}: {hits}");
        }
    }
}
