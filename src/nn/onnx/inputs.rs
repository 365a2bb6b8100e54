//! Inputs of a model: their extents as the file declares them, and the free ones as they are given.

use super::{
    schema::{DimensionProto, GraphProto, ValueInfoProto},
    tensor,
};
use crate::{
    Error, Result,
    nn::graph::{GraphInput, InputKind},
};
use std::collections::{BTreeMap, HashSet};

/// Extents by the name of an input, the batch first, or by that of one free extent.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// An input as a model's file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredInput {
    /// Name in the model.
    pub name: String,
    /// Extents, the batch first; `None` where the file says nothing, not even how many there are.
    pub extents: Option<Vec<Extent>>,
    /// How its numbers become words.
    pub kind: InputKind,
}

/// One extent of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// A number.
    Fixed(usize),
    /// Any number; the name may be empty, and equal names are equal numbers.
    Free(String),
}

impl DeclaredInput {
    /// Whether an extent besides the batch is free.
    pub fn is_free(&self) -> bool {
        self.extents.as_ref().is_none_or(|extents| extents.iter().skip(1).any(|extent| matches!(extent, Extent::Free(_))))
    }

    /// The first extent, if it is fixed.
    pub(super) fn first_extent(&self) -> Option<usize> {
        match self.extents.as_ref()?.first()? {
            Extent::Fixed(extent) => Some(*extent),
            Extent::Free(_) => None,
        }
    }

    fn of(input: &ValueInfoProto) -> Result<Self> {
        let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let floats = tensor.map_or(Ok(true), |t| if t.elem_type == 0 { Ok(true) } else { tensor::is_float(t.elem_type) });
        let floats = floats.map_err(|e| Error::Model(format!("the input '{}': {e}", input.name)))?;
        let kind = if floats { InputKind::Floats } else { InputKind::Integers };
        let extents = tensor.and_then(|t| t.shape.as_ref()).map(|shape| shape.dim.iter().map(Extent::of).collect());
        Ok(Self { name: input.name.clone(), extents, kind })
    }
}

impl Extent {
    fn of(dimension: &DimensionProto) -> Self {
        match dimension.dim_value.filter(|&extent| extent > 0) {
            Some(extent) => Self::Fixed(extent as usize),
            None => Self::Free(dimension.dim_param.clone().unwrap_or_default()),
        }
    }
}

/// The element type of an input; 0 if the file does not say it.
pub fn element_type(input: &ValueInfoProto) -> i32 {
    input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).map_or(0, |t| t.elem_type)
}

/// The inputs that a graph declares and that have no default.
pub fn declared(proto: &GraphProto) -> Result<Vec<DeclaredInput>> {
    let sparse = proto.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
    let defaults: HashSet<&String> = proto.initializer.iter().chain(sparse).map(|tensor| &tensor.name).collect();
    proto.input.iter().filter(|input| !defaults.contains(&input.name)).map(DeclaredInput::of).collect()
}

/// The inputs with all their extents, without as many in front as the batch has of each: one or none.
pub fn resolved(declared: &[DeclaredInput], fronts: &[usize], shapes: &Shapes) -> Result<Vec<GraphInput>> {
    if declared.is_empty() {
        return Err(Error::Model("the model has no input".into()));
    }
    let all = || declared.iter().zip(fronts.iter().copied());
    let free = |(input, front): (&DeclaredInput, usize)| -> Vec<String> {
        let own = input.extents.iter().flatten().skip(front);
        own.filter_map(|extent| if let Extent::Free(name) = extent { Some(name.clone()) } else { None }).collect()
    };
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut said = |name: &str, extent: usize| match numbers.insert(name.to_owned(), extent) {
        Some(other) if other != extent && !name.is_empty() => {
            Err(Error::Input(format!("the extent '{name}' would be {other} and {extent}, which must be equal")))
        }
        _ => Ok(()),
    };
    for (name, given) in shapes {
        if let Some((input, front)) = all().find(|(input, _)| input.name == *name) {
            fits(input, given, front)?;
            let own = input.extents.iter().flatten().zip(given).skip(front);
            own.filter_map(|(extent, &given)| if let Extent::Free(name) = extent { Some((name, given)) } else { None })
                .try_for_each(|(name, given)| said(name, given))?;
        } else if !name.is_empty() && all().any(|input| free(input).contains(name)) {
            match given[..] {
                [extent] if extent > 0 => said(name, extent)?,
                _ => return Err(Error::Input(format!("the extent '{name}' is one positive number, not {given:?}"))),
            }
        } else {
            let names = all().flat_map(|input| [vec![input.0.name.clone()], free(input)].concat()).filter(|name| !name.is_empty());
            let all: Vec<String> = names.map(|name| format!("'{name}'")).collect();
            return Err(Error::Input(format!("a shape for '{name}', which the model does not have; it has {}", all.join(", "))));
        }
    }
    all().map(|(input, front)| resolve(input, front, shapes, &numbers)).collect()
}

/// An error unless a whole shape is one that the input can have.
fn fits(input: &DeclaredInput, given: &[usize], front: usize) -> Result<()> {
    let own = input.extents.as_deref();
    let equal = |(extent, given): (&Extent, &usize)| !matches!(extent, Extent::Fixed(fixed) if fixed != given);
    let ranks = own.is_none_or(|own| own.len() == given.len());
    if ranks && !given.contains(&0) && given.len() >= front && own.unwrap_or_default().iter().zip(given).skip(front).all(equal) {
        return Ok(());
    }
    Err(Error::Input(format!("the shape {given:?} for the input '{}', which takes {}", input.name, described(input))))
}

fn resolve(input: &DeclaredInput, front: usize, shapes: &Shapes, numbers: &BTreeMap<String, usize>) -> Result<GraphInput> {
    let name = &input.name;
    let own = input.extents.as_ref().filter(|own| own.len() >= front);
    if own.is_none() && input.extents.is_some() {
        return Err(Error::Model(format!("the input '{name}' has no batch dimension")));
    }
    let extents: Option<Vec<usize>> = match shapes.get(name) {
        Some(given) => Some(given[front..].to_vec()),
        None => own.and_then(|own| {
            let number = |extent: &Extent| match extent {
                Extent::Fixed(extent) => Some(*extent),
                Extent::Free(name) => numbers.get(name).copied().filter(|_| !name.is_empty()),
            };
            own[front..].iter().map(number).collect()
        }),
    };
    let extents = extents.ok_or_else(|| {
        let example = own.map_or("1,3,224,224".into(), |own| {
            let one = |(i, extent): (usize, &Extent)| match extent {
                Extent::Fixed(extent) => extent.to_string(),
                Extent::Free(_) if i < front => "1".into(),
                Extent::Free(_) => "224".into(),
            };
            own.iter().enumerate().map(one).collect::<Vec<String>>().join(",")
        });
        Error::Model(format!(
            "the input '{name}' takes {}: extents besides the batch are free and must be given, such as {name}={example} (--shape; Options::shapes)",
            described(input)
        ))
    })?;
    Ok(GraphInput { name: name.clone(), extents, kind: input.kind })
}

/// Extents as the model names them.
fn described(input: &DeclaredInput) -> String {
    let one = |extent: &Extent| match extent {
        Extent::Fixed(extent) => extent.to_string(),
        Extent::Free(name) if name.is_empty() => "?".into(),
        Extent::Free(name) => name.clone(),
    };
    let all = input.extents.as_ref().map(|extents| extents.iter().map(one).collect::<Vec<String>>().join(", "));
    all.map_or("any shape".into(), |all| format!("({all})"))
}
