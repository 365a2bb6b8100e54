//! Models on the device, and the memory that they and requests for them hold there.

use super::{
    super::{
        refusal::Refusal,
        state::{Footprint, ServerState},
    },
    bounded::BoundedMap,
};
use crate::{
    Error,
    net::{
        budget::Permit,
        control::{RefusalReason, RequestKind},
    },
    nn::PartyModel,
    protocol::Input,
};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// Kinds of requests whose footprint is remembered.
const MAX_KINDS: usize = 1024;

/// Models on the device.
pub struct Models {
    placed: HashMap<String, PlacedModel>,
    /// Bytes that a request holds besides the model.
    request_bytes: BoundedMap<RequestKind, u64>,
}

/// Model on the device.
struct PlacedModel {
    model: Arc<PartyModel>,
    /// Time of the last request for it.
    used: Instant,
    _memory: Permit,
}

impl Default for Models {
    fn default() -> Self {
        Self { placed: HashMap::new(), request_bytes: BoundedMap::new(MAX_KINDS) }
    }
}

impl Models {
    /// Model that is kept here, placed on the device when it is first asked for.
    pub fn place(&mut self, state: &ServerState, id: &str) -> Result<Arc<PartyModel>, Refusal> {
        if let Some(placed) = self.placed.get_mut(id) {
            placed.used = Instant::now();
            return Ok(placed.model.clone());
        }
        if !state.store.has(id) {
            return Err(Refusal::new(RefusalReason::NoSuchModel, format!("there is no model {id} here")));
        }
        let unreadable = |error| {
            if let Error::Model(text) = error {
                return Refusal::new(RefusalReason::Failed, format!("model {id}: {text}"));
            }
            tracing::warn!(model = id, %error, "the stored shares cannot be read");
            let text = format!("the shares of model {id} cannot be read here: they were changed, cut short, or are of another key");
            Refusal::new(RefusalReason::Failed, text)
        };
        let (head, mut shares) = state.store.read(id).map_err(unreadable)?;
        let program = head.upload.meaning.program(&head.upload.architecture, &state.setup.cluster).map_err(unreadable)?;
        // both components of each parameter
        let words: usize = program.parameters().iter().map(|parameter| parameter.shape.elements()).sum();
        let memory = self.allocate(state, 16 * words as u64, &format!("model {id}"))?;
        let model = PartyModel::new(&state.party, Arc::new(program), |shape| Input::read(shape, &mut shares));
        // what does not fit on the device is noted there
        state.party.device().check().map_err(Refusal::of(RefusalReason::Failed))?;
        let model = Arc::new(model.map_err(unreadable)?);
        tracing::info!(model = id, "loaded");
        let placed = PlacedModel { model: model.clone(), used: Instant::now(), _memory: memory };
        self.placed.insert(id.into(), placed);
        Ok(model)
    }

    /// Permit for the memory of a request on the device; none if this party has no bound.
    pub fn allocate_request(&mut self, state: &ServerState, model: &PartyModel, kind: RequestKind) -> Result<Option<Permit>, Refusal> {
        if state.setup.config.memory.is_none() {
            return Ok(None);
        }
        let what = format!("a request for {} inputs", kind.count);
        let bytes = match self.request_bytes.get(&kind) {
            Some(bytes) => *bytes,
            None => {
                let footprint = state.footprint(model.program(), kind.count as usize, kind.reveal);
                let Footprint { request, .. } = footprint.map_err(Refusal::of(RefusalReason::BadRequest))?;
                self.request_bytes.insert(kind, request);
                request
            }
        };
        self.allocate(state, bytes, &what).map(Some)
    }

    /// Permit for so many bytes of the device; models that no request uses make way.
    fn allocate(&mut self, state: &ServerState, bytes: u64, what: &str) -> Result<Permit, Refusal> {
        let memory = &state.memory;
        loop {
            match memory.try_acquire(bytes) {
                Some(permit) => return Ok(permit),
                None if bytes <= memory.limit() && self.evict() => {}
                None => {
                    let (limit, used) = (memory.limit(), memory.used());
                    let text = format!("{what} would hold {bytes} bytes; of the {limit} that this party has, {used} are in use");
                    return Err(Refusal::new(RefusalReason::TooMuch, text));
                }
            }
        }
    }

    /// Takes the model off the device that has not been asked for the longest, of those that no request uses. False if there is none.
    fn evict(&mut self) -> bool {
        let idle = self.placed.iter().filter(|(_, placed)| Arc::strong_count(&placed.model) == 1);
        let Some(id) = idle.min_by_key(|(_, placed)| placed.used).map(|(id, _)| id.clone()) else { return false };
        tracing::info!(model = id, "taken off the device");
        self.placed.remove(&id).is_some()
    }
}
