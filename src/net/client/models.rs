//! Models of the parties as a client sees them: which of them all three keep, and where the parties differ.
//!
//! A client takes the newest model of a name that all three parties keep. It is refused where a party has committed a newer one that
//! another lacks: all three had stored that one once, so a store is older than it was, or a party does not say what it has.

use super::connection::Connection;
use crate::{
    Error, Result,
    net::{
        control::{Control, ModelFacts},
        model_id::check_id,
    },
    nn::Program,
};
use std::collections::{BTreeMap, BTreeSet};

/// Ids at most that an error lists.
const MOST_LISTED: usize = 20;

impl Connection {
    /// Models that all three parties keep for this client, by their names, the newest of each last.
    pub fn models(&self) -> Result<Vec<ModelFacts>> {
        Ok(self.catalogue()?.complete().cloned().collect())
    }

    /// Id of a model, by its id or its name: the newest of that name that all three parties keep.
    ///
    /// [`Error::Input`] if there is none; [`Error::Peer`] if the parties differ.
    pub fn find(&self, model: &str) -> Result<String> {
        self.find_model(model).map(|facts| facts.id)
    }

    /// The same with its number and size.
    pub fn find_model(&self, model: &str) -> Result<ModelFacts> {
        self.catalogue()?.find(model)
    }

    /// Architecture of a model: the public part of it, in which all three parties must agree.
    ///
    /// [`Error::Peer`] if they do not; [`Error::Model`] if its shares were made for other numbers than the cluster computes with.
    pub fn architecture(&self, id: &str) -> Result<Program> {
        let [first, second, third] = self.query(&Control::GetArchitecture { id: id.into() }, |control| match control {
            Control::Architecture { version, meaning, architecture } => Some((version, meaning, architecture)),
            _ => None,
        })?;
        for (party, other) in [(1, &second), (2, &third)] {
            let differs = [("version", first.0 != other.0), ("meaning", first.1 != other.1), ("architecture", first.2 != other.2)];
            if let Some((what, _)) = differs.iter().find(|(_, differs)| *differs) {
                return Err(Error::Peer(format!(
                    "parties 0 and {party} do not agree on the {what} of model {id}; let its owner upload it again"
                )));
            }
        }
        let (_, meaning, architecture) = first;
        meaning.program(&architecture, &self.cluster).map_err(|error| match error {
            Error::Model(text) => Error::Model(format!("model {id}: {text}")),
            other => other,
        })
    }

    fn catalogue(&self) -> Result<Catalogue> {
        let lists = self.query(&Control::GetModels, |control| match control {
            Control::Models(models) => Some(models),
            _ => None,
        })?;
        Catalogue::new(lists).map_err(|(party, text)| self.named(party, Error::Peer(text)))
    }
}

/// Models that each party says it keeps, by their ids.
struct Catalogue([BTreeMap<String, ModelFacts>; 3]);

impl Catalogue {
    /// Lists of the three parties; a party, and the fault of its list.
    fn new(lists: [Vec<ModelFacts>; 3]) -> std::result::Result<Self, (usize, String)> {
        let mut catalogue = Self(Default::default());
        for (party, list) in lists.into_iter().enumerate() {
            for facts in list {
                check_id(&facts.id).map_err(|e| (party, format!("lists a model without an id: {e}")))?;
                if let Some(twice) = catalogue.0[party].insert(facts.id.clone(), facts) {
                    return Err((party, format!("lists model {} twice", twice.id)));
                }
            }
        }
        Ok(catalogue)
    }

    /// Models that all three keep, by name and number.
    fn complete(&self) -> impl Iterator<Item = &ModelFacts> {
        let mut complete: Vec<_> = self.0[0].values().filter(|facts| self.keepers(&facts.id).len() == 3).collect();
        complete.sort_by(|a, b| (a.name(), a.version, &a.id).cmp(&(b.name(), b.version, &b.id)));
        complete.into_iter()
    }

    /// Parties that keep a model.
    fn keepers(&self, id: &str) -> Vec<usize> {
        (0..3).filter(|&party| self.0[party].contains_key(id)).collect()
    }

    fn find(&self, model: &str) -> Result<ModelFacts> {
        let named = |facts: &&ModelFacts| facts.id == model || facts.name() == model;
        let known: BTreeMap<&str, &ModelFacts> =
            self.0.iter().flat_map(BTreeMap::values).filter(named).map(|facts| (&facts.id[..], facts)).collect();
        for (id, facts) in &known {
            if self.0.iter().filter_map(|models| models.get(*id)).any(|other| other.version != facts.version) {
                return Err(Error::Peer(format!("the parties do not agree on the version of model {id}; let its owner upload it again")));
            }
        }
        let newest = self.complete().filter(named).max_by_key(|facts| facts.version);
        let committed = |id: &str| self.0.iter().filter_map(|models| models.get(id)).any(|facts| facts.committed);
        let rivals = known.values().filter(|facts| newest.is_none_or(|newest| facts.version >= newest.version && facts.id != newest.id));
        if let Some(lacking) = rivals.filter(|facts| committed(&facts.id) || facts.id == model).max_by_key(|facts| facts.version) {
            return Err(self.differs(lacking, newest));
        }
        newest.cloned().ok_or_else(|| self.unknown(model))
    }

    /// Error of a model that a party lacks, or that has another's number; `newest` could be used in its place.
    fn differs(&self, lacking: &ModelFacts, newest: Option<&ModelFacts>) -> Error {
        let ModelFacts { id, version, .. } = lacking;
        let keepers = self.keepers(id);
        let parties = |parties: Vec<usize>| parties.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
        let (with, without) = (parties(keepers.clone()), parties((0..3).filter(|party| !keepers.contains(party)).collect()));
        let fault = match newest {
            Some(newest) if newest.version == *version => format!("models {} and {id} have one version, {version}", newest.id),
            _ => format!(
                "party {with} keeps version {version}, {id}, and party {without} does not: a store is older than it was, an upload has \
                 not reached all, or a party does not say what it has"
            ),
        };
        let use_older = newest.map_or(String::new(), |newest| format!(", or ask for version {} by its id {}", newest.version, newest.id));
        Error::Peer(format!("the parties differ on model '{}': {fault}. Let its owner upload it again{use_older}", lacking.name()))
    }

    fn unknown(&self, model: &str) -> Error {
        let ids: BTreeSet<&str> = self.complete().map(|facts| &facts.id[..]).collect();
        let more = if ids.len() > MOST_LISTED { ", ..." } else { "" };
        let known = if ids.is_empty() { "none".into() } else { ids.into_iter().take(MOST_LISTED).collect::<Vec<_>>().join(", ") + more };
        Error::Input(format!("there is no model '{model}' that all three parties keep for this client; known: {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, version: u32, committed: bool) -> ModelFacts {
        let id = format!("{name}@{version:016x}");
        // clocks of clients say nothing: the older a version, the later it seems
        ModelFacts { id, version, committed, uploaded: 1000 - u64::from(version), bytes: 1 }
    }

    fn find(lists: [Vec<ModelFacts>; 3], model: &str) -> Result<u32> {
        Catalogue::new(lists).map_err(|(party, text)| Error::Peer(format!("{party}: {text}")))?.find(model).map(|facts| facts.version)
    }

    /// All three keep these; party 1 this one besides.
    fn with_one(all: &[ModelFacts], one: &ModelFacts) -> [Vec<ModelFacts>; 3] {
        [all.to_vec(), [all, std::slice::from_ref(one)].concat(), all.to_vec()]
    }

    #[test]
    fn the_newest_that_all_keep_is_taken() {
        let both = [facts("a", 2, true), facts("a", 1, true), facts("b", 9, true)];
        let same = || [both.to_vec(), both.to_vec(), both.to_vec()];
        assert_eq!((find(same(), "a").unwrap(), find(same(), "b").unwrap()), (2, 9));
        assert_eq!(find(same(), &facts("a", 1, true).id).unwrap(), 1);
        assert!(matches!(find(same(), "c"), Err(Error::Input(text)) if text.contains("known: a@")));
        // stored by all and committed by none: it is there
        let stored = [facts("a", 3, false)];
        assert_eq!(find([0; 3].map(|_| [&both[..], &stored].concat()), "a").unwrap(), 3);
        // an upload that did not reach all
        assert_eq!(find(with_one(&both, &facts("a", 3, false)), "a").unwrap(), 2);
        assert!(matches!(find(with_one(&[], &facts("a", 1, false)), "a"), Err(Error::Input(_))));
        // older ones that a party has lost
        assert_eq!(find(with_one(&both[..1], &facts("a", 1, true)), "a").unwrap(), 2);
    }

    #[test]
    fn parties_that_differ_are_refused() {
        let old = [facts("a", 1, true)];
        let error = find(with_one(&old, &facts("a", 2, true)), "a").unwrap_err().to_string();
        assert!(error.contains("party 1 keeps version 2") && error.contains("party 0 and 2 does not"), "{error}");
        assert!(error.contains("by its id a@0000000000000001"), "{error}");
        assert_eq!(find(with_one(&old, &facts("a", 2, true)), &old[0].id).unwrap(), 1, "by its id the older one can be used");
        assert!(find(with_one(&[], &facts("a", 1, true)), "a").is_err());
        assert!(find(with_one(&old, &facts("a", 2, false)), &facts("a", 2, false).id).is_err());
        // one number for two models, two numbers for one
        let twin = ModelFacts { id: "a@00000000000000ff".into(), ..facts("a", 1, true) };
        assert!(find(with_one(&old, &twin), "a").unwrap_err().to_string().contains("have one version"));
        let renumbered = ModelFacts { version: 7, ..old[0].clone() };
        let error = find([old.to_vec(), vec![renumbered], old.to_vec()], "a").unwrap_err().to_string();
        assert!(error.contains("do not agree on the version"), "{error}");
    }

    #[test]
    fn lists_without_sense_are_refused() {
        let bad = ModelFacts { id: "a@\u{1b}[2J".into(), ..facts("a", 1, true) };
        assert!(find([vec![bad], vec![], vec![]], "a").unwrap_err().to_string().contains("without an id"));
        let twice = vec![facts("a", 1, true), facts("a", 1, true)];
        assert!(find([vec![], vec![], twice], "a").unwrap_err().to_string().contains("2: lists model a@0000000000000001 twice"));
    }
}
