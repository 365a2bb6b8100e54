//! Several values at the end of a model: their functions become those of one revealed value.

use super::{
    array::{Array, broadcast, elements},
    attributes::Attributes,
    batch::View,
    importer::{Finished, Importer},
    layout::{Layout, apart},
    schema::NodeProto,
};
use crate::{
    Result,
    nn::{
        clear::{Pairing, Reduction},
        finish::{Along, Finish},
        ops::{Concat, Op},
        value::ValueId,
    },
};

/// Functions of one revealed value, and the numbers of the results that were the parts.
struct Joined {
    value: ValueId,
    finish: Vec<Finish>,
    results: Vec<u32>,
}

impl Importer {
    /// `a op b`, broadcast against each other.
    pub(super) fn paired(&mut self, a: Finished, b: Finished, pairing: Pairing) -> Result<Finished> {
        self.batch.meets(&a.view, &b.view)?;
        let [own, other] = [&a.view.extents, &b.view.extents];
        let extents = broadcast(own, other)?;
        let at = if own.len() < other.len() { b.view.place } else { a.view.place }.axis();
        let view = self.batch.view(extents.clone(), at);
        let Joined { value, mut finish, results } = self.joined(&[a.clone(), b.clone()])?;
        finish.push(Finish::Results(results));
        let (first, second) = (elements(own)? as u32, elements(other)? as u32);
        if *own != extents || *other != extents {
            let side = |own: &[usize], from: u32, count: u32| {
                Array { extents: own.to_vec(), values: (from..from + count).collect() }.broadcast(&extents).map(|array| array.values)
            };
            finish.push(Finish::Move([side(own, 0, first)?, side(other, first, second)?].concat()));
        }
        finish.push(Finish::Pairs(pairing));
        let operator = if a.operator.is_empty() { b.operator } else { a.operator };
        Ok(Finished { value, finish, operator, view })
    }

    /// Values at the end one after another along an axis.
    pub(super) fn ended_concat(&mut self, node: &NodeProto, axis: i64) -> Result<Finished> {
        let parts = (0..node.input.len()).map(|i| self.end_of(node, i)).collect::<Result<Vec<_>>>()?;
        let axis = self.item_axis(axis, &parts[0].view)?;
        self.concatenated(&parts, axis, &node.op_type)
    }

    pub(super) fn concatenated(&mut self, parts: &[Finished], axis: usize, operator: &str) -> Result<Finished> {
        let (mut arrays, mut from, place) = (Vec::<Array<u32>>::new(), 0, parts[0].view.place);
        if parts.iter().any(|part| part.view.place != place) {
            return Err(apart());
        }
        for part in parts {
            let count = elements(&part.view.extents)? as u32;
            arrays.push(Array { extents: part.view.extents.clone(), values: (from..from + count).collect() });
            from += count;
        }
        let indices = Array::concatenated(&arrays, axis)?;
        let Joined { value, mut finish, results } = self.joined(parts)?;
        finish.push(Finish::Results(results));
        let operator = parts.iter().map(|part| part.operator.as_str()).find(|first| !first.is_empty()).unwrap_or(operator).into();
        if indices.values.iter().enumerate().any(|(i, &at)| i != at as usize) {
            finish.push(Finish::Move(indices.values));
        }
        Ok(Finished { value, finish, operator, view: View { extents: indices.extents, place } })
    }

    /// One number of each group along axes.
    pub(super) fn ended_reduction(
        &mut self,
        node: &NodeProto,
        before: Finished,
        kind: Reduction,
        attributes: &mut Attributes<'_>,
    ) -> Result<Finished> {
        let rank = before.view.extents.len();
        let (keeps, nothing) = (attributes.int("keepdims", 1) != 0, attributes.int("noop_with_empty_axes", 0) != 0);
        let axes = self.integers(node, 1)?.map(|array| array.values).or_else(|| attributes.ints("axes")).unwrap_or_default();
        if axes.is_empty() && nothing {
            return Ok(before);
        }
        let all: Vec<i64> = if axes.is_empty() { (0..rank as i64).collect() } else { axes };
        let gone = all.iter().map(|&axis| self.item_axis(axis, &before.view)).collect::<Result<Vec<usize>>>()?;
        let own = before.view.clone();
        let stays: Vec<usize> = (0..rank).filter(|d| !gone.contains(d)).collect();
        let last: Vec<usize> = (0..rank).filter(|d| gone.contains(d)).collect();
        let len = last.iter().map(|&d| own.extents[d]).product();
        let moved = self.rearranged(before, &Layout::Transpose([&stays[..], &last].concat()))?;
        let extent = |d: usize| if gone.contains(&d) { keeps.then_some(1) } else { Some(own.extents[d]) };
        let at = own.place.axis().map(|at| (0..at).filter(|&d| extent(d).is_some()).count());
        let view = self.batch.view((0..rank).filter_map(extent).collect(), at);
        Ok(Finished { view, ..moved }.then(vec![Finish::Reduce(Along { len, inner: 1 }, kind)], &node.op_type))
    }

    /// The functions of several values as those of one: of several revealed values their numbers one after another, computed privately.
    fn joined(&mut self, parts: &[Finished]) -> Result<Joined> {
        let mut values: Vec<ValueId> = parts.iter().map(|part| part.value).collect();
        values.sort_unstable();
        values.dedup();
        let mut chains: Vec<Vec<Finish>> = parts.iter().map(|part| part.finish.clone()).collect();
        let value = match values[..] {
            [value] => value,
            _ => {
                let (together, ranges) = self.together(&values)?;
                for (chain, part) in chains.iter_mut().zip(parts) {
                    let range = values.iter().position(|&value| value == part.value).map_or(0..0, |at| ranges[at].clone());
                    let own = chain.drain(..).map(|finish| renumbered(finish, |result| result + 1));
                    *chain = std::iter::once(Finish::Move(range.collect())).chain(own).collect();
                }
                together
            }
        };
        let mut finish: Vec<Finish> = Vec::new();
        let mut results = Vec::new();
        for chain in chains {
            // what they have in common is computed once
            let shared = finish.iter().zip(&chain).take_while(|(a, b)| a == b).count();
            if shared < chain.len() {
                if shared < finish.len() {
                    finish.push(Finish::Results(vec![shared as u32]));
                }
                let more = (finish.len() - shared) as u32;
                let later = |result: u32| if result > shared as u32 { result + more } else { result };
                finish.extend(chain.into_iter().skip(shared).map(|finish| renumbered(finish, later)));
                results.push(finish.len() as u32);
            } else {
                results.push(shared as u32);
            }
        }
        Ok(Joined { value, finish, results })
    }

    /// Values one after another as one, and where each lies in an item of it.
    fn together(&mut self, values: &[ValueId]) -> Result<(ValueId, Vec<std::ops::Range<u32>>)> {
        let (mut flat, mut ranges, mut from) = (Vec::new(), Vec::new(), 0);
        for &value in values {
            let item = self.shape(value)?.extents()[1..].to_vec();
            let count = elements(&item)?;
            flat.push(if item.len() == 1 { value } else { self.push(Op::reshape(vec![count]), &[value])? });
            ranges.push(from..from + count as u32);
            from += count as u32;
        }
        Ok((self.push(Concat { axis: 0 }, &flat)?, ranges))
    }
}

fn renumbered(finish: Finish, number: impl Fn(u32) -> u32) -> Finish {
    match finish {
        Finish::Results(all) => Finish::Results(all.into_iter().map(number).collect()),
        other => other,
    }
}
