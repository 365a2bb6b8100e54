//! A network as one party holds it, in a process with the others or on a machine of its own: the public program, the party's
//! shares of the parameters, and its part of a run.

use super::{
    Answer,
    answer::Reveal,
    execute::{Holdings, execute},
    program::Program,
};
use crate::{
    Error, Result,
    device::{Buffer, Device},
    kernels::gather::Table,
    party::{Net, Party, Tag, Transport, preprocess, run, run_preprocessed, tagged},
    protocol::{self, Input, Sign},
    ring::Word,
    shape::Shape,
    share::Arith,
};
use std::sync::Arc;

/// A network as one party holds it.
#[derive(Debug)]
pub struct PartyModel {
    program: Arc<Program>,
    holdings: Holdings,
}

impl PartyModel {
    /// Places a party's shares of the parameters, which `next` gives one after another for their shapes.
    pub fn new(party: &Party, program: Arc<Program>, mut next: impl FnMut(&Shape) -> Result<Input>) -> Result<Self> {
        let mut model = Self::empty(party.device(), program.clone());
        for parameter in program.parameters() {
            let share = next(&parameter.shape)?;
            model.place(party, parameter.value, &share);
        }
        Ok(model)
    }

    /// A model without its parameters.
    pub(super) fn empty(device: &Device, program: Arc<Program>) -> Self {
        let tables = program.steps().iter().map(|step| step.action.table().map(|indices| Table::new(device, indices))).collect();
        let holdings = Holdings { parameters: vec![None; program.values()], tables };
        Self { program, holdings }
    }

    /// Places the share of one parameter.
    pub(super) fn place(&mut self, party: &Party, value: usize, share: &Input) {
        self.holdings.parameters[value] = Some(protocol::input(party, share));
    }

    /// The public part.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// This party's part of an inference under a lead: its summands of what is revealed.
    pub async fn infer(self: Arc<Self>, p: Arc<Party>, inputs: Vec<Input>, lead: usize, reveal: Reveal) -> Vec<Buffer> {
        let outcome = self.outcome(&p, &inputs, reveal);
        drop(inputs);
        tagged(&p, Tag { lead: Some(lead), ..Tag::default() }, outcome).await
    }

    /// The same under the lead of the current scope. The inputs are on the device when this returns.
    fn outcome<'a>(&'a self, p: &'a Party, inputs: &[Input], reveal: Reveal) -> impl Future<Output = Vec<Buffer>> + Send + use<'a> {
        self.outcome_of(p, inputs.iter().map(|input| protocol::input(p, input)).collect(), reveal)
    }

    /// The run on shares, and this party's summands of what is revealed: each output, or the index of the first one's largest
    /// entry.
    pub(super) async fn outcome_of(&self, p: &Party, inputs: Vec<Arith>, reveal: Reveal) -> Vec<Buffer> {
        let rows = inputs[0].shape().extents()[0];
        let results = execute(p, &self.program, &self.holdings, inputs).await;
        match reveal {
            Reveal::Logits => results.iter().map(|y| protocol::reveal(p, y)).collect(),
            Reveal::Argmax => {
                let y = results[0].reshaped(&[rows, results[0].shape().elements() / rows]).expect("a batch of rows");
                vec![protocol::reveal(p, &protocol::argmax(p, &y).await)]
            }
        }
    }
}

impl Program {
    /// Bytes that a party holds at the most: of the model, and of a request for so many inputs besides, as a shape-only run
    /// of all three parties finds it. The request's are those of the party that holds most, with a window of `window` bytes.
    pub async fn memory(&self, count: usize, reveal: Reveal, sign: Sign, net: Option<Net>, window: u64) -> Result<[u64; 2]> {
        let (parties, models) = self.without_words(sign, net)?;
        parties.iter().for_each(|party| party.set_window(window));
        let live = || parties.iter().filter_map(|party| party.device().memory()).map(|memory| memory.live).max().unwrap_or(0);
        let model = live();
        // seeds have the sizes of what they stand for
        let inputs = Input::promised(&self.input_shapes(count)?)?;
        let task = |p| models[Party::number(p)].outcome(p, &inputs, reveal);
        run(&parties, Transport::Handover, task).await?;
        Ok([model, live() - model])
    }

    /// Seconds of a request between three machines with such a network, whose computing takes no longer than this shape-only run: of the whole run,
    /// and of what is left when its lead has done its part beforehand. [`Error::Misuse`] if the lead's part needs interaction.
    pub async fn network_seconds(&self, count: usize, reveal: Reveal, sign: Sign, net: Net) -> Result<[f64; 2]> {
        let (parties, models) = self.without_words(sign, Some(net))?;
        let (inputs, link) = (Input::promised(&self.input_shapes(count)?)?, Transport::Shaped(net));
        let task = |p| models[Party::number(p)].outcome(p, &inputs, reveal);
        let seconds = || parties.iter().map(|party| party.meter().seconds).fold(0.0, f64::max);
        run(&parties, link, task).await?;
        let whole = seconds();
        let made = preprocess(&parties, link, task).await?;
        parties.iter().for_each(Party::reset_meter);
        run_preprocessed(&parties, link, made, task).await?;
        Ok([whole, seconds()])
    }

    /// Three parties of this model that have sizes and no words.
    fn without_words(&self, sign: Sign, net: Option<Net>) -> Result<([Party; 3], Vec<PartyModel>)> {
        let parties = Party::local(Device::shape_only_process(), self.fixed().fraction_bits())?;
        let program = Arc::new(self.clone());
        let mut models = Vec::new();
        for party in &parties {
            party.set_sign(sign);
            party.set_net(net);
            models.push(PartyModel::new(party, program.clone(), |shape| Ok(protocol::promise(shape)?.of_lead()))?);
        }
        Ok((parties, models))
    }

    /// Words that each party reveals of so many inputs: of each output, or one index an input.
    pub fn revealed(&self, count: usize, reveal: Reveal) -> Result<Vec<usize>> {
        match reveal {
            Reveal::Argmax => Ok(vec![count]),
            Reveal::Logits => Ok(self.results(count)?.iter().map(|result| result.value.shape.elements()).collect()),
        }
    }

    /// The answer that the owner of the inputs puts together from the summands of the three parties, of each output.
    pub fn answer(&self, parts: [&[Vec<Word>]; 3], count: usize, reveal: Reveal) -> Result<Answer> {
        let lengths = self.revealed(count, reveal)?;
        for (party, outputs) in parts.iter().enumerate() {
            if outputs.len() != lengths.len() || outputs.iter().zip(&lengths).any(|(words, &length)| words.len() != length) {
                return Err(Error::Peer(format!("party {party} sent a result of other sizes than the model's outputs have")));
            }
        }
        let mut answer = Answer { finish: self.outputs()[0].finish.clone(), ..Answer::default() };
        let bits = self.results(count)?.into_iter().map(|result| result.fraction_bits);
        for (i, (named, bits)) in self.outputs().iter().zip(bits).enumerate().take(lengths.len()) {
            let words = protocol::combine(parts.map(|outputs| &outputs[i][..]));
            match i {
                0 => answer.take(&words, count, reveal, bits),
                _ => answer.take_other(i - 1, named, &words, count, bits),
            }
        }
        answer.cost.bytes_to_owner = 3 * 8 * lengths.iter().sum::<usize>() as u64;
        Ok(answer)
    }
}
