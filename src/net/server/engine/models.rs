//! Models on the device, and what they and requests for them hold there.

use super::{
    Engine, MOST_SORTS, keep,
    requests::{Refused, refused},
};
use crate::{
    net::{
        control::{Ask, Sort, Why},
        room::Held,
        wire::unpack,
    },
    nn::{PartyModel, Program},
    protocol::Input,
};
use std::{collections::HashMap, sync::Arc, time::Instant};

#[derive(Default)]
pub(super) struct Models {
    placed: HashMap<String, Placed>,
    /// Bytes that a request holds besides the model.
    needs: HashMap<Sort, u64>,
}

/// A model on the device.
struct Placed {
    model: Arc<PartyModel>,
    asked: Instant,
    _memory: Option<Held>,
}

impl Models {
    /// Takes the model off the device that has not been asked for the longest, of those that no request uses. False if there is none.
    fn make_room(&mut self) -> bool {
        let idle = self.placed.iter().filter(|(_, placed)| Arc::strong_count(&placed.model) == 1);
        let Some(id) = idle.min_by_key(|(_, placed)| placed.asked).map(|(id, _)| id.clone()) else { return false };
        tracing::info!(model = id, "taken off the device");
        self.placed.remove(&id).is_some()
    }
}

impl Engine {
    /// A model that is kept here, placed on the device when it is first asked for.
    pub(super) fn model(&mut self, id: &str) -> std::result::Result<Arc<PartyModel>, Refused> {
        if let Some(placed) = self.models.placed.get_mut(id) {
            placed.asked = Instant::now();
            return Ok(placed.model.clone());
        }
        if !self.house.store.has(id) {
            return Err((Why::NoSuchModel, format!("there is no model {id} here")));
        }
        let (kept, mut shares) = self.house.store.read(id).map_err(refused(Why::Failed))?;
        let program: Program = unpack(&kept.upload.architecture).map_err(refused(Why::Failed))?;
        self.house.setup.cluster.suits(&program).map_err(refused(Why::Failed))?;
        // both components of each parameter
        let words: usize = program.parameters().iter().map(|parameter| parameter.shape.elements()).sum();
        let memory = self.room(16 * words as u64, &format!("model {id}"))?;
        let device = self.house.party.device().clone();
        let model = PartyModel::new(&self.house.party, Arc::new(program), |shape| Input::read(shape, &mut shares));
        // what does not fit on the device is noted there
        let model = Arc::new(device.check().and(model).map_err(refused(Why::Failed))?);
        tracing::info!(model = id, "loaded");
        let placed = Placed { model: model.clone(), asked: Instant::now(), _memory: memory };
        self.models.placed.insert(id.into(), placed);
        Ok(model)
    }

    /// Room on the device for a request.
    pub(super) fn memory(&mut self, model: &PartyModel, ask: &Ask) -> std::result::Result<Option<Held>, Refused> {
        if self.house.setup.config.memory.is_none() {
            return Ok(None);
        }
        let sort = Sort { model: ask.model.clone(), count: ask.count, reveal: ask.reveal };
        let bytes = match self.models.needs.get(&sort) {
            Some(bytes) => *bytes,
            None => {
                let needs = self.house.foresee(model.program(), ask.count as usize, ask.reveal);
                let [_, bytes] = needs.map_err(refused(Why::BadRequest))?;
                keep(&mut self.models.needs, MOST_SORTS, sort, bytes);
                bytes
            }
        };
        self.room(bytes, &format!("a request for {} inputs", ask.count))
    }

    /// Room for so many bytes; models that nobody uses make way.
    fn room(&mut self, bytes: u64, what: &str) -> std::result::Result<Option<Held>, Refused> {
        let memory = self.house.memory.clone();
        loop {
            match memory.take(bytes) {
                Some(held) => return Ok(Some(held)),
                None if bytes <= memory.limit() && self.models.make_room() => {}
                None => {
                    let (limit, used) = (memory.limit(), memory.limit() - memory.left());
                    let text = format!("{what} would hold {bytes} bytes; of the {limit} that this party has, {used} are in use");
                    return Err((Why::TooMuch, text));
                }
            }
        }
    }
}
