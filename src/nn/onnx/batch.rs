//! The batch among the axes of values as a model sees them. In the graph it is always first; a model may move it, put it together with
//! another axis, and bring it back. Inputs of a batch stay apart, whatever it does.

use super::{
    array::Array,
    inputs::DeclaredInput,
    layout::{Layout, apart, resolve},
};
use crate::{Error, Result, kernels::gather::NONE};

/// The batch that a model is read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// None: the model takes one input at a time and does not know of others.
    Absent,
    /// A batch of one, fixed by the model: its axis is like any other, since every input passes alone.
    One,
    /// So many inputs, whose axis is followed through the model.
    Many(usize),
    /// The same where shapes of one input are written into a model of any batch: an extent of 1 in a Reshape may be the batch.
    Written(usize),
}

/// Where the batch lies among the axes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An axis of its own.
    Own(usize),
    /// The slower part of an axis, whose faster part belongs to an item.
    Slower(usize),
    /// Nowhere: all axes belong to an item.
    Nowhere,
}

/// A value as the model sees it, the batch counting one.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Extents of one item: 1 where the batch has an axis of its own.
    pub extents: Vec<usize>,
    /// Where the batch lies.
    pub place: Place,
}

impl Place {
    /// The axis of the batch.
    pub fn axis(self) -> Option<usize> {
        match self {
            Self::Own(at) | Self::Slower(at) => Some(at),
            Self::Nowhere => None,
        }
    }

    /// The axis of an item in the graph that an axis of the model is, if it is not the batch's own.
    pub fn of_item(self, axis: usize) -> Option<usize> {
        match self {
            Self::Own(at) if at == axis => None,
            Self::Own(at) => Some(axis - usize::from(axis > at)),
            Self::Slower(_) | Self::Nowhere => Some(axis),
        }
    }
}

impl View {
    /// The view of an item of the graph.
    pub fn new(item: &[usize], place: Place) -> Self {
        let mut extents = item.to_vec();
        if let Place::Own(at) = place {
            extents.insert(at.min(item.len()), 1);
        }
        Self { extents, place }
    }

    /// Extents of an item in the graph.
    pub fn item(&self) -> Vec<usize> {
        let mut item = self.extents.clone();
        if let Place::Own(at) = self.place {
            item.remove(at);
        }
        item
    }

    /// Whether results of a batch lie one after another.
    pub fn is_in_order(&self) -> bool {
        self.place.axis().is_none_or(|at| self.extents[..at].iter().all(|&extent| extent == 1))
    }
}

fn mixed() -> Error {
    Error::Model("it moves elements between the inputs of a batch".into())
}

impl Batch {
    /// The batch that the inputs of a model declare; `None` if it is free. An error if they disagree.
    pub fn declared(inputs: &[DeclaredInput]) -> Result<Option<Self>> {
        let sizes = inputs.iter().map(DeclaredInput::first_extent).collect::<Option<Vec<usize>>>();
        let Some(sizes) = sizes else { return Ok(None) };
        match sizes.first() {
            None => Ok(None),
            _ if sizes.contains(&1) => Ok(Some(Self::One)),
            Some(&size) if sizes.iter().all(|&other| other == size) => Ok(Some(Self::Many(size))),
            _ => Err(Error::Model(format!("inputs in batches of {sizes:?}: one batch for all is supported"))),
        }
    }

    /// Inputs in it.
    pub fn size(self) -> usize {
        match self {
            Self::Absent | Self::One => 1,
            Self::Many(size) | Self::Written(size) => size,
        }
    }

    /// Where the batch of an input lies.
    pub fn of_input(self, input: &DeclaredInput) -> Place {
        match self {
            Self::Absent => Place::Nowhere,
            Self::One if input.first_extent() != Some(1) => Place::Nowhere,
            _ => Place::Own(0),
        }
    }

    /// Extents as the model sees them.
    pub fn extents(self, view: &View) -> Vec<usize> {
        let mut extents = view.extents.clone();
        if let Some(at) = view.place.axis() {
            extents[at] *= self.size();
        }
        extents
    }

    /// Whether there may be several inputs.
    pub fn is_followed(self) -> bool {
        matches!(self, Self::Many(_) | Self::Written(_))
    }

    /// The axis that must stay as it is.
    pub fn kept(self, view: &View) -> Option<usize> {
        view.place.axis().filter(|_| self.is_followed())
    }

    /// The view of extents, where the batch would be this axis.
    pub fn view(self, extents: Vec<usize>, at: Option<usize>) -> View {
        let place = match (self, at) {
            (Self::Many(_) | Self::Written(_), Some(at)) if extents[at] == 1 => Place::Own(at),
            (Self::Many(_) | Self::Written(_), Some(at)) => Place::Slower(at),
            (Self::One, _) if extents.first() == Some(&1) => Place::Own(0),
            _ => Place::Nowhere,
        };
        View { extents, place }
    }

    /// A layout operation, in extents as the model sees them, on the indices of one item's elements.
    pub fn moved(self, x: (Array<u32>, Place), layout: &Layout) -> Result<(Array<u32>, Place)> {
        let (x, place) = x;
        if let Layout::All(all) = layout {
            return all.iter().try_fold((x, place), |x, layout| self.moved(x, layout));
        }
        let view = View { extents: x.extents.clone(), place };
        let Some(at) = self.kept(&view) else {
            let x = layout.run(&x, NONE)?;
            let place = self.view(x.extents.clone(), None).place;
            return Ok((x, place));
        };
        let (layout, at) = match layout {
            Layout::Transpose(order) => (layout.clone(), order.iter().position(|&d| d == at).unwrap_or(at)),
            Layout::Take(axis, all) if *axis == at => {
                let whole = all.iter().copied().eq(0..x.extents[at] * self.size());
                return if whole { Ok((x, place)) } else { Err(apart()) };
            }
            Layout::Pad(pads, _) if pads.get(at) != Some(&(0, 0)) => return Err(apart()),
            Layout::Reshape(to) => self.reshaped(&x.extents, at, to)?,
            Layout::Broadcast(to) => self.broadcast(&x.extents, at, to)?,
            other => (other.clone(), at),
        };
        let x = layout.run(&x, NONE)?;
        let place = self.view(x.extents.clone(), Some(at)).place;
        Ok((x, place))
    }

    /// A reshape keeps the batch where as many elements lie before it, and in its order.
    fn reshaped(self, from: &[usize], at: usize, to: &[usize]) -> Result<(Layout, usize)> {
        let before: usize = from[..at].iter().product();
        let found = (0..to.len()).find(|&d| to[d] > 1 && to[..d].iter().product::<usize>() == before);
        let at = found.filter(|&d| to[d].is_multiple_of(self.size())).ok_or_else(mixed)?;
        let mut each = to.to_vec();
        each[at] /= self.size();
        Ok((Layout::Reshape(each), at))
    }

    /// The shape that a Reshape asks for, with the batch where one input is written.
    pub fn written(self, view: &View, wanted: Array<i64>) -> Array<i64> {
        let (Self::Written(size), Place::Own(at), Ok(to)) = (self, view.place, resolve(&view.extents, &wanted.values, false)) else {
            return wanted;
        };
        // a zero takes the batch over
        if wanted.values.get(at) == Some(&0) {
            return wanted;
        }
        let before: usize = view.extents[..at].iter().product();
        let fits = |d: &usize| wanted.values.get(*d) == Some(&1) && to[..*d].iter().product::<usize>() == before;
        let mut wanted = wanted.clone();
        if let Some(d) = Some(at).filter(fits).or_else(|| (0..to.len()).find(fits)) {
            wanted.values[d] = size as i64;
        }
        wanted
    }

    fn broadcast(self, from: &[usize], at: usize, to: &[usize]) -> Result<(Layout, usize)> {
        let place = (at + to.len()).checked_sub(from.len());
        let place = place.filter(|&place| to[place] == from[at] * self.size()).ok_or_else(|| beside(from.len() - at))?;
        let mut each = to.to_vec();
        each[place] = from[at];
        Ok((Layout::Broadcast(each), place))
    }

    /// Whether broadcasting two values puts their batches together. An error if it would not.
    pub fn meets(self, a: &View, b: &View) -> Result<()> {
        let from_end = |view: &View| self.kept(view).map(|at| (view.extents.len() - at, view.extents[at]));
        match (from_end(a), from_end(b)) {
            (Some(a), Some(b)) if a != b => Err(beside(a.0)),
            _ => Ok(()),
        }
    }

    /// The numbers of a constant for each element of an item, broadcast to a view. One that has the batch's extent must be the same
    /// for all inputs.
    pub fn numbers(self, constant: &Array<f32>, view: &View) -> Result<Vec<f32>> {
        let at = self.kept(view);
        let own = at.and_then(|at| (at + constant.rank()).checked_sub(view.extents.len())).map_or(1, |d| constant.extents[d]);
        let (Some(at), 2..) = (at, own) else { return Ok(constant.broadcast(&view.extents)?.values) };
        let all = constant.broadcast(&self.extents(view))?.values;
        let inner = view.extents[at..].iter().product::<usize>();
        let mut numbers = Vec::with_capacity(all.len() / self.size());
        for inputs in all.chunks(inner * self.size()) {
            if inputs.chunks(inner).any(|other| other != &inputs[..inner]) {
                return Err(Error::Model("a constant differs between the inputs of a batch, which stay apart".into()));
            }
            numbers.extend_from_slice(&inputs[..inner]);
        }
        Ok(numbers)
    }
}

/// The error of a batch that would meet another axis.
fn beside(from_end: usize) -> Error {
    Error::Model(format!(
        "broadcasting would put the batch, axis {from_end} from the end, beside another axis of the other value; give both as many axes"
    ))
}
